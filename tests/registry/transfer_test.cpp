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
