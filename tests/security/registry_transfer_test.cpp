// Registries that send other bytes than they should, slowly, or not to the end.

#include "tests/security/registry_fixture.h"
#include "tests/support/raw_server.h"

namespace strake::registry {
namespace {

using support::RawConnection;
using support::RawServer;
using testing::ErrorCode;
using ::testing::HasSubstr;
using ::testing::Le;
using testing::ServerRequest;
using testing::ServerResponse;
using namespace std::chrono_literals;

class RegistryTransfer : public testing::HostileRegistry {
 protected:
  /// What get_blob gives of a registry that is nothing but `serve`.
  std::string pull_raw(RawServer& server, const oci::Descriptor& blob) {
    expect_http(server.host());
    return pull({server.host(), "team/app"}, blob);
  }
  static std::string head(const std::string& fields, int status = 200) {
    return "HTTP/1.1 " + std::to_string(status) + " X\r\n" + fields + "\r\n";
  }
  static std::string length(std::size_t bytes) {
    return "Content-Length: " + std::to_string(bytes) + "\r\n";
  }

  const std::string bytes_ = text_of_size(200'000);
  const oci::Descriptor blob_ = blob_of(bytes_);
};

// Case B03: sizes of descriptors and bodies that lie.
TEST_F(RegistryTransfer, SizesThatLieAreRefused) {
  // In a manifest.
  for (const char* size : {"-1", "9223372036854775808", "\"5\"", "1e3", "5.0", "", "null", "[5]"}) {
    const std::string manifest =
        testing::manifest_json(testing::descriptor_json(base::Digest::of("layer").str(), size));
    answer_ = [&](const ServerRequest&) {
      return ServerResponse{.headers = {{"Content-Type", testing::kManifestType}},
                            .body = manifest};
    };
    EXPECT_EQ(testing::code_of([&] {
                client().get_manifest({repository_, "1", {}});
              }),
              ErrorCode::corrupt)
        << size;
  }
  // A well-formed one, of a body with and without a Content-Length.
  for (const std::uint64_t size : {std::uint64_t{0}, blob_.size - 1, blob_.size + 1}) {
    for (const bool chunked : {false, true}) {
      answer_ = [&](const ServerRequest&) {
        if (!chunked) return ServerResponse{.body = bytes_};
        return ServerResponse{.raw = head("Connection: close\r\n") + bytes_};
      };
      oci::Descriptor wrong = blob_;
      wrong.size = size;
      EXPECT_THAT(pull(wrong).size(), Le(size)) << size << chunked;
      EXPECT_EQ(outcome(), ErrorCode::corrupt) << size << chunked;
    }
  }
}

TEST_F(RegistryTransfer, NothingBehindTheSizeIsReceived) {
  std::atomic<std::size_t> sent = 0;
  RawServer endless([&](RawConnection& connection) {
    connection.read_head();
    connection.send(head("Transfer-Encoding: chunked\r\n"));
    const std::string chunk = "10000\r\n" + std::string(0x10000, 'x') + "\r\n";
    while (sent < 1'000'000'000 && connection.send(chunk)) sent += chunk.size();
  });
  EXPECT_THAT(pull_raw(endless, blob_).size(), Le(blob_.size));
  EXPECT_EQ(outcome(), ErrorCode::corrupt);
  EXPECT_LT(sent, 50'000'000U);  // what fits into buffers of sockets
}

TEST_F(RegistryTransfer, ExplanationsAreNotReceivedForEver) {
  std::atomic<std::size_t> sent = 0;
  RawServer chatty([&](RawConnection& connection) {
    connection.read_head();
    connection.send("HTTP/1.1 404 X\r\n\r\n");
    while (sent < 1'000'000'000 && connection.send(std::string(65536, '\x1b'))) sent += 65536;
  });
  pull_raw(chatty, blob_);
  EXPECT_EQ(outcome(), ErrorCode::not_found);
  EXPECT_LT(std::string(error_->what()).size(), 3000U);
  EXPECT_EQ(std::string(error_->what()).find('\x1b'), std::string::npos);
  EXPECT_LT(sent, 50'000'000U);
}

// Case B13: answers that come byte by byte, or never, or without end.
TEST_F(RegistryTransfer, SlowAndEndlessAnswersAreGivenUp) {
  const auto dribble = [](RawConnection& connection, const std::string& text) {
    for (const char c : text)
      if (!connection.send(std::string(1, c)) || !connection.pause(20ms)) return;
    connection.hang();
  };
  const std::pair<const char*, RawServer::Serve> forms[] = {
      {"silence", [](RawConnection& c) { c.hang(); }},
      {"a header, byte by byte",
       [&](RawConnection& c) { dribble(c, "HTTP/1.1 200 OK\r\n" + std::string(500, 'X')); }},
      {"header fields, one by one",
       [&](RawConnection& c) {
         c.send("HTTP/1.1 200 OK\r\n");
         while (c.send("X: y\r\n") && c.pause(50ms)) {
         }
       }},
      {"interim answers",
       [&](RawConnection& c) {
         while (c.send("HTTP/1.1 102 Processing\r\n\r\n") && c.pause(50ms)) {
         }
       }},
      {"a body, byte by byte",
       [&](RawConnection& c) {
         c.send(head(length(bytes_.size())));
         dribble(c, bytes_.substr(0, 500));
       }},
      {"a body that stops",
       [&](RawConnection& c) {
         c.send(head(length(bytes_.size())) + bytes_.substr(0, 1000));
         c.hang();
       }},
      {"extensions of a chunk",
       [&](RawConnection& c) {
         c.send(head("Transfer-Encoding: chunked\r\n") + "5;");
         for (int i = 0; i < 10'000'000 / 4096 && c.send(std::string(4096, 'e')); ++i) {
         }
         dribble(c, std::string(500, 'e'));
       }},
      {"trailers",
       [&](RawConnection& c) {
         c.send(head("Transfer-Encoding: chunked\r\n") + "1\r\n0\r\n0\r\n");
         while (c.send("X: y\r\n") && c.pause(20ms)) {
         }
       }},
  };
  for (const auto& [name, serve] : forms) {
    RawServer server([&serve = serve](RawConnection& connection) {
      connection.read_head();
      serve(connection);
    });
    const auto begin = Clock::now();
    pull_raw(server, blob_);
    EXPECT_EQ(outcome(), ErrorCode::unavailable) << name;
    EXPECT_EQ(server.connections(), 3) << name;  // it was tried again
    EXPECT_LT(Clock::now() - begin, 3 * 2500ms) << name;
  }
}

TEST_F(RegistryTransfer, HugeHeadersAreRefusedAtOnce) {
  const std::pair<const char*, std::string> forms[] = {
      {"a long line", "X: " + std::string(1'000'000, 'y') + "\r\n"},
      {"a line without end", "X: " + std::string(10'000'000, 'y')},
      {"many lines", [] {
         std::string lines;
         for (int i = 0; i < 100'000; ++i) lines += "X" + std::to_string(i) + ": y\r\n";
         return lines;
       }()}};
  for (const auto& [name, fields] : forms) {
    RawServer server([&fields = fields](RawConnection& connection) {
      connection.read_head();
      connection.send("HTTP/1.1 200 OK\r\n" + fields);
    });
    const auto begin = Clock::now();
    pull_raw(server, blob_);
    EXPECT_EQ(outcome(), ErrorCode::corrupt) << name;
    EXPECT_LE(server.connections(), 3) << name;
    EXPECT_LT(Clock::now() - begin, 700ms) << name;
  }
}

TEST_F(RegistryTransfer, HostsThatDoNotConnectAreGivenUp) {
  // A listener whose queue is full: the kernel answers no further connection.
  base::FileDescriptor full(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  auto* generic = reinterpret_cast<sockaddr*>(&address);
  ASSERT_EQ(::bind(full.get(), generic, size), 0);
  ASSERT_EQ(::listen(full.get(), 0), 0);
  ASSERT_EQ(::getsockname(full.get(), generic, &size), 0);
  base::FileDescriptor first(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  ASSERT_EQ(::connect(first.get(), generic, size), 0);
  const std::string host = "127.0.0.1:" + std::to_string(ntohs(address.sin_port));
  expect_http(host);
  options_.retry.attempts = 1;
  const auto begin = Clock::now();
  pull({host, "team/app"}, blob_);
  EXPECT_EQ(outcome(), ErrorCode::unavailable);
  EXPECT_LT(Clock::now() - begin, 3s);
}

// Case B14: connections that break in the middle, and wrong ranges.
TEST_F(RegistryTransfer, BrokenDownloadsGoOnWhereTheyEnded) {
  for (const std::size_t cut : {bytes_.size() / 100, bytes_.size() / 2, bytes_.size() - 200}) {
    std::mutex mutex;
    std::vector<std::string> heads;
    RawServer server([&](RawConnection& connection) {
      const std::string request = connection.read_head();
      {
        const std::lock_guard lock(mutex);
        heads.push_back(request);
      }
      const std::size_t at = request.find("Range: bytes=");
      if (at == request.npos) {
        connection.send(head(length(bytes_.size())) + bytes_.substr(0, cut));
        connection.pause(50ms);  // for the client to take what came: RST throws away the rest
        connection.reset_on_close();
        return;
      }
      const std::size_t from = std::stoul(request.substr(at + 13));
      const std::string total = std::to_string(bytes_.size());
      connection.send(head(length(bytes_.size() - from) + "Content-Range: bytes " +
                               std::to_string(from) + "-" + std::to_string(bytes_.size() - 1) +
                               "/" + total + "\r\n",
                           206) +
                      bytes_.substr(from));
    });
    EXPECT_EQ(pull_raw(server, blob_), bytes_) << cut;
    ASSERT_EQ(heads.size(), 2U) << cut;
    EXPECT_THAT(heads[1], HasSubstr("Range: bytes=" + std::to_string(cut) + "-")) << cut;
  }
}

TEST_F(RegistryTransfer, WrongRangesNeverGetIntoABlob) {
  const std::string rest = bytes_.substr(1000);
  const std::string total = "/" + std::to_string(bytes_.size());
  const std::string last = "-" + std::to_string(bytes_.size() - 1);
  struct Row {
    const char* name;
    ServerResponse answer;  // to a request for the rest
  };
  const Row rows[] = {
      {"the whole blob", {.body = bytes_}},
      {"another offset", {206, {{"Content-Range", "bytes 999" + last + total}}, rest}},
      {"from the beginning", {206, {{"Content-Range", "bytes 0" + last + total}}, bytes_}},
      {"another total", {206, {{"Content-Range", "bytes 1000" + last + "/77"}}, rest}},
      {"no range", {206, {}, rest}},
      {"garbage", {206, {{"Content-Range", "bytes */*"}}, rest}},
      {"several parts",
       {206, {{"Content-Type", "multipart/byteranges; boundary=x"}}, "--x\r\n\r\n" + rest}},
      {"not satisfiable", {416, {{"Content-Range", "bytes */5"}}, ""}},
  };
  for (const Row& row : rows) {
    int asked = 0;
    answer_ = [&](const ServerRequest& request) {
      ++asked;
      if (!request.header("Range").empty()) return row.answer;
      if (asked == 1) return ServerResponse{.body = bytes_, .cut_after = 1000};
      return ServerResponse{.body = bytes_};
    };
    EXPECT_EQ(pull(blob_), bytes_) << row.name;
    EXPECT_EQ(outcome(), std::nullopt) << row.name;
    EXPECT_LE(asked, 3) << row.name;
  }
}

TEST_F(RegistryTransfer, TheDigestSpansWhatWasJoined) {
  answer_ = [&](const ServerRequest& request) {
    if (request.header("Range").empty()) return ServerResponse{.body = bytes_, .cut_after = 1000};
    std::string forged = bytes_.substr(1000);
    forged[5000] = '!';
    return ServerResponse{.status = 206,
                          .headers = {{"Content-Range", "bytes 1000-199999/200000"}},
                          .body = std::move(forged)};
  };
  pull(blob_);
  EXPECT_EQ(outcome(), ErrorCode::corrupt);
  EXPECT_THAT(error_->what(), HasSubstr("its digest is"));
}

// Case B15: registries that are busy, and say when to come back.
TEST_F(RegistryTransfer, BusyRegistriesAreAskedAgainWithinReason) {
  struct Row {
    int status;
    const char* retry_after;
    int requests;  // in all
    std::chrono::milliseconds least_wait;
  };
  options_.retry = {};  // six attempts
  const Row rows[] = {
      {429, "5", 6, 25s},
      {503, "5", 6, 25s},
      {429, "Fri, 31 Dec 1999 23:59:59 GMT", 6, 0s},
      {429, "60", 5, 240s},  // the budget of five minutes ends it
      {429, "61", 1, 0s},
      {429, "99999999", 1, 0s},
      {429, "99999999999999999999999", 1, 0s},
      {503, "Fri, 31 Dec 2099 23:59:59 GMT", 1, 0s},
      {429, "-5", 6, 0s},
      {429, "soon", 6, 0s},
      {503, "", 6, 0s},
      {500, "", 6, 0s},
      {502, "", 6, 0s},
      {504, "", 6, 0s},
      {522, "", 6, 0s},
      {408, "", 6, 0s},
      {425, "", 6, 0s},
      {400, "5", 1, 0s},
      {403, "5", 1, 0s},
      {404, "5", 1, 0s},
      {410, "", 1, 0s},
      {501, "", 1, 0s},
  };
  for (const Row& row : rows) {
    std::atomic<int> asked = 0;
    answer_ = [&](const ServerRequest&) {
      ++asked;
      return ServerResponse{.status = row.status, .headers = {{"Retry-After", row.retry_after}}};
    };
    slept_ = 0ms;
    pull(blob_);
    EXPECT_TRUE(error_) << row.status << row.retry_after;
    EXPECT_GE(asked, row.requests) << row.status << row.retry_after;
    // More for a registry that has answered before.
    EXPECT_LE(asked, row.requests == 6 ? 9 : row.requests) << row.status << row.retry_after;
    EXPECT_GE(slept_, row.least_wait) << row.status << row.retry_after;
    EXPECT_LE(slept_, 300s) << row.status << row.retry_after;
    if (row.requests == 1 && row.status == 429) {
      ASSERT_FALSE(error_->notes().empty());
      EXPECT_THAT(error_->notes()[0], HasSubstr("wait"));
    }
  }
}

}  // namespace
}  // namespace strake::registry
