// Servers that stop in the middle of a blob without closing the connection: the transfer is given
// up and goes on where it ended.
#include <atomic>

#include "layers/base/error.h"
#include "registry/client.h"
#include "registry/curl_transport.h"
#include "tests/registry/client_fixture.h"
#include "tests/support/http_server.h"
#include "tests/support/raw_server.h"

namespace strake::registry {
namespace {

using namespace std::chrono_literals;
using support::HttpServer;
using support::RawConnection;
using support::RawServer;
using support::ServerRequest;
using support::ServerResponse;

std::uint64_t number_after(const std::string& text, const std::string& name) {
  const std::size_t at = support::lower_case(text).find(name);
  return at == text.npos ? 0 : std::stoull(text.substr(at + name.size()));
}

class StalledTransfer : public ::testing::Test {
 protected:
  static ClientOptions options() {
    ClientOptions options;
    options.certificate_directories = {};
    options.retry.first_delay = 1ms;
    options.sizes.monolithic_bytes = 1000;
    return options;
  }
  static oci::Descriptor blob_of(const std::string& bytes) {
    return {"application/octet-stream", base::Digest::of(bytes), bytes.size()};
  }

  CurlTransport http_{{.pace = {.answer = 400ms, .bytes_per_second = 1024, .window = 400ms}}};
  const Credentials credentials_;
  Client client_{http_, credentials_, options()};
};

TEST_F(StalledTransfer, UploadThatIsNotReadAnyMoreGoesOn) {
  // More than the sockets hold; the first chunk's reader falls asleep.
  const std::string bytes(32 << 20, 'b');
  std::atomic<std::uint64_t> stored = 0;
  std::atomic<int> patches = 0;
  const auto serve = [&](RawConnection& connection) {
    for (;;) {
      const std::string head = connection.read_head();
      if (head.starts_with("GET /v2/ ")) {
        connection.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
      } else if (head.starts_with("POST")) {
        connection.send("HTTP/1.1 202 Accepted\r\nLocation: /up/1\r\nContent-Length: 0\r\n\r\n");
      } else if (head.starts_with("GET /up/1")) {
        connection.send("HTTP/1.1 204 No Content\r\nRange: 0-" + std::to_string(stored - 1) +
                        "\r\n\r\n");
      } else if (head.starts_with("PATCH")) {
        EXPECT_EQ(number_after(head, "content-range: "), stored);
        std::uint64_t left = number_after(head, "content-length: ");
        const bool sleepy = patches++ == 0;
        while (left > 0) {
          const std::size_t count = connection.read_some().size();
          if (count == 0) return;
          left -= count;
          stored += count;
          if (sleepy) return connection.hang();
        }
        connection.send("HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n");
      } else if (head.starts_with("PUT /up/1")) {
        connection.send("HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n");
      } else {
        return;
      }
    }
  };
  RawServer server(serve);
  client_.put_blob({server.host(), "app"}, blob_of(bytes), [&](std::uint64_t offset) {
    return std::make_unique<base::StringSource>(bytes, offset);
  });
  EXPECT_EQ(stored, bytes.size());
  EXPECT_EQ(patches, 2);
}

TEST_F(StalledTransfer, ChunkWithoutAnAnswerIsAskedFor) {
  testing::FakeRegistry registry;
  std::atomic<int> patches = 0;
  HttpServer server([&](const ServerRequest& request) {
    const ServerResponse response = registry(request);
    if (request.method == "PATCH" && patches++ == 0) std::this_thread::sleep_for(1s);
    return response;
  });
  const std::string bytes(5000, 'b');
  client_.put_blob({server.host(), "app"}, blob_of(bytes), [&](std::uint64_t offset) {
    return std::make_unique<base::StringSource>(bytes, offset);
  });
  EXPECT_TRUE(registry.has_blob("app", base::Digest::of(bytes)));
  EXPECT_EQ(patches, 1);
}

TEST_F(StalledTransfer, DownloadThatStopsGoesOn) {
  const std::string bytes = std::string(3000, 'a') + std::string(2000, 'b');
  std::atomic<int> requests = 0;
  RawServer server([&](RawConnection& connection) {
    for (;;) {
      const std::string head = connection.read_head();
      if (head.starts_with("GET /v2/ ")) {
        connection.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
      } else if (!head.starts_with("GET")) {
        return;
      } else if (requests++ == 0) {
        connection.send("HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n" + bytes.substr(0, 3000));
        return connection.hang();
      } else {
        EXPECT_EQ(number_after(head, "range: bytes="), 3000u);
        connection.send(
            "HTTP/1.1 206 Partial Content\r\nContent-Length: 2000\r\n"
            "Content-Range: bytes 3000-4999/5000\r\n\r\n" +
            bytes.substr(3000));
      }
    }
  });
  base::StringSink sink;
  client_.get_blob({server.host(), "app"}, blob_of(bytes), sink);
  EXPECT_EQ(sink.text, bytes);
  EXPECT_EQ(requests, 2);
}

}  // namespace
}  // namespace strake::registry
