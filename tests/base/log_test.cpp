#include "layers/base/log.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

namespace strake::base {
namespace {

/// Collects lines while it lives.
class LogTest : public ::testing::Test {
 protected:
  LogTest() {
    set_log_sink(
        [](LogLevel, std::string_view line, void* state) {
          static_cast<std::vector<std::string>*>(state)->emplace_back(line);
        },
        &lines_);
  }
  ~LogTest() override {
    set_log_sink(nullptr, nullptr);
    set_log_level(LogLevel::warning);
  }
  std::vector<std::string> lines_;
};

using Log = LogTest;
using Redaction = LogTest;

TEST_F(Log, WritesItsLevelAndMoreSevereOnes) {
  log(LogLevel::error, "e");
  log_warning("w");
  log_info("i");
  log_debug("d");
  set_log_level(LogLevel::debug);
  log_info("i");
  log_debug("d");
  EXPECT_EQ(lines_, (std::vector<std::string>{"error: e", "warning: w", "i", "debug: d"}));
}

TEST_F(Log, WritesOneLineAMessageWhateverIsInIt) {
  log_warning("a\nb\x1b[2J\r\tc");
  EXPECT_EQ(lines_, std::vector<std::string>{"warning: a\\nb\\x1b[2J\\x0d\tc"});
}

TEST_F(Log, TakesLinesFromManyThreads) {
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < 4; ++i)
      threads.emplace_back([] {
        for (int line = 0; line < 100; ++line) log_warning("x");
      });
  }
  EXPECT_EQ(lines_.size(), 400U);
}

TEST_F(Redaction, HidesRegisteredSecrets) {
  redact("hunter22");
  log_warning("login hunter22 failed, hunter22!");
  EXPECT_EQ(lines_.back(), "warning: login **** failed, ****!");
}

TEST_F(Redaction, LeavesNoTailOfTheLongerOfTwoSecrets) {
  redact("correct");
  redact("correct horse");
  redact("correct");
  EXPECT_EQ(redacted("correct horse, correct"), "****, ****");
}

TEST_F(Redaction, IgnoresSecretsTooShortToBeOne) {
  redact("abc");
  redact("");
  EXPECT_EQ(redacted("abcdef"), "abcdef");
}

TEST_F(Redaction, CutsUsersAndQueriesOutOfUrls) {
  const std::pair<const char*, const char*> rows[] = {
      {"https://ana:pw@host.io/path", "https://****@host.io/path"},
      {"https://token@host.io", "https://****@host.io"},
      {"https://a:b@c@host.io/x", "https://****@host.io/x"},
      {"x@y https://host.io/a", "x@y https://host.io/a"},
      {"https://host.io/v2/a@sha256:1", "https://host.io/v2/a@sha256:1"},
      {"https://host.io/a?sig=1&b=2", "https://host.io/a?****"},
      {"https://host.io/a?x='q'(1),sig=2 next", "https://host.io/a?**** next"},
      {"\"https://u:p@h/a?b\" and http://h2/?c\nd",
       "\"https://****@h/a?****\" and http://h2/?****\nd"},
      {"GET https://u@h?q", "GET https://****@h?****"},
      {"://", "://"},
      {"http:///@x", "http:///@x"},
      {"plain ? text @ all", "plain ? text @ all"},
  };
  for (const auto& [text, expected] : rows) EXPECT_EQ(redacted(text), expected);
}

}  // namespace
}  // namespace strake::base
