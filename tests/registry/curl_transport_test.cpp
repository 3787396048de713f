#include "registry/curl_transport.h"

#include <chrono>
#include <cstdlib>
#include <thread>

#include "registry/client.h"
#include "tests/registry/expect_error.h"
#include "tests/registry/fake_registry.h"
#include "tests/support/http_server.h"

namespace strake::registry {
namespace {

using base::ErrorCode;
using support::HttpServer;
using support::ServerRequest;
using support::ServerResponse;
using testing::code_of;
using ::testing::HasSubstr;
using namespace std::chrono_literals;

HttpRequest request(const std::string& method, const std::string& url) {
  return {.method = method, .url = url};
}

class CurlTransportTest : public ::testing::Test {
 protected:
  HttpResponse perform(const HttpRequest& request) { return http_.perform(request, {}); }

  CurlTransport http_;
};

TEST_F(CurlTransportTest, CollectsAnAnswer) {
  HttpServer server([](const ServerRequest&) {
    return ServerResponse{.status = 404, .headers = {{"X-Test", "yes"}}, .body = "not here"};
  });
  HttpRequest get = request("GET", server.url("/a?b=c"));
  get.headers.add("X-Mine", "1");
  const HttpResponse response = perform(get);
  EXPECT_EQ(response.status, 404);
  EXPECT_EQ(response.body, "not here");
  EXPECT_EQ(response.headers.get("x-test"), "yes");
  const ServerRequest seen = server.requests().at(0);
  EXPECT_EQ(seen.line(), "GET /a?b=c");
  EXPECT_EQ(seen.header("X-Mine"), "1");
  EXPECT_THAT(seen.header("User-Agent"), ::testing::StartsWith("strake/"));
  EXPECT_EQ(seen.header("Accept-Encoding"), "");
  EXPECT_EQ(seen.header("Authorization"), "");
  EXPECT_EQ(seen.header("Cookie"), "");
}

TEST_F(CurlTransportTest, StreamsWhereTheRequestSays) {
  const std::string body(3'000'000, 'x');
  HttpServer server([&](const ServerRequest&) { return ServerResponse{.body = body}; });
  base::StringSink sink;
  HttpRequest get = request("GET", server.url());
  int routed = 0;
  get.route = [&](const HttpResponse& head) {
    ++routed;
    EXPECT_EQ(head.headers.get("Content-Length"), "3000000");
    return &sink;
  };
  EXPECT_EQ(perform(get).body, "");
  EXPECT_EQ(sink.text, body);
  EXPECT_EQ(routed, 1);
}

TEST_F(CurlTransportTest, RoutesAnEmptyBodyToo) {
  HttpServer server([](const ServerRequest&) { return ServerResponse{}; });
  HttpRequest get = request("GET", server.url());
  int routed = 0;
  get.route = [&](const HttpResponse&) {
    ++routed;
    return nullptr;
  };
  perform(get);
  EXPECT_EQ(routed, 1);
}

TEST_F(CurlTransportTest, CollectedBodiesAreCutOff) {
  HttpServer server([](const ServerRequest&) {
    return ServerResponse{.status = 500, .body = std::string(1'000'000, 'e')};
  });
  EXPECT_EQ(perform(request("GET", server.url())).body.size(), kCollectedBodyBytes);
}

TEST_F(CurlTransportTest, SendsBodiesWithTheirLength) {
  HttpServer server([](const ServerRequest&) { return ServerResponse{.status = 201}; });
  for (const char* method : {"PUT", "POST", "PATCH"}) {
    for (const std::size_t size : {0u, 10u, 2'000'000u}) {
      base::StringSource source(std::string(size, 'b'));
      HttpRequest put = request(method, server.url("/up"));
      put.body = &source;
      put.body_size = size;
      put.headers.add("Content-Type", "application/octet-stream");
      EXPECT_EQ(perform(put).status, 201) << method << size;
      const ServerRequest seen = server.requests().back();
      EXPECT_EQ(seen.method, method);
      EXPECT_EQ(seen.body, std::string(size, 'b'));
      EXPECT_EQ(seen.header("Content-Length"), std::to_string(size)) << method;
      EXPECT_EQ(seen.header("Expect"), "");
      EXPECT_EQ(seen.header("Content-Type"), "application/octet-stream");
    }
  }
  perform(request("POST", server.url()));
  EXPECT_EQ(server.requests().back().header("Content-Type"), "");
  EXPECT_EQ(perform(request("DELETE", server.url())).status, 201);
  EXPECT_EQ(server.requests().back().method, "DELETE");
}

TEST_F(CurlTransportTest, HeadHasNoBody) {
  HttpServer server([](const ServerRequest&) {
    return ServerResponse{.headers = {{"Content-Length", "123456"}}};
  });
  const HttpResponse response = perform(request("HEAD", server.url()));
  EXPECT_EQ(response.status, 200);
  EXPECT_EQ(response.headers.get("Content-Length"), "123456");
}

TEST_F(CurlTransportTest, RedirectsAreReturned) {
  HttpServer server([](const ServerRequest&) {
    return ServerResponse{.status = 302, .headers = {{"Location", "/elsewhere"}}};
  });
  EXPECT_EQ(perform(request("GET", server.url())).status, 302);
  EXPECT_EQ(server.requests().size(), 1u);
}

TEST_F(CurlTransportTest, ConnectionsAreUsedAgain) {
  HttpServer server([](const ServerRequest&) { return ServerResponse{.body = "ok"}; });
  HttpServer other([](const ServerRequest&) { return ServerResponse{.body = "ok"}; });
  for (int i = 0; i < 10; ++i) {
    perform(request("GET", server.url()));
    perform(request("GET", other.url()));
  }
  EXPECT_EQ(server.connections(), 1);
  EXPECT_EQ(other.connections(), 1);
}

TEST_F(CurlTransportTest, ThreadsDoNotDisturbEachOther) {
  HttpServer server([](const ServerRequest& r) {
    return ServerResponse{.body = std::string(50'000, r.target[1])};
  });
  std::vector<std::jthread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&, letter = static_cast<char>('a' + i)] {
      for (int k = 0; k < 20; ++k) {
        EXPECT_EQ(perform(request("GET", server.url(std::string("/") + letter))).body,
                  std::string(50'000, letter));
      }
    });
  }
  threads.clear();
  EXPECT_LE(server.connections(), 8);
}

TEST_F(CurlTransportTest, BodyThatEndsEarlyIsUnavailable) {
  HttpServer server([](const ServerRequest&) {
    return ServerResponse{
        .headers = {{"Content-Length", "1000"}}, .body = std::string(1000, 'x'), .cut_after = 400};
  });
  base::StringSink sink;
  HttpRequest get = request("GET", server.url());
  get.route = [&](const HttpResponse&) { return &sink; };
  EXPECT_EQ(code_of([&] { perform(get); }), ErrorCode::unavailable);
  EXPECT_EQ(sink.text.size(), 400u);
}

TEST_F(CurlTransportTest, NobodyThereIsUnavailableAndTheQueryIsNotShown) {
  std::string url;
  {
    HttpServer gone([](const ServerRequest&) { return ServerResponse{}; });
    url = gone.url("/x?token=S3CR3T");
  }
  const base::Error error = testing::error_of([&] { perform(request("GET", url)); });
  EXPECT_EQ(error.code(), ErrorCode::unavailable);
  EXPECT_THAT(error.what(), HasSubstr("127.0.0.1"));
  EXPECT_THAT(error.what(), ::testing::Not(HasSubstr("S3CR3T")));
}

TEST_F(CurlTransportTest, ErrorsOfSinksAndSourcesComeOut) {
  struct FullSink final : base::ByteSink {
    void write(std::span<const std::byte>) override {
      throw base::Error(ErrorCode::system, "disk is full");
    }
  };
  HttpServer server([](const ServerRequest&) { return ServerResponse{.body = "data"}; });
  FullSink sink;
  HttpRequest get = request("GET", server.url());
  get.route = [&](const HttpResponse&) { return &sink; };
  EXPECT_STREQ(testing::error_of([&] { perform(get); }).what(), "disk is full");

  base::StringSource source("short");
  HttpRequest put = request("PUT", server.url());
  put.body = &source;
  put.body_size = 10;
  EXPECT_EQ(code_of([&] { perform(put); }), ErrorCode::corrupt);
  EXPECT_EQ(perform(request("GET", server.url())).status, 200);  // it goes on working
}

TEST_F(CurlTransportTest, HugeHeadersAreRefused) {
  std::string lines;
  HttpServer server([&](const ServerRequest&) {
    return ServerResponse{.raw = "HTTP/1.1 200 OK\r\n" + lines + "Content-Length: 0\r\n\r\n"};
  });
  for (int i = 0; i < 120; ++i) lines += "X-" + std::to_string(i) + ": y\r\n";
  EXPECT_EQ(code_of([&] { perform(request("GET", server.url())); }), ErrorCode::corrupt);
  lines = "X: " + std::string(70'000, 'y') + "\r\n";
  EXPECT_EQ(code_of([&] { perform(request("GET", server.url())); }), ErrorCode::corrupt);
}

TEST_F(CurlTransportTest, NonsenseIsUnavailable) {
  HttpServer server([](const ServerRequest&) { return ServerResponse{.raw = "SSH-2.0-x\r\n"}; });
  EXPECT_EQ(code_of([&] { perform(request("GET", server.url())); }), ErrorCode::unavailable);
}

TEST_F(CurlTransportTest, OtherSchemesAreRefused) {
  for (const char* url : {"file:///etc/passwd", "ftp://127.0.0.1/", "dict://127.0.0.1/"}) {
    EXPECT_EQ(code_of([&] { perform(request("GET", url)); }), ErrorCode::corrupt) << url;
  }
}

TEST_F(CurlTransportTest, StoppingInterruptsAtOnce) {
  HttpServer server([](const ServerRequest&) {
    std::this_thread::sleep_for(1500ms);
    return ServerResponse{};
  });
  std::stop_source stop;
  std::jthread stopper([&] {
    std::this_thread::sleep_for(100ms);
    stop.request_stop();
  });
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_EQ(code_of([&] { http_.perform(request("GET", server.url()), stop.get_token()); }),
            ErrorCode::cancelled);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, 1400ms);
}

TEST_F(CurlTransportTest, SilentServersAreGivenUp) {
  HttpServer server([](const ServerRequest&) {
    std::this_thread::sleep_for(3s);
    return ServerResponse{};
  });
  CurlTransport impatient({.pace = {.answer = 1s}});
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_EQ(code_of([&] { impatient.perform(request("GET", server.url()), {}); }),
            ErrorCode::unavailable);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, 2900ms);
}

TEST_F(CurlTransportTest, ProxiesOfTheEnvironmentAreUsedButNotForThisMachine) {
  HttpServer proxy([](const ServerRequest&) { return ServerResponse{.body = "from the proxy"}; });
  HttpServer server([](const ServerRequest&) { return ServerResponse{.body = "direct"}; });
  setenv("http_proxy", ("http://user:secretpw@" + proxy.host()).c_str(), 1);
  unsetenv("no_proxy");
  unsetenv("NO_PROXY");
  EXPECT_EQ(perform(request("GET", "http://reg.example.com/v2/")).body, "from the proxy");
  EXPECT_EQ(perform(request("GET", server.url())).body, "direct");
  setenv("no_proxy", "reg.example.invalid", 1);
  const base::Error error =
      testing::error_of([&] { perform(request("GET", "http://reg.example.invalid/")); });
  EXPECT_EQ(error.code(), ErrorCode::unavailable);
  EXPECT_THAT(error.what(), ::testing::Not(HasSubstr("secretpw")));
  unsetenv("http_proxy");
  unsetenv("no_proxy");
  EXPECT_EQ(proxy.requests().size(), 1u);
}

TEST_F(CurlTransportTest, CarriesAWholePushAndPull) {
  testing::FakeRegistry registry;
  HttpServer server([&](const ServerRequest& r) { return registry(r); });
  const Credentials credentials;
  Client client(http_, credentials);
  const oci::Repository repository{server.host(), "team/app"};
  const std::string bytes(1'000'000, 'z');
  const oci::Descriptor blob{"x", base::Digest::of(bytes), bytes.size()};
  client.put_blob(repository, blob, [&](std::uint64_t offset) {
    return std::make_unique<base::StringSource>(bytes, offset);
  });
  EXPECT_TRUE(client.has_blob(repository, blob.digest));
  base::StringSink sink;
  client.get_blob(repository, blob, sink);
  EXPECT_EQ(sink.text, bytes);
  EXPECT_EQ(server.connections(), 1);
}

}  // namespace
}  // namespace strake::registry
