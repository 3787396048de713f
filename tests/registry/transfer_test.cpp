#include "registry/transfer.h"

#include <atomic>
#include <thread>

#include "tests/registry/client_fixture.h"

namespace strake::registry {
namespace {

using support::ServerRequest;
using support::ServerResponse;
using testing::code_of;
using ::testing::ElementsAre;
using testing::ErrorCode;
using testing::kManifestType;

class Transfer : public testing::ClientTest {
 protected:
  Transfer() {
    http_.serve(kOrigin, [this](const ServerRequest& request) {
      const int now = ++running_;
      for (int seen = most_; now > seen && !most_.compare_exchange_weak(seen, now);) {
      }
      ServerResponse response = before_ ? before_(request) : ServerResponse{.status = 0};
      if (response.status == 0) response = registry_(request);
      --running_;
      return response;
    });
  }

  BlobUpload upload(const std::string& bytes, std::vector<oci::Repository> mount_from = {}) {
    return {blob_of(bytes),
            [this, bytes](std::uint64_t offset) {
              ++opened_;
              return std::make_unique<base::StringSource>(bytes, offset);
            },
            std::move(mount_from)};
  }
  TransferOptions recording() {
    return {.progress = [this](const TransferProgress& progress) {
      const std::lock_guard lock(mutex_);
      states_[progress.blob.digest].push_back(progress.state);
    }};
  }

  support::ServerHandler before_;  // status 0: the registry answers
  std::atomic<int> running_ = 0, most_ = 0, opened_ = 0;
  std::map<base::Digest, std::vector<TransferState>> states_;
};

TEST_F(Transfer, ImageIsPushedBlobsFirstTagLast) {
  const std::string manifest = testing::manifest_json();
  const std::string index =
      R"({"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[)"
      R"({"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":")" +
      base::Digest::of(manifest).str() + "\",\"size\":" + std::to_string(manifest.size()) + "}]}";
  const DocumentPush child{{kManifestType, base::Digest::of(manifest), manifest.size()}, manifest};
  const DocumentPush root{
      {std::string(oci::media_type::kOciIndex), base::Digest::of(index), index.size()}, index};
  BlobUploader uploader(client(), repository_);
  push_image(client(), uploader, {upload("config"), upload("layer")}, {&child, 1}, root,
             std::vector<std::string>{"1.0", "latest"});
  EXPECT_EQ(registry_.manifest("team/app", "latest"), index);
  EXPECT_EQ(registry_.manifest("team/app", child.descriptor.digest.str()), manifest);
  const auto lines = http_.lines();
  EXPECT_THAT(lines.back(), ::testing::EndsWith("/manifests/latest"));
  EXPECT_THAT(lines[lines.size() - 2], ::testing::EndsWith("/manifests/1.0"));
}

TEST_F(Transfer, ManifestsDoNotWaitForTheBlobsOfOthers) {
  const std::string first = testing::manifest_json("config 1"),
                    second = testing::manifest_json("config 2");
  const auto child = [](const std::string& bytes, const char* config) {
    return DocumentPush{{kManifestType, base::Digest::of(bytes), bytes.size()},
                        bytes,
                        {base::Digest::of(config), base::Digest::of("layer")}};
  };
  const std::vector<DocumentPush> children{child(first, "config 1"), child(second, "config 2")};
  // The second platform's config is taken when the first one's manifest is there.
  std::atomic<bool> first_is_there = false, came_first = false;
  before_ = [&](const ServerRequest& request) {
    const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    if (request.method == "PUT" && request.body == "config 2") {
      while (!first_is_there && std::chrono::steady_clock::now() < limit) std::this_thread::yield();
      came_first = first_is_there.load();
    }
    if (request.body == first) first_is_there = true;
    return ServerResponse{.status = 0};
  };
  BlobUploader uploader(client(), repository_);
  push_image(client(), uploader, {upload("layer"), upload("config 1"), upload("config 2")},
             children, {{kManifestType, base::Digest::of(first), first.size()}, first},
             std::vector<std::string>{"1.0"});
  EXPECT_TRUE(came_first);
  EXPECT_EQ(registry_.manifest("team/app", base::Digest::of(second).str()), second);
  EXPECT_THAT(http_.lines().back(), ::testing::EndsWith("/manifests/1.0"));
}

TEST_F(Transfer, TheUploadOfThePermissionCheckTakesTheFirstBlobThatNeedsOne) {
  registry_.add_blob("team/app", "there");
  {
    BlobUploader uploader(client(), repository_);
    uploader.check_permission({});
    for (const char* bytes : {"there", "one", "two"}) uploader.enqueue(upload(bytes));
    uploader.wait_all();
  }
  EXPECT_TRUE(registry_.has_blob("team/app", base::Digest::of("one")));
  EXPECT_TRUE(registry_.has_blob("team/app", base::Digest::of("two")));
  EXPECT_EQ(http_.count("POST"), 2u);
  EXPECT_EQ(http_.count("DELETE"), 0u);
}

TEST_F(Transfer, TheFirstBlobWaitsForThePermissionCheck) {
  std::atomic<bool> asked = false, may_answer = false;
  before_ = [&](const ServerRequest& request) {
    if (request.method == "POST" && !asked.exchange(true))
      while (!may_answer) std::this_thread::yield();
    return ServerResponse{.status = 0};
  };
  BlobUploader uploader(client(), repository_);
  std::jthread check([&] { uploader.check_permission({}); });
  while (!asked) std::this_thread::yield();
  BlobUpload blob = upload("one");
  blob.is_new = true;
  uploader.enqueue(std::move(blob));
  std::this_thread::sleep_for(std::chrono::milliseconds(5));
  may_answer = true;
  uploader.wait_all();
  EXPECT_EQ(http_.count("POST"), 1u);
}

TEST_F(Transfer, AnUploadThatNoBlobNeedsIsCancelledAtTheEnd) {
  {
    BlobUploader uploader(client(), repository_);
    uploader.check_permission({});
    EXPECT_EQ(http_.count("DELETE"), 0u);
  }
  EXPECT_EQ(http_.count("DELETE"), 1u);
  EXPECT_FALSE(registry_.unfinished("1"));
}

TEST_F(Transfer, AnUploadThatTheRegistryForgotIsOpenedAgain) {
  BlobUploader uploader(client(), repository_);
  uploader.check_permission({});
  registry_.forget_uploads();
  uploader.enqueue(upload("one"));
  uploader.wait_all();
  EXPECT_TRUE(registry_.has_blob("team/app", base::Digest::of("one")));
}

TEST_F(Transfer, ARefusedPermissionCheckLeavesNothing) {
  before_ = [](const ServerRequest& request) {
    return ServerResponse{.status = request.method == "POST" ? 403 : 0};
  };
  {
    BlobUploader uploader(client(), repository_);
    EXPECT_EQ(code_of([&] { uploader.check_permission({}); }), ErrorCode::denied);
    uploader.enqueue(upload("one"));
    EXPECT_EQ(code_of([&] { uploader.wait_all(); }), ErrorCode::denied);
  }
  EXPECT_EQ(http_.count("DELETE"), 0u);
}

TEST_F(Transfer, SmallNewBlobsAreSentWithoutAsking) {
  BlobUploader uploader(client(), repository_);
  for (const std::size_t size : {100u, 300u << 10}) {
    BlobUpload blob = upload(std::string(size, 'x'));
    blob.is_new = true;
    uploader.enqueue(std::move(blob));
  }
  uploader.wait_all();
  EXPECT_EQ(http_.count("HEAD"), 1u);  // for the large one
  EXPECT_EQ(http_.count("PUT"), 2u);
}

TEST_F(Transfer, NewBlobsThatAnotherRepositoryHasAreMounted) {
  registry_.add_blob("base/image", "based");
  BlobUpload blob = upload("based", {{kHost, "base/image"}});
  blob.is_new = true;
  BlobUploader uploader(client(), repository_);
  uploader.enqueue(std::move(blob));
  uploader.wait_all();
  EXPECT_EQ(opened_, 0);
  EXPECT_EQ(http_.requests().size(), 1u);
}

TEST_F(Transfer, BlobsThatAreThereAreNotSentWhenMountsAreRefused) {
  registry_.add_blob("team/app", "based");
  registry_.refuse_mounts = true;
  BlobUploader uploader(client(), repository_, recording());
  uploader.enqueue(upload("based", {{kHost, "base/image"}}));
  uploader.wait_all();
  EXPECT_EQ(opened_, 0);
  EXPECT_THAT(states_[base::Digest::of("based")], ElementsAre(TransferState::exists));
  EXPECT_EQ(http_.count("DELETE"), 1u);  // what the mount opened
}

TEST_F(Transfer, BlobsThatAreThereAreNotOpened) {
  registry_.add_blob("team/app", "there");
  BlobUploader uploader(client(), repository_, recording());
  uploader.enqueue(upload("there"));
  uploader.wait_all();
  EXPECT_EQ(opened_, 0);
  EXPECT_THAT(states_[base::Digest::of("there")], ElementsAre(TransferState::exists));
}

TEST_F(Transfer, MountsGoBeforeUploadsAndOnlyWithinTheRegistry) {
  registry_.add_blob("base/image", "based");
  BlobUploader uploader(client(), repository_, recording());
  uploader.enqueue(upload("based", {{"other.example.com", "base/image"},
                                    repository_,
                                    {kHost, "not/here"},
                                    {kHost, "base/image"}}));
  uploader.wait_all();
  EXPECT_EQ(opened_, 0);
  EXPECT_THAT(states_[base::Digest::of("based")], ElementsAre(TransferState::mounted));
  EXPECT_EQ(http_.count("POST"), 2u);
}

TEST_F(Transfer, RefusedMountBecomesTheUpload) {
  registry_.add_blob("base/image", "based");
  registry_.refuse_mounts = true;
  BlobUploader uploader(client(), repository_, recording());
  uploader.enqueue(upload("based", {{kHost, "base/image"}}));
  uploader.wait_all();
  EXPECT_EQ(http_.count("POST"), 1u);
  EXPECT_THAT(states_[base::Digest::of("based")],
              ElementsAre(TransferState::uploading, TransferState::done));
}

TEST_F(Transfer, EachBlobIsPushedOnceAndAtMostSixAtATime) {
  before_ = [](const ServerRequest&) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
    return ServerResponse{.status = 0};
  };
  BlobUploader uploader(client(), repository_, {.parallel = 20});
  for (int round = 0; round < 3; ++round) {
    for (int i = 0; i < 20; ++i) uploader.enqueue(upload("blob " + std::to_string(i)));
  }
  uploader.wait_all();
  EXPECT_EQ(opened_, 20);
  EXPECT_LE(most_, 6);
  EXPECT_GT(most_, 1);
  uploader.enqueue(upload("one more"));  // while the build goes on
  uploader.wait_all();
  EXPECT_EQ(opened_, 21);
}

TEST_F(Transfer, FirstErrorEndsItAndIsReportedEachTime) {
  before_ = [](const ServerRequest& request) {
    return ServerResponse{.status = request.method == "POST" ? 403 : 0};
  };
  BlobUploader uploader(client(), repository_);
  for (int i = 0; i < 30; ++i) uploader.enqueue(upload("blob " + std::to_string(i)));
  EXPECT_EQ(code_of([&] { uploader.wait_all(); }), ErrorCode::denied);
  EXPECT_EQ(code_of([&] { uploader.wait_all(); }), ErrorCode::denied);
  EXPECT_LE(http_.count("POST"), 6u);
  uploader.enqueue(upload("late"));
  EXPECT_EQ(code_of([&] { uploader.wait_all(); }), ErrorCode::denied);
}

TEST_F(Transfer, NothingIsTaggedAfterAnError) {
  before_ = [](const ServerRequest& request) {
    return ServerResponse{.status = request.method == "POST" ? 403 : 0};
  };
  const std::string manifest = testing::manifest_json();
  BlobUploader uploader(client(), repository_);
  EXPECT_THROW(push_image(client(), uploader, {upload("config")}, {},
                          {{kManifestType, base::Digest::of(manifest), manifest.size()}, manifest},
                          std::vector<std::string>{"1.0"}),
               base::Error);
  EXPECT_EQ(http_.count("PUT"), 0u);
}

TEST_F(Transfer, StoppingCancelsUploads) {
  std::stop_source stop;
  stop.request_stop();
  BlobUploader uploader(client(), repository_, {.stop = stop.get_token()});
  uploader.enqueue(upload("x"));
  EXPECT_EQ(code_of([&] { uploader.wait_all(); }), ErrorCode::cancelled);
}

TEST_F(Transfer, AbandonedUploaderDoesNotWaitForTheQueue) {
  before_ = [](const ServerRequest&) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    return ServerResponse{.status = 0};
  };
  {
    BlobUploader uploader(client(), repository_, {.parallel = 1});
    for (int i = 0; i < 1000; ++i) uploader.enqueue(upload("blob " + std::to_string(i)));
  }
  EXPECT_LT(http_.requests().size(), 100u);
}

TEST_F(Transfer, BlobsArePulledInParallel) {
  std::vector<std::string> bytes;
  std::vector<base::StringSink> sinks(10);
  std::vector<BlobFetch> fetches;
  std::atomic<int> finished = 0;
  for (std::size_t i = 0; i < sinks.size(); ++i) {
    bytes.push_back(text_of_size(1000 + i));
    registry_.add_blob("team/app", bytes.back());
    fetches.push_back({blob_of(bytes.back()), sinks[i], [&] { ++finished; }});
  }
  fetch_blobs(client(), repository_, fetches, recording());
  for (std::size_t i = 0; i < sinks.size(); ++i) EXPECT_EQ(sinks[i].text, bytes[i]);
  EXPECT_EQ(finished, 10);
  EXPECT_THAT(states_[base::Digest::of(bytes[0])],
              ElementsAre(TransferState::downloading, TransferState::done));
}

TEST_F(Transfer, PullStopsAtTheFirstErrorAndNamesTheBlob) {
  std::vector<base::StringSink> sinks(100);
  std::vector<BlobFetch> fetches;
  for (std::size_t i = 0; i < sinks.size(); ++i) {
    fetches.push_back({blob_of("absent " + std::to_string(i)), sinks[i]});
  }
  const base::Error error = testing::error_of([&] { fetch_blobs(client(), repository_, fetches); });
  EXPECT_EQ(error.code(), ErrorCode::not_found);
  EXPECT_THAT(error.context()[0], ::testing::HasSubstr("pulling blob sha256:"));
  EXPECT_LT(http_.requests().size(), 20u);
}

TEST_F(Transfer, StoppedPullIsCancelled) {
  std::stop_source stop;
  stop.request_stop();
  base::StringSink sink;
  const BlobFetch fetch{blob_of("x"), sink};
  EXPECT_EQ(code_of([&] {
              fetch_blobs(client(), repository_, {&fetch, 1}, {.stop = stop.get_token()});
            }),
            ErrorCode::cancelled);
}

}  // namespace
}  // namespace strake::registry
