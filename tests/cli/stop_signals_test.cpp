#include "builder/cli/stop_signals.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <future>

namespace strake::cli {
namespace {

constexpr std::chrono::seconds kPatience(10);

/// A promise that is kept when `token` is stopped.
struct Stopped {
  explicit Stopped(const std::stop_token& token)
      : callback(token, [this] { promise.set_value(); }) {}
  bool comes() { return promise.get_future().wait_for(kPatience) == std::future_status::ready; }
  std::promise<void> promise;
  std::stop_callback<std::function<void()>> callback;
};

TEST(StopSignals, FirstSignalRequestsAStop) {
  StopSignals signals;
  EXPECT_EQ(signals.received(), 0);
  Stopped stopped(signals.token());
  kill(getpid(), SIGTERM);
  EXPECT_TRUE(stopped.comes());
  EXPECT_EQ(signals.received(), SIGTERM);
}

TEST(StopSignals, SecondSignalAsksForHaste) {
  StopSignals signals;
  std::promise<void> haste;
  signals.on_second([&] { haste.set_value(); });
  Stopped stopped(signals.token());
  kill(getpid(), SIGINT);
  ASSERT_TRUE(stopped.comes());
  kill(getpid(), SIGINT);
  EXPECT_EQ(haste.get_future().wait_for(kPatience), std::future_status::ready);
  EXPECT_EQ(signals.received(), SIGINT);
}

TEST(StopSignals, ThirdSignalEndsTheProcess) {
  const pid_t child = fork();
  if (child == 0) {
    const StopSignals signals;
    for (int i = 0; i < 3; ++i) kill(getpid(), SIGTERM);
    pause();
    _exit(0);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 128 + SIGTERM);
}

TEST(StopSignals, WhatWasIgnoredStaysIgnored) {
  std::signal(SIGHUP, SIG_IGN);
  {
    const StopSignals signals;
    kill(getpid(), SIGHUP);
    EXPECT_EQ(signals.received(), 0);
  }
  std::signal(SIGHUP, SIG_DFL);
}

TEST(StopSignals, OldDispositionsComeBack) {
  { const StopSignals signals; }
  struct sigaction action {};
  sigaction(SIGTERM, nullptr, &action);
  EXPECT_EQ(action.sa_handler, SIG_DFL);
}

}  // namespace
}  // namespace strake::cli
