#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <thread>

#include "layers/base/files.h"
#include "registry/upload_sessions.h"
#include "tests/registry/client_fixture.h"

namespace strake::registry {
namespace {

namespace fs = std::filesystem;
using base::Error;
using support::ServerRequest;
using support::ServerResponse;
using testing::code_of;
using ::testing::ElementsAre;
using testing::error_of;
using testing::ErrorCode;
using ::testing::HasSubstr;

/// Blobs of more than 20 bytes go in chunks of 20.
class BlobPutTest : public testing::ClientTest {
 protected:
  BlobPutTest() {
    options_.sizes.monolithic_bytes = 20;
    options_.sizes.chunk_bytes = 20;
    options_.upload_directory = records();
    http_.serve(kOrigin, [this](const ServerRequest& request) {
      if (const auto own = script_.find(request.method); own != script_.end()) {
        if (auto response = own->second(request)) return *response;
      }
      return registry_(request);
    });
  }

  using Script = std::function<std::optional<ServerResponse>(const ServerRequest&)>;
  /// What happens at the n-th request of a method (from 1) instead of the honest answer.
  void at(const std::string& method, int n, Script script) {
    script_[method] = [n, count = std::make_shared<int>(0),
                       script = std::move(script)](const ServerRequest& request) {
      return ++*count == n ? script(request) : std::nullopt;
    };
  }
  void always(const std::string& method, Script script) { script_[method] = std::move(script); }

  /// The connection breaks when `count` bytes of a chunk have arrived, which the registry keeps.
  Script cut_after(std::size_t count) {
    return [this, count](ServerRequest request) -> std::optional<ServerResponse> {
      request.body.resize(count);
      registry_(request);
      throw Error(ErrorCode::unavailable, "connection reset");
    };
  }

  void put() { client().put_blob(repository_, blob_of(bytes_), opener(bytes_)); }
  /// The same in another process: nothing is known but what is on disk.
  void put_by_the_next_process() {
    Client next(http_, credentials_, options_);
    next.put_blob(repository_, blob_of(bytes_), opener(bytes_));
  }
  int sleeps() {
    const std::lock_guard lock(mutex_);
    return sleeps_;
  }
  bool there() { return registry_.has_blob("team/app", base::Digest::of(bytes_)); }

  fs::path records() const { return directory_.path() / "uploads"; }
  std::size_t record_count() const {
    std::size_t count = 0;
    for (const auto& entry : fs::directory_iterator(records()))
      count += entry.path().extension() != ".lock" ? 1 : 0;
    return count;
  }

  const base::TempDirectory directory_{fs::temp_directory_path(), "strake-put-"};
  std::map<std::string, Script> script_;
  const std::string bytes_ = text_of_size(90);
};

TEST_F(BlobPutTest, SmallBlobGoesInOneBody) {
  const std::string bytes = text_of_size(20);
  client().put_blob(repository_, blob_of(bytes), opener(bytes));
  EXPECT_EQ(http_.count("PATCH"), 0u);
  EXPECT_EQ(http_.requests().size(), 2u);
}

TEST_F(BlobPutTest, BigBlobGoesInChunksAndAnEmptyPut) {
  registry_.renews_locations = true;  // the newest Location is the one that counts
  put();
  EXPECT_TRUE(there());
  EXPECT_THAT(chunks(), ElementsAre("0-19", "20-39", "40-59", "60-79", "80-89"));
  EXPECT_EQ(http_.count("POST"), 1u);
  EXPECT_EQ(http_.requests().back().method, "PUT");
  EXPECT_EQ(http_.requests().back().body, "");
  EXPECT_EQ(sleeps_, 0);
  EXPECT_EQ(record_count(), 0u);
}

TEST_F(BlobPutTest, SourceIsReadOnce) {
  int opened = 0;
  client().put_blob(repository_, blob_of(bytes_), [&](std::uint64_t offset) {
    ++opened;
    return std::make_unique<base::StringSource>(bytes_, offset);
  });
  EXPECT_EQ(opened, 1);
}

TEST_F(BlobPutTest, ChunksAreAsBigAsTheRegistryWants) {
  registry_.least_chunk = 50;
  put();
  EXPECT_THAT(chunks(), ElementsAre("0-49", "50-89"));
}

TEST_F(BlobPutTest, CutChunkGoesOnWhereItEnded) {
  at("PATCH", 3, cut_after(7));
  put();
  EXPECT_TRUE(there());
  EXPECT_THAT(chunks(), ElementsAre("0-19", "20-39", "40-59", "47-66", "67-86", "87-89"));
  EXPECT_EQ(http_.count("POST"), 1u);
}

TEST_F(BlobPutTest, OutOfStepChunkIsSettledByAskingTheRegistry) {
  // The answer to the second chunk says less than what is stored.
  at("PATCH", 2, [&](const ServerRequest& request) {
    ServerResponse response = registry_(request);
    response.headers = {{"Range", "0-29"}};
    return std::optional(response);
  });
  put();
  EXPECT_TRUE(there());
  EXPECT_THAT(chunks(), ElementsAre("0-19", "20-39", "30-49", "40-59", "60-79", "80-89"));
}

TEST_F(BlobPutTest, RangesAreReadAsRegistriesSpellThem) {
  const char* spellings[] = {"0-", "bytes=0-", "bytes 0-"};
  for (const char* spelling : spellings) {
    registry_.forget_everything();
    at("PATCH", 2, cut_after(5));
    always("GET", [&](const ServerRequest& request) {
      ServerResponse response = registry_(request);
      response.headers[1].second = spelling + std::string("24");
      return std::optional(response);
    });
    put_by_the_next_process();
    EXPECT_TRUE(there()) << spelling;
    EXPECT_EQ(chunks()[chunks().size() - 4], "25-44") << spelling;
  }
}

TEST_F(BlobPutTest, AnswersThatMakeNoSenseBeginTheUploadAgain) {
  const char* ranges[] = {"0-39x", "5-39", "bytes 0-4/9",           "0--1",
                          "",      "0-89", "0-18446744073709551615"};
  for (const char* range : ranges) {  // 40 of 90 bytes were sent at most
    registry_.forget_everything();
    const std::size_t posts = http_.count("POST");
    at("PATCH", 2, cut_after(5));
    at("GET", 1, [&](const ServerRequest&) {
      return std::optional(ServerResponse{.status = 204, .headers = {{"Range", range}}});
    });
    put_by_the_next_process();
    EXPECT_TRUE(there()) << range;
    EXPECT_EQ(http_.count("POST"), posts + 2) << range;
  }
}

TEST_F(BlobPutTest, StatusWithoutARangeBeginsTheUploadAgain) {
  at("PATCH", 2, cut_after(5));
  at("GET", 1, [](const ServerRequest&) { return std::optional(ServerResponse{.status = 204}); });
  put();
  EXPECT_TRUE(there());
  EXPECT_EQ(http_.count("POST"), 2u);
}

TEST_F(BlobPutTest, ChunkAnsweredWithoutARangeIsTaken) {
  always("PATCH", [&](const ServerRequest& request) {
    ServerResponse response = registry_(request);
    response.headers.pop_back();
    return std::optional(response);
  });
  put();
  EXPECT_TRUE(there());
  EXPECT_EQ(http_.count("PATCH"), 5u);
  EXPECT_EQ(http_.count("GET"), 0u);
}

TEST_F(BlobPutTest, RegistryThatClaimsMoreThanWasSentIsNotBelieved) {
  at("PATCH", 2, [&](const ServerRequest& request) {
    registry_(request);
    return std::optional(ServerResponse{.status = 202, .headers = {{"Range", "0-40"}}});
  });
  put();
  EXPECT_TRUE(there());
  EXPECT_EQ(http_.count("POST"), 2u);
}

TEST_F(BlobPutTest, RegistryThatNeverTakesAChunkEndsInAnError) {
  always("PATCH", [](const ServerRequest&) {
    return std::optional(ServerResponse{.status = 202, .headers = {{"Range", "0-0"}}});
  });
  EXPECT_EQ(code_of([&] { put(); }), ErrorCode::unavailable);
  EXPECT_LE(http_.count("PATCH"), 6u);
}

TEST_F(BlobPutTest, LocationsMayBeAbsoluteRelativeAndWithoutQuery) {
  const char* locations[] = {"https://reg.example.com/v2/team/app/blobs/uploads/1?_state=s",
                             "http://reg.example.com/v2/team/app/blobs/uploads/1?_state=s",
                             "/v2/team/app/blobs/uploads/1?_state=s", "1?_state=s"};
  for (const char* location : locations) {
    registry_.forget_everything();
    always("PATCH", [&](const ServerRequest& request) {
      ServerResponse response = registry_(request);
      response.headers[0].second = location;
      return std::optional(response);
    });
    put_by_the_next_process();
    EXPECT_TRUE(there()) << location;
  }
  always("POST", [](const ServerRequest&) {
    return std::optional(ServerResponse{.status = 202, .headers = {{"Location", "/up/1"}}});
  });
  always("PATCH", [](const ServerRequest&) {
    return std::optional(ServerResponse{.status = 202});  // and the same Location again
  });
  always("PUT", [](const ServerRequest&) { return std::optional(ServerResponse{.status = 201}); });
  put();
  EXPECT_THAT(http_.requests().back().target, ::testing::StartsWith("/up/1?digest=sha256%3A"));
}

TEST_F(BlobPutTest, ChunksNeverGoElsewhere) {
  always("PATCH", [](const ServerRequest&) {
    return std::optional(
        ServerResponse{.status = 202, .headers = {{"Location", "https://evil.com/v2/up"}}});
  });
  EXPECT_EQ(code_of([&] { put(); }), ErrorCode::denied);
  for (const std::string& line : http_.lines()) EXPECT_THAT(line, HasSubstr(kOrigin));
}

TEST_F(BlobPutTest, RegistryWithoutChunksGetsWholeBlobsFromThenOn) {
  for (const int status : {400, 404, 405, 411, 501}) {
    always("PATCH",
           [&](const ServerRequest&) { return std::optional(ServerResponse{.status = status}); });
    registry_.forget_everything();
    Client next(http_, credentials_, options_);
    next.put_blob(repository_, blob_of(bytes_), opener(bytes_));
    EXPECT_TRUE(there()) << status;
    EXPECT_EQ(http_.requests().back().body, bytes_) << status;
    const std::size_t patches = http_.count("PATCH");
    next.put_blob({kHost, "other"}, blob_of(bytes_), opener(bytes_));
    EXPECT_TRUE(registry_.has_blob("other", base::Digest::of(bytes_))) << status;
    EXPECT_EQ(http_.count("PATCH"), patches) << status;
  }
}

TEST_F(BlobPutTest, RefusalsOfChunksAreErrors) {
  for (const auto& [status, code] :
       {std::pair{403, ErrorCode::denied}, {413, ErrorCode::unsupported}}) {
    always("PATCH", [status = status](const ServerRequest&) {
      return std::optional(ServerResponse{.status = status});
    });
    const std::size_t before = http_.count("PATCH");
    EXPECT_EQ(code_of([&] { put(); }), code) << status;
    EXPECT_EQ(http_.count("PATCH"), before + 1) << status;
  }
}

TEST_F(BlobPutTest, LostUploadBeginsAgain) {
  at("PATCH", 4, [&](const ServerRequest&) -> std::optional<ServerResponse> {
    registry_.forget_uploads();
    return std::nullopt;
  });
  put();
  EXPECT_TRUE(there());
  EXPECT_EQ(http_.count("POST"), 2u);
  EXPECT_EQ(http_.count("PATCH"), 9u);
}

TEST_F(BlobPutTest, EachStepSurvivesAServerError) {
  for (const char* method : {"POST", "PATCH", "PUT"}) {
    registry_.forget_everything();
    at(method, 1,
       [](const ServerRequest&) { return std::optional(ServerResponse{.status = 502}); });
    const std::size_t sent = bytes_sent();
    put_by_the_next_process();
    EXPECT_TRUE(there()) << method;
    EXPECT_LE(bytes_sent() - sent, 110u) << method;  // a chunk twice at most
  }
}

TEST_F(BlobPutTest, LostAnswerToTheLastRequestCostsNothing) {
  at("PUT", 1, [&](const ServerRequest& request) -> std::optional<ServerResponse> {
    registry_(request);
    throw Error(ErrorCode::unavailable, "timeout");
  });
  put();
  EXPECT_EQ(http_.requests().back().method, "HEAD");
  EXPECT_EQ(bytes_sent(), 90u);
}

TEST_F(BlobPutTest, NextProcessSendsOnlyTheRest) {
  at("PATCH", 3, [&](ServerRequest request) -> std::optional<ServerResponse> {
    request.body.resize(7);
    registry_(request);
    throw Error(ErrorCode::cancelled, "killed");
  });
  EXPECT_EQ(code_of([&] { put(); }), ErrorCode::cancelled);
  EXPECT_EQ(record_count(), 1u);
  const std::size_t sent = bytes_sent();
  put_by_the_next_process();
  EXPECT_TRUE(there());
  EXPECT_EQ(bytes_sent() - sent, 90u - 47u);
  EXPECT_EQ(http_.count("POST"), 1u);
  EXPECT_EQ(record_count(), 0u);
}

TEST_F(BlobPutTest, UploadByAnotherProcessIsWaitedFor) {
  auto other = UploadSessions(records()).open(repository_, base::Digest::of(bytes_));
  ASSERT_TRUE(other);
  std::jthread waiting([&] { put(); });
  while (sleeps() < 3) std::this_thread::yield();
  EXPECT_EQ(http_.requests().size(), 0u);
  registry_.add_blob("team/app", bytes_);  // the other is done …
  other.reset();
  waiting.join();
  EXPECT_EQ(http_.count("PATCH"), 0u);  // … so nothing is to be sent
  EXPECT_EQ(http_.count("HEAD"), 1u);
}

TEST_F(BlobPutTest, NextProcessBeginsAgainWhereTheRegistryForgot) {
  at("PATCH", 3, [](const ServerRequest&) -> std::optional<ServerResponse> {
    throw Error(ErrorCode::cancelled, "killed");
  });
  EXPECT_THROW(put(), Error);
  registry_.forget_uploads();
  put_by_the_next_process();
  EXPECT_TRUE(there());
  EXPECT_EQ(http_.count("POST"), 2u);
  EXPECT_EQ(record_count(), 0u);
}

TEST_F(BlobPutTest, RecordOfAnotherOriginIsNotFollowed) {
  at("PATCH", 3, [](const ServerRequest&) -> std::optional<ServerResponse> {
    throw Error(ErrorCode::cancelled, "killed");
  });
  EXPECT_THROW(put(), Error);
  for (const auto& entry : fs::directory_iterator(records())) {
    if (entry.path().extension() == ".lock") continue;
    std::string text = *base::read_file(entry.path());
    text.replace(text.find("reg.example.com/v2"), 15, "reg.example.org");
    std::ofstream(entry.path()) << text;
  }
  put_by_the_next_process();
  EXPECT_TRUE(there());
  for (const std::string& line : http_.lines()) EXPECT_THAT(line, HasSubstr(kOrigin));
}

TEST_F(BlobPutTest, RefusedDigestSaysWhichSideIsWrong) {
  const std::string other = text_of_size(89) + "!";
  const Error ours =
      error_of([&] { client().put_blob(repository_, blob_of(bytes_), opener(other)); });
  EXPECT_EQ(ours.code(), ErrorCode::corrupt);
  EXPECT_THAT(ours.what(), HasSubstr("is damaged here"));
  EXPECT_EQ(http_.count("POST"), 1u);

  always("PUT", [](const ServerRequest&) {
    return std::optional(
        ServerResponse{.status = 400, .body = R"({"errors":[{"code":"DIGEST_INVALID"}]})"});
  });
  const Error theirs = error_of([&] { put(); });
  EXPECT_EQ(theirs.code(), ErrorCode::corrupt);
  EXPECT_THAT(theirs.what(), HasSubstr("is right here"));
  EXPECT_EQ(http_.count("POST"), 4u);  // it was sent twice more from the beginning
}

TEST_F(BlobPutTest, StoppedUploadKeepsItsRecord) {
  std::stop_source stop;
  at("PATCH", 2, [&](const ServerRequest&) -> std::optional<ServerResponse> {
    stop.request_stop();
    return std::nullopt;
  });
  EXPECT_EQ(code_of([&] {
              client().put_blob(repository_, blob_of(bytes_), opener(bytes_), {}, stop.get_token());
            }),
            ErrorCode::cancelled);
  EXPECT_EQ(record_count(), 1u);
}

TEST_F(BlobPutTest, EachRequestAroundTheBytesIsTriedAsOftenAsAnyOther) {
  options_.sizes.monolithic_bytes = 1 << 20;
  // Every upload is opened at the third try, and the first three bodies are lost.
  always("POST", [count = 0](const ServerRequest&) mutable -> std::optional<ServerResponse> {
    if (++count % 3 == 0) return std::nullopt;
    return ServerResponse{.status = 503};
  });
  always("PUT", [lost = 3](const ServerRequest&) mutable -> std::optional<ServerResponse> {
    if (lost-- == 0) return std::nullopt;
    throw Error(ErrorCode::unavailable, "connection reset");
  });
  put();
  EXPECT_TRUE(client().has_blob(repository_, blob_of(bytes_).digest));
}

}  // namespace
}  // namespace strake::registry
