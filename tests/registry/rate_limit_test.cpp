#include "registry/rate_limit.h"

#include "layers/base/log.h"
#include "registry/registry_error.h"
#include "tests/registry/client_fixture.h"

namespace strake::registry {
namespace {

using support::ServerRequest;
using support::ServerResponse;
using ::testing::HasSubstr;
using namespace std::chrono_literals;

HttpHeaders hub_headers(const std::string& remaining) {
  HttpHeaders headers;
  headers.add("ratelimit-limit", "100;w=21600");
  headers.add("ratelimit-remaining", remaining);
  headers.add("docker-ratelimit-source", "203.0.113.7");
  return headers;
}

TEST(RateLimitTest, SaysWhatIsLeft) {
  const auto limit = parse_rate_limit(hub_headers("3;w=21600"));
  ASSERT_TRUE(limit);
  EXPECT_EQ(limit->str(), "3 of 100 requests in 6 h are left, counted for 203.0.113.7");
  EXPECT_TRUE(limit->is_nearly_used_up());
  EXPECT_FALSE(parse_rate_limit(hub_headers("76;w=21600"))->is_nearly_used_up());
  EXPECT_EQ(parse_rate_limit(hub_headers("3"))->window, 21600s);
}

TEST(RateLimitTest, TakesNoNonsense) {
  for (const char* remaining : {"", "-1", "x", "3x", "99999999999999999999", ";w=1"})
    EXPECT_FALSE(parse_rate_limit(hub_headers(remaining))) << remaining;
  HttpHeaders headers = hub_headers("3;w=99999999999999999999999");
  headers.set("ratelimit-limit", "many;w=-1");
  headers.set("docker-ratelimit-source", "\x1b[31m" + std::string(1000, 'x'));
  const std::string text = parse_rate_limit(headers)->str();
  EXPECT_LT(text.size(), 200U);
  EXPECT_EQ(text.find('\x1b'), std::string::npos);
}

TEST(RateLimitTest, IsPartOfARefusal) {
  HttpResponse response{.status = 429, .headers = hub_headers("0;w=21600")};
  base::Error error = registry_error("cannot fetch manifest of \"alpine\"", response);
  ASSERT_EQ(error.notes().size(), 1U);
  EXPECT_THAT(error.notes()[0], HasSubstr("0 of 100 requests in 6 h are left"));
  EXPECT_THAT(error.hint(), HasSubstr("within 6 h, or log in"));
  response.headers.add("Retry-After", "900");
  error = registry_error("cannot fetch manifest of \"alpine\"", response);
  EXPECT_THAT(error.notes()[0], HasSubstr("15 min"));
  EXPECT_THAT(error.hint(), HasSubstr("in 15 min, or log in"));
}

class RateLimitOfARegistry : public testing::ClientTest {};

TEST_F(RateLimitOfARegistry, IsToldOnceWhenLittleIsLeft) {
  int left = 12;
  const std::string manifest = testing::manifest_json();
  http_.serve(kOrigin, [&](const ServerRequest&) {
    return ServerResponse{.headers = {{"Content-Type", testing::kManifestType},
                                      {"RateLimit-Remaining", std::to_string(--left) + ";w=21600"}},
                          .body = manifest};
  });
  std::string log;
  base::set_log_level(base::LogLevel::info);
  base::set_log_sink([](base::LogLevel, std::string_view line,
                        void* to) { static_cast<std::string*>(to)->append(line).append("\n"); },
                     &log);
  client().get_manifest({repository_, "1", {}});
  EXPECT_EQ(log, "");
  for (int i = 0; i < 5; ++i) client().get_manifest({repository_, "1", {}});
  base::set_log_sink(nullptr, nullptr);
  base::set_log_level(base::LogLevel::warning);
  EXPECT_THAT(log, HasSubstr("\"reg.example.com\": 10 requests in 6 h are left"));
  EXPECT_EQ(std::count(log.begin(), log.end(), '\n'), 1);
}

}  // namespace
}  // namespace strake::registry
