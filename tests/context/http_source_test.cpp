#include "builder/context/http_source.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "registry/curl_transport.h"
#include "tests/base/expect_error.h"
#include "tests/context/web_fixture.h"
#include "tests/support/fake_transport.h"
#include "tests/support/http_server.h"

namespace strake::builder {
namespace {

using base::ErrorCode;
using base::expect_error;
using support::FakeTransport;
using support::HttpServer;
using support::ServerRequest;
using support::ServerResponse;
using testing::HasSubstr;
using testing::Not;

struct TextBody final : HttpBody {
  void write(std::span<const std::byte> bytes) override { text += base::text_of(bytes); }
  void restart() override {
    text.clear();
    ++restarts;
  }
  std::string text;
  int restarts = 0;
};

class HttpSourceTest : public testing::Test {
 protected:
  HttpAnswer get(const HttpGet& request) {
    return HttpSource(web_, options_).get(request, body_, {});
  }
  std::string refusal(ErrorCode code, const HttpGet& request) {
    return expect_error(code, [&] { get(request); });
  }
  ServerResponse redirect(const std::string& to) {
    return {.status = 302, .headers = {{"Location", to}}};
  }

  FakeTransport web_;
  TextBody body_;
  HttpSourceOptions options_ = hasty();
};

TEST_F(HttpSourceTest, GivesBodyAndWhatTheServerSaysAboutIt) {
  web_.serve("https://h", [](const ServerRequest&) {
    return ServerResponse{.headers = {{"ETag", "\"e\""},
                                      {"Last-Modified", "Thu, 26 Jan 2017 16:59:13 GMT"},
                                      {"Date", "Thu, 26 Jan 2017 17:59:13 GMT"},
                                      {"Content-Type", "text/plain"},
                                      {"Content-Disposition", "attachment; filename=\"n.txt\""}},
                          .body = "hello"};
  });
  const HttpAnswer answer = get({.url = "https://h/a b?q=1#frag"});
  EXPECT_EQ(body_.text, "hello");
  EXPECT_FALSE(answer.not_modified);
  EXPECT_EQ(answer.validators.etag, "\"e\"");
  EXPECT_EQ(answer.validators.last_modified, "Thu, 26 Jan 2017 16:59:13 GMT");
  EXPECT_EQ(answer.last_modified, 1485449953);
  EXPECT_EQ(answer.content_type, "text/plain");
  EXPECT_EQ(answer.disposition_name, "n.txt");
  EXPECT_EQ(web_.lines(), std::vector<std::string>{"GET https://h/a%20b?q=1"});
}

TEST_F(HttpSourceTest, DoesNotTrustTheTimeOfAFileThatMayStillChange) {
  web_.serve("https://h", [](const ServerRequest&) {
    return ServerResponse{.headers = {{"Last-Modified", "Thu, 26 Jan 2017 16:59:13 GMT"},
                                      {"Date", "Thu, 26 Jan 2017 16:59:20 GMT"}}};
  });
  const HttpAnswer answer = get({.url = "https://h/x"});
  EXPECT_TRUE(answer.validators.empty());
  EXPECT_EQ(answer.last_modified, 1485449953);
}

TEST_F(HttpSourceTest, AsksOnlyForWhatChanged) {
  web_.serve("https://h", file_server("text", "\"e\""));
  EXPECT_TRUE(get({.url = "https://h/x", .known = {.etag = "\"e\""}}).not_modified);
  EXPECT_FALSE(get({.url = "https://h/x", .known = {.etag = "\"old\""}}).not_modified);
  EXPECT_EQ(body_.text, "text");
}

TEST_F(HttpSourceTest, FollowsRedirectsAndLeavesCredentialsBehind) {
  web_.serve("https://h", [&](const ServerRequest& request) {
    return request.target == "/a" ? redirect("/b") : redirect("https://cdn/c");
  });
  web_.serve("https://cdn", [&](const ServerRequest& request) {
    return request.target == "/c" ? redirect("https://h2/d") : ServerResponse{};
  });
  web_.serve("https://h2", [](const ServerRequest&) { return ServerResponse{.body = "there"}; });
  get({.url = "https://h/a", .authorization = "Bearer t"});
  EXPECT_EQ(body_.text, "there");
  const std::vector<ServerRequest> requests = web_.requests();
  ASSERT_EQ(requests.size(), 4U);
  EXPECT_EQ(requests[0].header("Authorization"), "Bearer t");
  EXPECT_EQ(requests[1].header("Authorization"), "Bearer t");
  EXPECT_EQ(requests[2].header("Authorization"), "");
  EXPECT_EQ(requests[3].header("Authorization"), "");
}

// Case C16: a server leads neither to files nor to private addresses, and names no path.
TEST_F(HttpSourceTest, RefusesRedirectsThatWouldBeUnsafe) {
  std::string to;
  web_.serve("https://h", [&](const ServerRequest&) { return redirect(to); });
  to = "http://h/x";
  EXPECT_THAT(refusal(ErrorCode::denied, {.url = "https://h/a"}), HasSubstr("it is not https"));
  to = "https://169.254.169.254/meta";
  EXPECT_THAT(refusal(ErrorCode::denied, {.url = "https://h/a"}), HasSubstr("private address"));
  to = "https://[::1]/";
  EXPECT_THAT(refusal(ErrorCode::denied, {.url = "https://h/a"}), HasSubstr("private address"));
  to = "file:///etc/passwd";
  refusal(ErrorCode::corrupt, {.url = "https://h/a"});
  to = "/loop";
  EXPECT_THAT(refusal(ErrorCode::corrupt, {.url = "https://h/a"}), HasSubstr("more than 5 times"));
}

TEST_F(HttpSourceTest, FollowsARedirectFromPrivateToPrivate) {
  web_.serve("http://127.0.0.1:80", [&](const ServerRequest&) { return ServerResponse{}; });
  web_.serve("http://10.0.0.1", [&](const ServerRequest& request) {
    return request.target == "/a" ? redirect("http://10.0.0.1/b") : ServerResponse{.body = "x"};
  });
  get({.url = "http://10.0.0.1/a"});
  EXPECT_EQ(body_.text, "x");
}

TEST_F(HttpSourceTest, NamesUrlAndStatusOfAFailure) {
  int status = 404;
  web_.serve("https://h", [&](const ServerRequest&) { return ServerResponse{.status = status}; });
  const std::string message =
      refusal(ErrorCode::not_found, {.url = "https://ana:sesame@h/x?sig=secret"});
  EXPECT_THAT(message, HasSubstr("h/x"));
  EXPECT_THAT(message, HasSubstr("404"));
  EXPECT_THAT(message, Not(HasSubstr("sesame")));
  EXPECT_THAT(message, Not(HasSubstr("secret")));
  EXPECT_EQ(web_.requests().size(), 1U);
  status = 401;
  refusal(ErrorCode::denied, {.url = "https://h/x"});
  status = 418;
  refusal(ErrorCode::unsupported, {.url = "https://h/x"});
}

TEST_F(HttpSourceTest, TriesAgainWhatMayPass) {
  web_.serve("https://h", file_server("text", "\"e\"", {.status = 503}));
  get({.url = "https://h/x"});
  EXPECT_EQ(body_.text, "text");
  EXPECT_EQ(web_.requests().size(), 2U);
}

TEST_F(HttpSourceTest, GivesUpInTheEnd) {
  web_.serve("https://h", [](const ServerRequest&) { return ServerResponse{.status = 500}; });
  refusal(ErrorCode::unavailable, {.url = "https://h/x"});
  EXPECT_EQ(web_.requests().size(), 6U);
  refusal(ErrorCode::unavailable, {.url = "https://nobody/x"});
}

TEST_F(HttpSourceTest, GoesOnWhereATransferBroke) {
  const std::string content(5000, 'c');
  web_.serve("https://h",
             file_server(content, "\"e\"",
                         {.headers = {{"ETag", "\"e\""}}, .body = content, .cut_after = 3000}));
  get({.url = "https://h/x"});
  EXPECT_EQ(body_.text, content);
  EXPECT_EQ(body_.restarts, 0);
  EXPECT_EQ(web_.requests()[1].header("Range"), "bytes=3000-");
}

TEST_F(HttpSourceTest, StartsAgainIfTheFileChangedMeanwhile) {
  const std::string content(5000, 'n');
  web_.serve("https://h", file_server(content, "\"new\"",
                                      {.headers = {{"ETag", "\"old\""}},
                                       .body = std::string(5000, 'o'),
                                       .cut_after = 3000}));
  const HttpAnswer answer = get({.url = "https://h/x"});
  EXPECT_EQ(body_.text, content);
  EXPECT_EQ(body_.restarts, 1);
  EXPECT_EQ(answer.validators.etag, "\"new\"");
}

TEST_F(HttpSourceTest, StartsAgainWithoutAStrongTag) {
  const std::string content(5000, 'c');
  web_.serve("https://h",
             file_server(content, "W/\"e\"",
                         {.headers = {{"ETag", "W/\"e\""}}, .body = content, .cut_after = 3000}));
  get({.url = "https://h/x"});
  EXPECT_EQ(body_.text, content);
  EXPECT_EQ(web_.requests()[1].header("Range"), "");
}

TEST_F(HttpSourceTest, RefusesWhatIsTooLarge) {
  web_.serve("https://h", [](const ServerRequest&) { return ServerResponse{.body = "12345"}; });
  get({.url = "https://h/x", .limit_bytes = 5});
  EXPECT_THAT(refusal(ErrorCode::corrupt, {.url = "https://h/x", .limit_bytes = 4}),
              HasSubstr("larger than 4 bytes"));
  EXPECT_EQ(web_.requests().size(), 2U);
}

TEST_F(HttpSourceTest, RefusesWhatIsNoUrl) {
  for (const char* url : {"", "x", "ftp://h/x", "http://", "http:///x", "http://h:99999/",
                          "http://2130706433/", "http://a..b/"})
    refusal(ErrorCode::invalid_input, {.url = url});
  EXPECT_TRUE(web_.requests().empty());
}

// The same over a socket, by libcurl.
TEST(HttpSourceOnTheWire, ResumesABodyThatEndsEarly) {
  const std::string content(200'000, 'w');
  const HttpServer server(file_server(content, "\"e\"",
                                      {.headers = {{"ETag", "\"e\""}, {"Content-Length", "200000"}},
                                       .body = content,
                                       .cut_after = 120'000}));
  registry::CurlTransport curl;
  HttpSource source(curl, hasty());
  TextBody body;
  source.get({.url = server.url("/f")}, body, {});
  EXPECT_EQ(body.text, content);
  EXPECT_TRUE(
      source.get({.url = server.url("/f"), .known = {.etag = "\"e\""}}, body, {}).not_modified);
}

}  // namespace
}  // namespace strake::builder
