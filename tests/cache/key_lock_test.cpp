#include "cache/key_lock.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <fstream>
#include <functional>
#include <thread>
#include <vector>

#include "layers/base/error.h"
#include "layers/base/fd.h"
#include "layers/base/files.h"

namespace strake::cache {
namespace {

namespace fs = std::filesystem;
using std::chrono::steady_clock;

/// A forked process that runs `body`; killed and reaped at the end.
class Child {
 public:
  explicit Child(const std::function<void()>& body) : pid_(::fork()) {
    if (pid_ != 0) return;
    body();
    ::_exit(0);
  }
  ~Child() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGKILL);
    wait();
  }
  Child(Child&& other) noexcept : pid_(std::exchange(other.pid_, -1)) {}

  void kill() { ::kill(pid_, SIGKILL); }
  int wait() {
    int status = -1;
    ::waitpid(std::exchange(pid_, -1), &status, 0);
    return status;
  }

 private:
  pid_t pid_;
};

class KeyLockTest : public ::testing::Test {
 protected:
  base::TempDirectory directory_{fs::temp_directory_path(), "strake-lock-"};
  fs::path file_ = directory_.path() / "locks" / "key-1";

  /// A process that holds the lock until it is killed; returns when it has it.
  Child holder() {
    base::Pipe ready = base::make_pipe();
    Child child([&] {
      const KeyLock lock(file_, {});
      base::write_full(ready.write_end.get(), base::bytes_of("x"), "pipe");
      ::pause();
    });
    std::byte byte;
    EXPECT_EQ(base::read_full(ready.read_end.get(), {&byte, 1}, "pipe"), 1U);
    return child;
  }
};

TEST_F(KeyLockTest, IsHadAtOnceWhenFreeAndLeavesNoFile) {
  {
    const KeyLock lock(file_, {}, [] { ADD_FAILURE() << "waited"; });
    EXPECT_TRUE(lock);
    EXPECT_TRUE(fs::exists(file_));
  }
  EXPECT_FALSE(fs::exists(file_));
  EXPECT_FALSE(KeyLock());
}

TEST_F(KeyLockTest, MovesWithItsHolder) {
  KeyLock first(file_, {});
  KeyLock second = std::move(first);
  EXPECT_FALSE(first);
  EXPECT_TRUE(second);
  second = KeyLock(directory_.path() / "other", {});
  EXPECT_FALSE(fs::exists(file_));
  const KeyLock again(file_, {}, [] { ADD_FAILURE() << "still held"; });
}

TEST_F(KeyLockTest, TwoProcessesExecuteAStepOnce) {
  const fs::path record = directory_.path() / "record", log = directory_.path() / "log";
  const auto build = [&] {
    const KeyLock lock(file_, {});
    if (fs::exists(record)) return;
    std::ofstream(log, std::ios::app) << "executed\n";
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    std::ofstream(record) << "result";
  };
  for (int round = 0; round < 10; ++round) {
    fs::remove(record);
    fs::remove(log);
    std::vector<Child> children;
    for (int i = 0; i < 4; ++i) children.emplace_back(build);
    for (Child& child : children) EXPECT_EQ(child.wait(), 0);
    EXPECT_EQ(base::read_file(log), "executed\n");
  }
  EXPECT_FALSE(fs::exists(file_));
}

TEST_F(KeyLockTest, ThreadsExcludeEachOtherToo) {
  std::atomic<int> inside = 0, most = 0;
  std::vector<std::jthread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&] {
      for (int i = 0; i < 50; ++i) {
        const KeyLock lock(file_, {});
        most = std::max(most.load(), ++inside);
        --inside;
      }
    });
  threads.clear();
  EXPECT_EQ(most, 1);
}

TEST_F(KeyLockTest, TellsOnceThatItWaitsAndGoesOnWhenTheHolderDies) {
  Child child = holder();
  int told = 0;
  const KeyLock lock(file_, {}, [&] {
    ++told;
    child.kill();
  });
  EXPECT_TRUE(lock);
  EXPECT_EQ(told, 1);
}

TEST_F(KeyLockTest, WakesUpWhenTheHolderLetsGo) {
  // Unwoken, a waiter looks again after 250 ms. Any of several tries will do: the machine may be
  // busy with something else.
  constexpr std::chrono::milliseconds kSoon(150);
  auto shortest = steady_clock::duration::max();
  for (int round = 0; round < 20 && shortest >= kSoon; ++round) {
    auto held = std::make_unique<KeyLock>(file_, std::stop_token());
    std::atomic<bool> waiting = false;
    steady_clock::time_point had;
    std::jthread waiter([&] {
      const KeyLock lock(file_, {}, [&] { waiting = true; });
      had = steady_clock::now();
    });
    while (!waiting) std::this_thread::yield();
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    const auto let_go = steady_clock::now();
    held.reset();
    waiter.join();
    shortest = std::min(shortest, had - let_go);
  }
  EXPECT_LT(shortest, kSoon);
}

TEST_F(KeyLockTest, WaitingEndsWithTheBuild) {
  const Child child = holder();
  std::stop_source stop;
  std::jthread stopper;
  try {
    const KeyLock lock(file_, stop.get_token(),
                       [&] { stopper = std::jthread([&] { stop.request_stop(); }); });
    ADD_FAILURE() << "got a lock that is held";
  } catch (const base::Error& error) {
    EXPECT_EQ(error.code(), base::ErrorCode::cancelled);
  }
}

TEST_F(KeyLockTest, RequestedStopIsNoticedBeforeWaiting) {
  std::stop_source stop;
  stop.request_stop();
  EXPECT_THROW(KeyLock(file_, stop.get_token()), base::Error);
}

TEST_F(KeyLockTest, LockOnADeletedFileIsNotTaken) {
  Child child = holder();
  // Somebody cleans up by hand; the next build makes a new file and holds that.
  fs::remove(file_);
  const KeyLock second(file_, {});
  std::atomic<bool> waited = false;
  std::stop_source stop;
  std::jthread third(
      [&] { EXPECT_THROW(KeyLock(file_, stop.get_token(), [&] { waited = true; }), base::Error); });
  while (!waited) std::this_thread::yield();
  child.kill();
  child.wait();
  stop.request_stop();
}

}  // namespace
}  // namespace strake::cache
