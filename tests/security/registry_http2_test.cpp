// HTTP/2 over TLS: it is used, and servers that close it in the middle are asked again.

#include "tests/security/registry_fixture.h"
#include "tests/support/raw_server.h"
#include "tests/support/tls_front.h"

namespace strake::registry {
namespace {

using support::Certificates;
using support::RawConnection;
using support::RawServer;
using support::TlsFront;
using testing::ErrorCode;
using namespace std::chrono_literals;

/// A frame of HTTP/2 (RFC 9113, 4.1).
std::string frame(char type, char flags, std::uint32_t stream, const std::string& payload) {
  std::string text;
  for (const int shift : {16, 8, 0})
    text += static_cast<char>(payload.size() >> static_cast<unsigned>(shift));
  text += type;
  text += flags;
  for (const int shift : {24, 16, 8, 0})
    text += static_cast<char>(stream >> static_cast<unsigned>(shift));
  return text + payload;
}
const std::string kSettings = frame(4, 0, 0, "") + frame(4, 1, 0, "");
/// HEADERS with ":status: 200" (index 8 of HPACK's static table), then DATA that ends the stream.
std::string answer(std::uint32_t stream, const std::string& body) {
  return frame(1, 4, stream, "\x88") + frame(0, 1, stream, body);
}

class RegistryHttp2 : public testing::HostileRegistry {
 protected:
  RegistryHttp2() {
    made_.make_ca();
    made_.make("reg", "IP:127.0.0.1");
  }
  std::string pull_from(const TlsFront& front) {
    RegistryRule rule{.scope = parse_registry_scope("127.0.0.1:" + front.port()), .source = "test"};
    rule.connection.http = false;
    rule.connection.ca_files = {made_.path("ca.crt")};
    options_.registries.add({rule});
    forget();
    return pull({"127.0.0.1:" + front.port(), "team/app"}, blob_of(bytes_));
  }

  Certificates made_;
  const std::string bytes_ = "what is to be fetched";
};

TEST_F(RegistryHttp2, IsUsedAndItsConnectionsAreUsedAgain) {
  RawServer server([&](RawConnection& connection) {
    connection.send(kSettings);
    // One answer for each HEADERS frame that comes; libcurl's streams are 1, 3, 5, …
    std::string seen = connection.read_some();
    for (std::uint32_t stream = 1; stream <= 5; stream += 2) {
      const std::string id = {'\0', '\0', '\0', static_cast<char>(stream)};
      while (seen.find("\x01\x05" + id) == seen.npos) {
        const std::string more = connection.read_some();
        if (more.empty()) return;
        seen += more;
      }
      connection.send(answer(stream, bytes_));
    }
    connection.hang();
  });
  TlsFront front(server.port(), made_.path("reg.pem"), {"alpn=h2"});
  for (int i = 0; i < 3; ++i) {
    const std::string host = "127.0.0.1:" + front.port();
    EXPECT_EQ(i == 0 ? pull_from(front) : pull({host, "team/app"}, blob_of(bytes_)), bytes_)
        << (error_ ? error_->what() : "");
  }
  EXPECT_EQ(front.line(), "alpn h2 anonymous");
  EXPECT_EQ(server.connections(), 1);
}

TEST_F(RegistryHttp2, StreamsThatAreResetAndConnectionsThatCloseAreTriedAgain) {
  const std::pair<const char*, std::string> ends[] = {
      {"RST_STREAM, refused", frame(3, 0, 1, {'\0', '\0', '\0', '\7'})},
      {"RST_STREAM, internal error", frame(3, 0, 1, {'\0', '\0', '\0', '\2'})},
      {"RST_STREAM in the body",
       frame(1, 4, 1, "\x88") + frame(0, 0, 1, "what") + frame(3, 0, 1, {'\0', '\0', '\0', '\2'})},
      {"GOAWAY", frame(7, 0, 0, std::string(8, '\0'))},
      {"GOAWAY, calm down", frame(7, 0, 0, std::string(7, '\0') + "\x0b")},
      {"nonsense", "HTTP/1.1 400 Bad Request\r\n\r\n"},
      {"the end", ""},
  };
  for (const auto& [name, end] : ends) {
    std::atomic<int> connections = 0;
    RawServer server([&, &end = end](RawConnection& connection) {
      const bool first = connections++ == 0;
      connection.send(kSettings);
      connection.read_some();
      connection.pause(100ms);  // for the request to arrive whole
      connection.send(first ? end : answer(1, bytes_));
      if (!first) connection.hang();
      connection.pause(50ms);
    });
    TlsFront front(server.port(), made_.path("reg.pem"), {"alpn=h2"});
    EXPECT_EQ(pull_from(front), bytes_) << name << ": " << (error_ ? error_->what() : "");
    EXPECT_EQ(connections, 2) << name;
  }
}

}  // namespace
}  // namespace strake::registry
