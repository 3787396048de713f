// Who is on the other side: certificates, old TLS, plain http, client certificates, proxies.

#include <cstdlib>
#include <thread>

#include "registry/base64.h"
#include "tests/security/registry_fixture.h"
#include "tests/support/fake_transport.h"
#include "tests/support/raw_server.h"
#include "tests/support/tls_front.h"

namespace strake::registry {
namespace {

using support::Certificates;
using support::FakeTransport;
using support::HttpServer;
using support::RawConnection;
using support::RawServer;
using support::TlsFront;
using testing::code_of;
using testing::ErrorCode;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using testing::ServerRequest;
using testing::ServerResponse;
using namespace std::chrono_literals;

class RegistryTls : public testing::HostileRegistry {
 protected:
  RegistryTls() {
    answer_ = [this](const ServerRequest& request) {
      seen_.push_back(request.target);
      return ServerResponse{.body = bytes_};
    };
  }

  /// `host` speaks TLS; `ca_file` is trusted for it.
  oci::Repository with_tls(const std::string& host, const std::string& ca_file = "",
                           const std::string& client_certificate = "") {
    RegistryRule rule{.scope = parse_registry_scope(host), .source = "test"};
    rule.connection.http = false;
    if (!ca_file.empty()) rule.connection.ca_files = {ca_file};
    rule.connection.cert_file = rule.connection.key_file = client_certificate;
    options_.registries.add({rule});
    forget();
    return {host, "team/app"};
  }

  static Certificates& certificates() {
    static Certificates made;
    static const bool once = (made.make_ca(), made.make("good", "IP:127.0.0.1"), true);
    (void)once;
    return made;
  }

  const std::string bytes_ = "what is to be fetched";
  std::vector<std::string> seen_;
};

// Case B12: servers that are not who they say, or cannot prove it by today's means.
TEST_F(RegistryTls, ServersThatCannotProveWhoTheyAreAreRefused) {
  Certificates& made = certificates();
  const std::string good = made.path("good.pem");
  struct Row {
    const char* name;
    std::string pem;
    std::vector<std::string> options;
    bool trusted = true;
  };
  const Row rows[] = {
      {"no trusted CA", good, {}, false},
      {"self-signed", made.make_ca("self"), {}},
      {"expired", made.make("expired", "IP:127.0.0.1", -1), {}},
      {"another host", made.make("other", "DNS:reg.example.com,IP:127.0.0.2"), {}},
      {"a name that only begins so", made.make("longer", "DNS:127.0.0.1.evil.com"), {}},
      {"a key of 512 bits", made.make("small", "IP:127.0.0.1", 2, 512), {}},
      {"TLS 1.0", good, {"min=1.0", "max=1.0"}},
      {"TLS 1.1", good, {"min=1.0", "max=1.1"}},
  };
  options_.retry.attempts = 2;
  for (const Row& row : rows) {
    TlsFront front(server_.port(), row.pem, row.options);
    const auto repository =
        with_tls("127.0.0.1:" + front.port(), row.trusted ? made.path("ca.crt") : std::string());
    pull(repository, blob_of(bytes_));
    ASSERT_TRUE(error_) << row.name;
    EXPECT_TRUE(outcome() == ErrorCode::denied || outcome() == ErrorCode::unavailable) << row.name;
  }
  EXPECT_THAT(seen_, IsEmpty());

  TlsFront front(server_.port(), good, {"min=1.2", "max=1.2"});
  EXPECT_EQ(pull(with_tls("127.0.0.1:" + front.port(), made.path("ca.crt")), blob_of(bytes_)),
            bytes_);
}

TEST_F(RegistryTls, WhoIsRefusedIsToldHowToBeTrusted) {
  TlsFront front(server_.port(), certificates().path("good.pem"));
  pull(with_tls("127.0.0.1:" + front.port()), blob_of(bytes_));
  ASSERT_EQ(outcome(), ErrorCode::denied);
  EXPECT_THAT(error_->hint(), HasSubstr("/etc/docker/certs.d/127.0.0.1:" + front.port()));
}

TEST(RegistryPlainHttp, IsForThisMachineAndForThoseTheUserNames) {
  const std::string bytes = "blob";
  const oci::Descriptor blob{"x", base::Digest::of(bytes), bytes.size()};
  const auto schemes_asked = [&](const std::string& host, bool insecure) {
    FakeTransport http;  // a server without TLS
    http.serve("http://" + host,
               [&](const ServerRequest&) { return ServerResponse{.body = bytes}; });
    ClientOptions options;
    options.certificate_directories = {};
    options.retry.attempts = 1;
    if (insecure) options.registries.add(insecure_registries({host}, "test"));
    const Credentials credentials;
    Client client(http, credentials, options);
    base::StringSink sink;
    try {
      client.get_blob({host, "a"}, blob, sink);
    } catch (const base::Error&) {
    }
    std::set<std::string> schemes;
    for (const ServerRequest& r : http.requests())
      schemes.insert(r.origin.substr(0, r.origin.find(':')));
    return schemes;
  };
  using Schemes = std::set<std::string>;
  for (const char* host : {"reg.example.com", "reg.example.com:5000", "10.0.0.1:5000",
                           "localhost.example.com:5000", "127.0.0.1.nip.io:5000"})
    EXPECT_EQ(schemes_asked(host, false), Schemes{"https"}) << host;
  for (const char* host : {"localhost:5000", "127.0.0.1:5000", "127.5.5.5:5000", "[::1]:5000"})
    EXPECT_EQ(schemes_asked(host, false), Schemes{"http"}) << host;
  EXPECT_EQ(schemes_asked("reg.example.com:5000", true), (Schemes{"http", "https"}));
}

TEST_F(RegistryTls, RedirectsToPlainHttpAreRefused) {
  Certificates& made = certificates();
  HttpServer plain([&](const ServerRequest&) { return ServerResponse{.body = bytes_}; });
  HttpServer registry([&](const ServerRequest&) {
    return ServerResponse{.status = 307, .headers = {{"Location", plain.url("/blob")}}};
  });
  TlsFront front(registry.port(), made.path("good.pem"));
  pull(with_tls("127.0.0.1:" + front.port(), made.path("ca.crt")), blob_of(bytes_));
  EXPECT_EQ(outcome(), ErrorCode::denied);
  EXPECT_THAT(plain.requests(), IsEmpty());
}

TEST_F(RegistryTls, ClientCertificatesStayWithTheirRegistry) {
  Certificates& made = certificates();
  made.make("client", "DNS:client");
  const std::string client_ca = "client_ca=" + made.path("ca.crt");
  TlsFront storage(server_.port(), made.path("good.pem"), {client_ca});
  HttpServer registry([&](const ServerRequest&) {
    return ServerResponse{.status = 307, .headers = {{"Location", storage.url("/blob")}}};
  });
  TlsFront front(registry.port(), made.path("good.pem"), {client_ca});
  // The storage's certificate is of a CA that only the registry was trusted with.
  pull(with_tls("127.0.0.1:" + front.port(), made.path("ca.crt"), made.path("client.pem")),
       blob_of(bytes_));
  EXPECT_EQ(outcome(), ErrorCode::denied);
  EXPECT_THAT(front.line(), HasSubstr("client"));
  EXPECT_THAT(storage.line(), HasSubstr("refused"));

  // Once more with a storage that the machine trusts.
  setenv("SSL_CERT_FILE", made.path("ca.crt").c_str(), 1);
  const std::string got = pull({"127.0.0.1:" + front.port(), "team/app"}, blob_of(bytes_));
  unsetenv("SSL_CERT_FILE");
  if (!error_) {
    EXPECT_EQ(got, bytes_);
    EXPECT_THAT(storage.line(), HasSubstr("anonymous"));
  }
}

TEST_F(RegistryTls, ConnectionsAreNotSharedBetweenCertificates) {
  Certificates& made = certificates();
  made.make("client", "DNS:client");
  TlsFront front(server_.port(), made.path("good.pem"), {"client_ca=" + made.path("ca.crt")});
  HttpRequest request{.url = front.url("/")};
  request.tls.ca_file = made.path("ca.crt");
  request.tls.cert_file = request.tls.key_file = made.path("client.pem");
  EXPECT_EQ(http_.perform(request, {}).status, 200);
  EXPECT_THAT(front.line(), HasSubstr("client"));
  request.tls.cert_file = request.tls.key_file = "";
  EXPECT_EQ(http_.perform(request, {}).status, 200);
  EXPECT_THAT(front.line(), HasSubstr("anonymous"));
  request.tls.ca_file = "";
  EXPECT_EQ(code_of([&] { http_.perform(request, {}); }), ErrorCode::denied);
  request.tls.verify = false;
  EXPECT_EQ(http_.perform(request, {}).status, 200);
  request.tls.verify = true;
  EXPECT_EQ(code_of([&] { http_.perform(request, {}); }), ErrorCode::denied);
}

/// Everything that is logged while it lives, at the level debug.
class LogCapture {
 public:
  LogCapture() {
    base::set_log_level(base::LogLevel::debug);
    base::set_log_sink(
        [](base::LogLevel, std::string_view line, void* self) {
          static_cast<LogCapture*>(self)->text_.append(line).append("\n");
        },
        this);
  }
  ~LogCapture() {
    base::set_log_sink(nullptr, nullptr);
    base::set_log_level(base::LogLevel::warning);
  }
  const std::string& text() const { return text_; }

 private:
  std::string text_;
};

/// A proxy of the environment, with a password.
class RegistryProxy : public RegistryTls {
 protected:
  ~RegistryProxy() override {
    for (const char* name : {"http_proxy", "https_proxy", "no_proxy"}) unsetenv(name);
  }
  static void use_proxy(const std::string& host) {
    const std::string url = "http://proxyuser:c4n4ry-proxy@" + host;
    setenv("http_proxy", url.c_str(), 1);
    setenv("https_proxy", url.c_str(), 1);
    unsetenv("no_proxy");
    unsetenv("NO_PROXY");
  }
  void expect_untold(const std::string& text) const {
    EXPECT_THAT(text, Not(HasSubstr("c4n4ry")));
    EXPECT_THAT(text, Not(HasSubstr(base64_encoded("proxyuser:c4n4ry-proxy"))));
  }
};

// Case B27: proxies, their passwords and their lies.
TEST_F(RegistryProxy, PasswordsStayWithTheProxy) {
  const LogCapture log;
  Certificates& made = certificates();
  made.make("reg", "DNS:reg.example.com");
  HttpServer behind([&](const ServerRequest&) { return ServerResponse{.body = bytes_}; });
  TlsFront front(behind.port(), made.path("reg.pem"));
  std::mutex mutex;
  std::vector<std::string> connects;
  RawServer proxy([&](RawConnection& connection) {
    {
      const std::string head = connection.read_head();
      const std::lock_guard lock(mutex);
      connects.push_back(head);
    }
    connection.send("HTTP/1.1 200 OK\r\n\r\n");
    connection.tunnel(static_cast<std::uint16_t>(std::stoi(front.port())));
  });
  use_proxy(proxy.host());
  EXPECT_EQ(pull(with_tls("reg.example.com", made.path("ca.crt")), blob_of(bytes_)), bytes_)
      << (error_ ? error_->what() : "");
  ASSERT_EQ(connects.size(), 1U);
  EXPECT_THAT(connects[0], ::testing::StartsWith("CONNECT reg.example.com:443 "));
  EXPECT_THAT(connects[0], HasSubstr(base64_encoded("proxyuser:c4n4ry-proxy")));
  for (const ServerRequest& request : behind.requests()) {
    EXPECT_EQ(request.header("Proxy-Authorization"), "");
    EXPECT_EQ(request.header("Authorization"), "");
  }
  expect_untold(log.text());
}

TEST_F(RegistryProxy, ThatRefusesIsExplained) {
  const LogCapture log;
  HttpServer proxy([](const ServerRequest&) {
    return ServerResponse{.status = 407, .headers = {{"Proxy-Authenticate", "Basic realm=\"p\""}}};
  });
  use_proxy(proxy.host());
  pull(with_tls("reg.example.com"), blob_of(bytes_));
  ASSERT_EQ(outcome(), ErrorCode::denied);
  EXPECT_THAT(error_->what(), HasSubstr("proxy"));
  EXPECT_THAT(error_->hint(), HasSubstr("https_proxy"));
  expect_untold(error_->what());
  EXPECT_LE(proxy.requests().size(), 2U);

  expect_http("reg.example.com:5000");
  pull({"reg.example.com:5000", "team/app"}, blob_of(bytes_));
  ASSERT_EQ(outcome(), ErrorCode::denied);
  EXPECT_THAT(error_->what(), HasSubstr("407"));
  EXPECT_THAT(error_->hint(), HasSubstr("proxy"));
  expect_untold(log.text() + error_->what());
}

TEST_F(RegistryProxy, ThatLiesIsNotTheRegistry) {
  Certificates& made = certificates();
  TlsFront front(server_.port(), made.path("good.pem"));  // for 127.0.0.1 only
  const std::pair<const char*, RawServer::Serve> lies[] = {
      {"another server",
       [&](RawConnection& c) {
         c.send("HTTP/1.1 200 OK\r\n\r\n");
         c.tunnel(static_cast<std::uint16_t>(std::stoi(front.port())));
       }},
      {"no TLS",
       [&](RawConnection& c) {
         c.send("HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: " +
                std::to_string(bytes_.size()) + "\r\n\r\n" + bytes_);
       }},
      {"an answer of its own",
       [&](RawConnection& c) {
         c.send("HTTP/1.1 502 Bad\r\nContent-Length: " + std::to_string(bytes_.size()) +
                "\r\n\r\n" + bytes_);
       }},
  };
  options_.retry.attempts = 1;
  for (const auto& [name, lie] : lies) {
    RawServer proxy([&lie = lie](RawConnection& connection) {
      connection.read_head();
      lie(connection);
    });
    use_proxy(proxy.host());
    EXPECT_EQ(pull(with_tls("reg.example.com", made.path("ca.crt")), blob_of(bytes_)), "") << name;
    EXPECT_TRUE(error_) << name;
  }
  EXPECT_THAT(seen_, IsEmpty());
}

TEST_F(RegistryProxy, IsNotUsedForHostsOfNoProxy) {
  HttpServer proxy([&](const ServerRequest&) { return ServerResponse{.body = bytes_}; });
  use_proxy(proxy.host());
  setenv("no_proxy", "other.example,reg.invalid", 1);
  options_.retry.attempts = 1;
  expect_http("reg.invalid");
  pull({"reg.invalid", "team/app"}, blob_of(bytes_));
  EXPECT_EQ(outcome(), ErrorCode::unavailable);
  EXPECT_THAT(proxy.requests(), IsEmpty());
}

}  // namespace
}  // namespace strake::registry
