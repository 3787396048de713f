#include "registry/response_head.h"

#include "tests/registry/expect_error.h"

namespace strake::registry {
namespace {

TEST(ResponseHead, CollectsStatusAndFields) {
  ResponseHead head("u");
  for (const char* line : {"HTTP/2 404 \r\n", "Content-Type:  a/b ; c=d \r\n", "X:\r\n", "\r\n"}) {
    head.add_line(line);
  }
  const HttpResponse response = head.take();
  EXPECT_EQ(response.status, 404);
  EXPECT_EQ(response.headers.get("content-TYPE"), "a/b ; c=d");
  EXPECT_EQ(response.headers.find("x"), "");
  EXPECT_EQ(response.headers.find("y"), std::nullopt);
}

TEST(ResponseHead, InterimResponsesAreReplaced) {
  ResponseHead head("u");
  for (const char* line : {"HTTP/1.1 100 Continue", "A: b", "HTTP/1.1 201 Created", "C: d"}) {
    head.add_line(line);
  }
  const HttpResponse response = head.take();
  EXPECT_EQ(response.status, 201);
  EXPECT_EQ(response.headers.find("a"), std::nullopt);
}

TEST(ResponseHead, AHundredLinesAreTheLimit) {
  ResponseHead head("u");
  for (int i = 0; i < 100; ++i) head.add_line("A: b\r\n");
  EXPECT_EQ(testing::code_of([&] { head.add_line("A: b\r\n"); }), base::ErrorCode::corrupt);
}

TEST(ResponseHead, SixtyFourKibibytesAreTheLimit) {
  ResponseHead head("u");
  head.add_line("A: " + std::string(kHeadLimitBytes - 3, 'x'));
  EXPECT_EQ(testing::code_of([&] { head.add_line("x"); }), base::ErrorCode::corrupt);
}

TEST(HttpHeaders, SetReplacesAllOfThatName) {
  HttpHeaders headers;
  headers.add("A", "1");
  headers.add("a", "2");
  EXPECT_EQ(headers.all("A").size(), 2u);
  headers.set("a", "3");
  EXPECT_EQ(headers.all("A"), (std::vector<std::string_view>{"3"}));
}

}  // namespace
}  // namespace strake::registry
