#include <fcntl.h>

#include <thread>

#include "layers/base/files.h"
#include "layers/base/growing_file.h"
#include "registry/transfer.h"
#include "tests/registry/client_fixture.h"

namespace strake::registry {
namespace {

using base::GrowingFile;
using support::ServerRequest;
using support::ServerResponse;
using testing::code_of;
using ::testing::ElementsAre;
using ::testing::EndsWith;
using testing::ErrorCode;
using ::testing::IsEmpty;
using ::testing::SizeIs;

/// Blobs are streamed in chunks of 10 to 20 bytes.
class BlobStreamTest : public testing::ClientTest {
 protected:
  BlobStreamTest() {
    options_.sizes.streamed_bytes = 10;
    options_.sizes.chunk_bytes = 20;
    http_.serve(kOrigin, [this](const ServerRequest& request) {
      if (before_) {
        if (auto response = before_(request)) return *response;
      }
      return registry_(request);
    });
  }

  /// The writer's side: `count` bytes more.
  void grow(std::size_t count) {
    base::write_full(file_.get(), base::bytes_of(bytes_).subspan(written_, count), "test file");
    written_ += count;
    blob_->grown_to(written_);
  }
  void finish() {
    grow(bytes_.size() - written_);
    blob_->finish(bytes_.size(), base::Digest::of(bytes_));
  }

  bool stream(std::stop_token stop = {}) {
    return client().stream_blob(repository_, *blob_, {}, std::move(stop));
  }
  bool there() { return registry_.has_blob("team/app", base::Digest::of(bytes_)); }
  bool nothing_left() { return !registry_.unfinished("1") && !registry_.unfinished("2"); }

  std::vector<std::string> methods() const {
    std::vector<std::string> names;
    for (const ServerRequest& request : http_.requests()) names.push_back(request.method);
    return names;
  }

  /// Waits until the registry has got `count` requests, but not forever.
  void await_requests(std::size_t count) const {
    const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while (http_.requests().size() < count) {
      ASSERT_LT(std::chrono::steady_clock::now(), limit);
      std::this_thread::yield();
    }
  }

  std::function<std::optional<ServerResponse>(const ServerRequest&)> before_;
  const std::string bytes_ = text_of_size(55);
  const base::TempDirectory directory_{"/tmp", "blob-stream-"};
  const std::string path_ = directory_.path() / "blob";
  base::FileDescriptor file_{::open(path_.c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0600)};
  std::shared_ptr<GrowingFile> blob_ = std::make_shared<GrowingFile>(file_.duplicate());
  std::size_t written_ = 0;
};

TEST_F(BlobStreamTest, ChunksAreSentAsTheyComeAndTheDigestLast) {
  std::jthread writer([this] {
    grow(9);  // not worth a request yet
    grow(3);
    await_requests(2);
    grow(25);
    await_requests(3);
    finish();
  });
  EXPECT_TRUE(stream());
  EXPECT_TRUE(there());
  EXPECT_THAT(methods(), ElementsAre("POST", "PATCH", "PATCH", "PATCH", "PATCH", "PUT"));
  EXPECT_THAT(chunks(), ElementsAre("0-11", "12-31", "32-51", "52-54"));
  EXPECT_EQ(bytes_sent(), bytes_.size());
}

TEST_F(BlobStreamTest, ABlobThatWasFinishedFirstIsLeftToTheOrdinaryWay) {
  finish();
  EXPECT_FALSE(stream());
  EXPECT_THAT(methods(), IsEmpty());
}

TEST_F(BlobStreamTest, ARegistryMayRenewTheLocationWithEachChunk) {
  registry_.renews_locations = true;
  grow(30);
  std::jthread writer([this] {
    await_requests(2);
    finish();
  });
  EXPECT_TRUE(stream());
  EXPECT_TRUE(there());
}

TEST_F(BlobStreamTest, ChunksAreAsLargeAsTheRegistryAsks) {
  registry_.least_chunk = 25;
  grow(12);
  std::jthread writer([this] {
    await_requests(1);
    grow(14);
    await_requests(2);
    grow(5);
    finish();
  });
  EXPECT_TRUE(stream());
  EXPECT_THAT(chunks(), ElementsAre("0-24", "25-49", "50-54"));
}

TEST_F(BlobStreamTest, AnAbandonedBlobLeavesNothingBehind) {
  grow(12);
  std::jthread writer([this] {
    await_requests(2);
    blob_->abandon();
  });
  EXPECT_FALSE(stream());
  EXPECT_THAT(methods(), ElementsAre("POST", "PATCH", "DELETE"));
  EXPECT_TRUE(nothing_left());
}

TEST_F(BlobStreamTest, StoppedItCancelsTheUpload) {
  grow(12);
  std::stop_source stop;
  std::jthread user([&] {
    await_requests(2);
    stop.request_stop();
  });
  EXPECT_EQ(code_of([&] { stream(stop.get_token()); }), ErrorCode::cancelled);
  EXPECT_TRUE(nothing_left());
}

TEST_F(BlobStreamTest, ABusyRegistryIsSentTheSameAgain) {
  int refused = 0;
  before_ = [&](const ServerRequest& request) -> std::optional<ServerResponse> {
    if (request.method != "PATCH" || ++refused > 2) return std::nullopt;
    return ServerResponse{.status = refused == 1 ? 429 : 503};
  };
  grow(12);
  std::jthread writer([this] {
    await_requests(3);
    finish();
  });
  EXPECT_TRUE(stream());
  EXPECT_TRUE(there());
}

/// What can happen to one request; the upload is to be given up, and nothing left.
class BlobStreamFaultTest : public BlobStreamTest {
 protected:
  void expect_given_up(const std::string& method, ServerResponse answer) {
    before_ = [=](const ServerRequest& request) -> std::optional<ServerResponse> {
      if (request.method == method) return answer;
      return std::nullopt;
    };
    grow(12);
    std::jthread writer([this] {
      await_requests(1);
      finish();
    });
    EXPECT_FALSE(stream());
    EXPECT_FALSE(there());
    EXPECT_TRUE(nothing_left());
  }
};

TEST_F(BlobStreamFaultTest, NoUploadIsOpened) {
  expect_given_up("POST", {.status = 403});
  EXPECT_THAT(methods(), ElementsAre("POST"));
}
TEST_F(BlobStreamFaultTest, AChunkIsRefused) {
  expect_given_up("PATCH", {.status = 416});
}
TEST_F(BlobStreamFaultTest, AChunkIsTakenInPart) {
  expect_given_up("PATCH", {.status = 202, .headers = {{"Range", "0-5"}}});
}
TEST_F(BlobStreamFaultTest, TheDigestIsRefused) {
  expect_given_up("PUT", {.status = 400, .body = R"({"errors":[{"code":"DIGEST_INVALID"}]})"});
}
TEST_F(BlobStreamFaultTest, ARegistryWithoutChunksIsNotAskedAgain) {
  expect_given_up("PATCH", {.status = 405});
  const std::size_t before = http_.requests().size();
  EXPECT_FALSE(stream());
  EXPECT_THAT(http_.requests(), SizeIs(before));
}

TEST_F(BlobStreamTest, ABrokenConnectionIsNotTriedAgain) {
  before_ = [](const ServerRequest& request) -> std::optional<ServerResponse> {
    if (request.method == "PATCH") throw base::Error(ErrorCode::unavailable, "reset");
    return std::nullopt;
  };
  grow(12);
  EXPECT_FALSE(stream());
  EXPECT_THAT(methods(), ElementsAre("POST", "PATCH"));
}

class UploaderStreamTest : public BlobStreamTest {
 protected:
  /// What the publisher does with a finished blob.
  void enqueue(BlobUploader& uploader) {
    uploader.enqueue({blob_of(bytes_), [this](std::uint64_t offset) {
                        ++opened_;
                        return std::make_unique<base::StringSource>(bytes_, offset);
                      }});
  }
  TransferOptions recording() {
    return {.progress = [this](const TransferProgress& progress) {
      if (progress.state != TransferState::uploading) states_.push_back(progress.state);
    }};
  }
  int opened_ = 0;
  std::vector<TransferState> states_;
};

TEST_F(UploaderStreamTest, WhatWasStreamedIsNotSentAgain) {
  grow(12);
  BlobUploader uploader(client(), repository_, recording());
  uploader.stream(blob_);
  await_requests(2);
  finish();
  enqueue(uploader);
  uploader.wait_all();
  EXPECT_TRUE(there());
  EXPECT_EQ(opened_, 0);
  EXPECT_EQ(bytes_sent(), bytes_.size());
  EXPECT_THAT(states_, ElementsAre(TransferState::done));
}

TEST_F(UploaderStreamTest, WhatCouldNotBeStreamedIsUploaded) {
  before_ = [](const ServerRequest& request) -> std::optional<ServerResponse> {
    if (request.method == "PATCH") return ServerResponse{.status = 500};
    return std::nullopt;
  };
  options_.sizes.monolithic_bytes = 1000;
  grow(12);
  BlobUploader uploader(client(), repository_, recording());
  uploader.stream(blob_);
  await_requests(1);
  finish();
  enqueue(uploader);
  uploader.wait_all();
  EXPECT_TRUE(there());
  EXPECT_EQ(opened_, 1);
  EXPECT_THAT(states_, ElementsAre(TransferState::done));
  EXPECT_TRUE(nothing_left());
}

TEST_F(UploaderStreamTest, ItsEndDoesNotWaitForABlobThatIsNeverFinished) {
  grow(12);
  {
    BlobUploader uploader(client(), repository_);
    uploader.stream(blob_);
    await_requests(2);
    uploader.wait_all();
  }
  EXPECT_TRUE(nothing_left());
}

TEST_F(UploaderStreamTest, AFewAreStreamedAtATime) {
  BlobUploader uploader(client(), repository_);
  std::vector<std::shared_ptr<GrowingFile>> blobs;
  grow(12);
  for (int i = 0; i < 5; ++i) {
    blobs.push_back(std::make_shared<GrowingFile>(file_.duplicate()));
    blobs.back()->grown_to(12);
    uploader.stream(blobs.back());
  }
  await_requests(6);
  for (const auto& blob : blobs) blob->abandon();
  await_requests(9);
  EXPECT_EQ(std::ranges::count(methods(), "POST"), 3);
}

}  // namespace
}  // namespace strake::registry
