#include <atomic>
#include <latch>
#include <thread>

#include "tests/registry/client_fixture.h"

namespace strake::registry {
namespace {

using base::Error;
using support::ServerRequest;
using support::ServerResponse;
using testing::code_of;
using ::testing::ElementsAre;
using testing::ErrorCode;
using ::testing::HasSubstr;

/// What a download into the store is to the client.
struct StoredText final : ResumableSink {
  void write(std::span<const std::byte> bytes) override { text += base::text_of(bytes); }
  std::uint64_t size_bytes() const override { return text.size(); }
  base::Digest digest() const override { return base::Digest::of(text); }
  bool restart() override {
    ++restarts;
    text.clear();
    return true;
  }
  std::string text;
  int restarts = 0;
};

/// Blobs of 900 bytes and more come in segments of 100.
class BlobDownloadTest : public testing::ClientTest {
 protected:
  BlobDownloadTest() {
    options_.sizes.ranged_bytes = 900;
    options_.sizes.segment_bytes = 100;
    serve([this](const ServerRequest& request) { return ranged(request); });
  }

  void serve(support::ServerHandler handler, const std::string& origin = kOrigin) {
    http_.serve(origin, std::move(handler));
  }
  /// Answers as a server that knows ranges does.
  ServerResponse ranged(const ServerRequest& request) const {
    const std::string range = request.header("Range");
    if (range.empty()) return {.body = bytes_};
    const std::size_t begin = std::stoul(range.substr(6));
    const std::string last = range.substr(range.find('-') + 1);
    const std::size_t end = last.empty() ? bytes_.size() : std::stoul(last) + 1;
    return {.status = 206,
            .headers = {{"Content-Range", "bytes " + std::to_string(begin) + "-" +
                                              std::to_string(end - 1) + "/" +
                                              std::to_string(bytes_.size())}},
            .body = bytes_.substr(begin, end - begin)};
  }
  void get(StoredText& to, const std::vector<oci::Repository>& places) {
    client().get_blob(places, blob_of(bytes_), to);
  }
  void get(StoredText& to) { get(to, {repository_}); }

  std::string bytes_ = text_of_size(500);
};

TEST_F(BlobDownloadTest, GoesOnBehindWhatIsThere) {
  StoredText sink;
  sink.text = bytes_.substr(0, 350);
  get(sink);
  EXPECT_EQ(sink.text, bytes_);
  EXPECT_EQ(sink.restarts, 0);
  ASSERT_EQ(http_.requests().size(), 1u);
  EXPECT_EQ(http_.requests()[0].header("Range"), "bytes=350-");
}

TEST_F(BlobDownloadTest, WholeBlobThatIsThereCostsNoRequest) {
  StoredText sink;
  sink.text = bytes_;
  get(sink);
  EXPECT_TRUE(http_.requests().empty());
}

TEST_F(BlobDownloadTest, WrongBytesOfAnEarlierAttemptAreDropped) {
  for (const std::string& kept :
       {std::string(350, 'x'), std::string(500, 'x'), std::string(600, 'x')}) {
    StoredText sink;
    sink.text = kept;
    get(sink);
    EXPECT_EQ(sink.text, bytes_) << kept.size();
    EXPECT_EQ(sink.restarts, 1) << kept.size();
  }
}

TEST_F(BlobDownloadTest, WrongContentIsFetchedAgainAFewTimes) {
  int wrong = 2;
  serve([&](const ServerRequest&) {
    return ServerResponse{.body = wrong-- > 0 ? std::string(500, 'x') : bytes_};
  });
  StoredText sink;
  get(sink);
  EXPECT_EQ(sink.text, bytes_);
  wrong = 100;
  StoredText never;
  EXPECT_EQ(code_of([&] { get(never); }), ErrorCode::corrupt);
  EXPECT_EQ(never.text, "");
  EXPECT_EQ(http_.requests().size(), 6u);
}

TEST_F(BlobDownloadTest, NextPlaceGoesOnWhereTheFirstStopped) {
  serve([&](const ServerRequest&) -> ServerResponse {
    if (http_.requests().size() == 1) return {.body = bytes_, .cut_after = 200};
    return {.status = 404};
  });
  serve([&](const ServerRequest& request) { return ranged(request); }, "https://other.example.com");
  StoredText sink;
  get(sink, {repository_, {"other.example.com", "team/app"}});
  EXPECT_EQ(sink.text, bytes_);
  EXPECT_EQ(sink.restarts, 0);
  EXPECT_EQ(http_.requests().back().header("Range"), "bytes=200-");
}

TEST_F(BlobDownloadTest, NextPlaceBeginsAgainAfterWrongBytes) {
  serve([&](const ServerRequest&) { return ServerResponse{.body = std::string(500, 'x')}; });
  serve([&](const ServerRequest& request) { return ranged(request); }, "https://other.example.com");
  StoredText sink;
  get(sink, {repository_, {"other.example.com", "team/app"}});
  EXPECT_EQ(sink.text, bytes_);
}

TEST_F(BlobDownloadTest, FailureOfThisMachineEndsIt) {
  struct Full final : ResumableSink {
    void write(std::span<const std::byte>) override {
      throw Error(ErrorCode::system, "no space left on device");
    }
    std::uint64_t size_bytes() const override { return 0; }
    base::Digest digest() const override { return {}; }
    bool restart() override { return true; }
  } full;
  const std::vector<oci::Repository> places{repository_, {"other.example.com", "team/app"}};
  EXPECT_EQ(code_of([&] { client().get_blob(places, blob_of(bytes_), full); }), ErrorCode::system);
  EXPECT_EQ(http_.requests().size(), 1u);
}

TEST_F(BlobDownloadTest, BigBlobComesInSegments) {
  bytes_ = text_of_size(2050);
  StoredText sink;
  get(sink);
  EXPECT_EQ(sink.text, bytes_);
  EXPECT_EQ(http_.requests().size(), 21u);
  for (const ServerRequest& request : http_.requests()) EXPECT_NE(request.header("Range"), "");
}

TEST_F(BlobDownloadTest, SegmentsAreFetchedAtTheSameTime) {
  bytes_ = text_of_size(2000);
  std::atomic<int> running = 0, most = 0;
  serve([&](const ServerRequest& request) {
    const int now = ++running;
    for (int seen = most; now > seen && !most.compare_exchange_weak(seen, now);) {
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    --running;
    return ranged(request);
  });
  StoredText sink;
  get(sink);
  EXPECT_EQ(sink.text, bytes_);
  EXPECT_GE(most, 2);
  EXPECT_LE(most, 5);  // the one that delivers and four ahead
}

TEST_F(BlobDownloadTest, OtherBlobsGoFirst) {
  // All streams but one are taken by requests that wait: nothing is fetched ahead.
  options_.streams_per_registry = 2;
  bytes_ = text_of_size(2000);
  std::latch taken(1), finished(1);
  std::atomic<int> running = 0, most = 0;
  serve([&](const ServerRequest& request) -> ServerResponse {
    if (request.target.find("/manifests/") != std::string::npos) {
      taken.count_down();
      finished.wait();
      return {.status = 404};
    }
    most = std::max<int>(most, ++running);
    ServerResponse response = ranged(request);
    --running;
    return response;
  });
  std::jthread other([&] { EXPECT_THROW(client().resolve({repository_, "1", {}}), Error); });
  taken.wait();
  StoredText sink;
  get(sink);
  finished.count_down();
  EXPECT_EQ(sink.text, bytes_);
  EXPECT_EQ(most, 1);
}

TEST_F(BlobDownloadTest, ServerWithoutRangesIsReadInOnePiece) {
  bytes_ = text_of_size(2000);
  serve([&](const ServerRequest&) { return ServerResponse{.body = bytes_}; });
  StoredText sink;
  get(sink);
  EXPECT_EQ(sink.text, bytes_);
  EXPECT_EQ(http_.requests().size(), 1u);
}

TEST_F(BlobDownloadTest, ServerThatGetsSegmentsWrongIsReadInOnePiece) {
  bytes_ = text_of_size(2000);
  for (const char* wrong : {"bytes 0-99/2001", "bytes 0-98/2000", "bytes 100-199/2000", "x", ""}) {
    serve([&](const ServerRequest& request) {
      ServerResponse response = ranged(request);
      if (response.status == 206) response.headers[0].second = wrong;
      return response;
    });
    StoredText sink;
    get(sink);
    EXPECT_EQ(sink.text, bytes_) << wrong;
  }
}

TEST_F(BlobDownloadTest, ServerThatStopsSendingSegmentsIsReadInOnePiece) {
  bytes_ = text_of_size(2000);
  std::atomic<int> requests = 0;
  serve([&](const ServerRequest& request) {
    return ++requests > 3 ? ServerResponse{.body = bytes_} : ranged(request);
  });
  StoredText sink;
  get(sink);
  EXPECT_EQ(sink.text, bytes_);
}

TEST_F(BlobDownloadTest, FailedSegmentIsFetchedAgainAlone) {
  bytes_ = text_of_size(2000);
  std::atomic<int> failures = 0;
  serve([&](const ServerRequest& request) {
    ServerResponse response = ranged(request);
    if (request.header("Range").starts_with("bytes=700-") && failures++ < 2) {
      response.cut_after = 30;
    }
    return response;
  });
  StoredText sink;
  get(sink);
  EXPECT_EQ(sink.text, bytes_);
  EXPECT_EQ(sink.restarts, 0);
  EXPECT_LE(http_.requests().size(), 23u);
}

}  // namespace
}  // namespace strake::registry
