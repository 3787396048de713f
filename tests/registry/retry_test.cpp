#include "registry/retry.h"

#include "registry/registry_error.h"
#include "tests/registry/expect_error.h"

namespace strake::registry {
namespace {

using namespace std::chrono_literals;
using std::chrono::milliseconds;

/// Time that passes only by sleeping; jitter that always takes the longest delay.
struct Fake {
  RetryEnvironment environment{[this] { return now; },
                               [this](milliseconds delay, std::stop_token) {
                                 slept.push_back(delay);
                                 now += delay;
                               },
                               [this] { return random; }};
  Clock::time_point now{};
  double random = 1.0;
  std::vector<milliseconds> slept;
};

TEST(Retry, WaitsTwiceAsLongEachTimeAndGivesUpAfterSixAttempts) {
  Fake fake;
  const RetryPolicy policy;
  Retry retry(policy, fake.environment);
  int attempts = 1;
  while (retry.wait({})) ++attempts;
  EXPECT_EQ(attempts, 6);
  EXPECT_EQ(fake.slept, (std::vector<milliseconds>{250ms, 500ms, 1000ms, 2000ms, 4000ms}));
}

TEST(Retry, AsksAgainForAnswersThatMustNotBeFollowedButNotForRefusals) {
  Fake fake;
  const RetryPolicy policy;
  Retry retry(policy, fake.environment);
  int attempts = 1;
  while (retry.wait(RefusedAnswer("elsewhere"), {})) ++attempts;
  EXPECT_EQ(attempts, 3);
  EXPECT_TRUE(retry.wait(base::Error(base::ErrorCode::unavailable, "busy"), {}));
  EXPECT_FALSE(retry.wait(base::Error(base::ErrorCode::denied, "wrong password"), {}));
  EXPECT_FALSE(retry.wait(base::Error(base::ErrorCode::corrupt, "other bytes"), {}));
}

TEST(Retry, JitterTakesAnyPartOfTheDelay) {
  Fake fake;
  fake.random = 0.5;
  const RetryPolicy policy;
  Retry retry(policy, fake.environment);
  retry.wait({});
  EXPECT_EQ(fake.slept.back(), 125ms);
}

TEST(Retry, DelayHasACeiling) {
  Fake fake;
  const RetryPolicy policy{.attempts = 20};
  Retry retry(policy, fake.environment);
  while (retry.wait({})) EXPECT_LE(fake.slept.back(), 20'000ms);
  EXPECT_EQ(fake.slept.back(), 20'000ms);
}

TEST(Retry, HonoursRetryAfterUpToAMinute) {
  Fake fake;
  const RetryPolicy policy;
  Retry retry(policy, fake.environment);
  EXPECT_TRUE(retry.wait(60s, {}));
  EXPECT_GE(fake.slept.back(), 60s);
  EXPECT_FALSE(retry.wait(61s, {}));
}

TEST(Retry, BudgetEndsIt) {
  Fake fake;
  const RetryPolicy policy{.attempts = 100};
  Retry retry(policy, fake.environment);
  int waits = 0;
  while (retry.wait(60s, {})) ++waits;
  EXPECT_EQ(waits, 4);  // the fifth attempt would start after 5 minutes
}

TEST(Retry, ProgressStartsAnew) {
  Fake fake;
  const RetryPolicy policy;
  Retry retry(policy, fake.environment);
  for (int i = 0; i < 20; ++i) {
    EXPECT_TRUE(retry.wait({}));
    retry.progressed();
  }
}

TEST(Retry, StopsWhenAsked) {
  Fake fake;
  const RetryPolicy policy;
  Retry retry(policy, fake.environment);
  std::stop_source stop;
  stop.request_stop();
  EXPECT_EQ(testing::code_of([&] { retry.wait(stop.get_token()); }), base::ErrorCode::cancelled);
}

TEST(Retry, RealSleepIsInterrupted) {
  std::stop_source stop;
  stop.request_stop();
  const auto begin = Clock::now();
  RetryEnvironment::real().sleep(10s, stop.get_token());
  EXPECT_LT(Clock::now() - begin, 5s);
}

TEST(RetryAfter, ReadsSecondsAndDates) {
  const auto now =
      std::chrono::system_clock::from_time_t(1'700'000'000);  // Tue, 14 Nov 2023 22:13:20
  EXPECT_EQ(parse_retry_after("5", now), 5s);
  EXPECT_EQ(parse_retry_after("0", now), 0s);
  EXPECT_EQ(parse_retry_after("Tue, 14 Nov 2023 22:13:50 GMT", now), 30s);
  EXPECT_EQ(parse_retry_after("Tue, 14 Nov 2023 22:00:00 GMT", now), 0s);
  EXPECT_GT(parse_retry_after("99999999999999999999", now), 60s);
  for (const char* text : {"", "-5", "soon", "5s", "1.5"}) {
    EXPECT_EQ(parse_retry_after(text, now), std::nullopt) << text;
  }
}

TEST(RetryStatus, OnlyWhatMayPass) {
  for (const int status : {408, 425, 429, 500, 502, 503, 504, 522}) {
    EXPECT_TRUE(is_retryable_status(status)) << status;
  }
  for (const int status : {200, 400, 401, 403, 404, 405, 409, 416, 501, 505}) {
    EXPECT_FALSE(is_retryable_status(status)) << status;
  }
}

}  // namespace
}  // namespace strake::registry
