#include "registry/transfer_pace.h"

#include <gtest/gtest.h>

namespace strake::registry {
namespace {

using namespace std::chrono_literals;

class TransferPaceTest : public ::testing::Test {
 protected:
  const PaceLimits limits_ = {.answer = 60s, .bytes_per_second = 1024, .window = 60s};
  TransferPace::Time now_{};
};

TEST_F(TransferPaceTest, AnAnswerHasItsTime) {
  TransferPace pace(limits_, false, now_);
  EXPECT_EQ(pace.problem(now_ + 59s), "");
  EXPECT_EQ(pace.problem(now_ + 60s), "no answer within 60 s");
}

TEST_F(TransferPaceTest, TheTimeOfAnAnswerBeginsWithTheLastByteSent) {
  TransferPace pace(limits_, true, now_);
  for (int i = 0; i < 20; ++i) {
    pace.moved(1'000'000);
    EXPECT_EQ(pace.problem(now_ += 30s), "");
  }
  pace.sent(now_);
  EXPECT_EQ(pace.problem(now_ + 59s), "");
  EXPECT_NE(pace.problem(now_ + 60s), "");
}

TEST_F(TransferPaceTest, BodiesHaveToMoveInEitherDirection) {
  for (const bool sending : {true, false}) {
    TransferPace pace(limits_, sending, now_);
    if (!sending) pace.answered(now_);
    for (int i = 0; i < 100; ++i) {  // just fast enough
      pace.moved(1024);
      EXPECT_EQ(pace.problem(now_ += 1s), "") << sending << i;
    }
    for (int i = 0; i < 60; ++i) {
      pace.moved(1'000'000);
      EXPECT_EQ(pace.problem(now_ += 1s), "");
    }
    int seconds = 0;
    while (pace.problem(now_ += 1s).empty() && seconds < 200) ++seconds;
    EXPECT_GE(seconds, 25) << sending;
    EXPECT_LE(seconds, 91) << sending;
  }
}

TEST_F(TransferPaceTest, ABodyThatIsTooSlowIsGivenUpAfterAWindowOrTwo) {
  TransferPace pace(limits_, false, now_);
  pace.answered(now_);
  std::string problem;
  int seconds = 0;
  for (; problem.empty() && seconds < 300; ++seconds) {
    pace.moved(1000);
    problem = pace.problem(now_ += 1s);
  }
  EXPECT_EQ(problem, "less than 61440 bytes in 60 s");
  EXPECT_GE(seconds, 60);
  EXPECT_LE(seconds, 121);
}

TEST_F(TransferPaceTest, WhatIsShortNeedsNoPace) {
  TransferPace pace(limits_, false, now_);
  pace.answered(now_);
  EXPECT_EQ(pace.problem(now_ + 29s), "");
}

}  // namespace
}  // namespace strake::registry
