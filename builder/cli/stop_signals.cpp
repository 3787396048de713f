#include "builder/cli/stop_signals.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>

namespace strake::cli {
namespace {

constexpr std::array kSignals{SIGINT, SIGTERM, SIGHUP};

// What a handler may touch. The pipe's other end wakes a thread, which may do what handlers may
// not. Signals are handled rather than blocked, so that nothing has to be unblocked in children:
// exec resets handlers by itself.
std::atomic<int> g_write_end{-1};
std::atomic<int> g_first{0};
std::atomic<int> g_count{0};
std::array<struct sigaction, kSignals.size()> g_before{};

void handle(int number) {
  const int saved = errno;
  int none = 0;
  g_first.compare_exchange_strong(none, number);
  if (g_count.fetch_add(1) >= 2) _exit(128 + number);
  const char byte = 's';
  if (write(g_write_end.load(), &byte, 1) < 0) {
    // The pipe is full: the thread is awake anyway.
  }
  errno = saved;
}

}  // namespace

StopSignals::StopSignals() : pipe_(base::make_pipe()) {
  fcntl(pipe_.write_end.get(), F_SETFL, O_NONBLOCK);
  g_first = 0;
  g_count = 0;
  g_write_end = pipe_.write_end.get();
  for (std::size_t i = 0; i < kSignals.size(); ++i) {
    sigaction(kSignals[i], nullptr, &g_before[i]);
    if (g_before[i].sa_handler == SIG_IGN) continue;
    struct sigaction action {};
    action.sa_handler = handle;
    action.sa_flags = SA_RESTART;
    sigaction(kSignals[i], &action, nullptr);
  }
  listener_ = std::thread([this] { listen(); });
}

StopSignals::~StopSignals() {
  for (std::size_t i = 0; i < kSignals.size(); ++i) sigaction(kSignals[i], &g_before[i], nullptr);
  g_write_end = -1;
  pipe_.write_end.reset();  // the listener reads the end of the pipe
  listener_.join();
}

int StopSignals::received() const noexcept {
  return g_first;
}

void StopSignals::on_second(std::function<void()> haste) {
  const std::lock_guard lock(mutex_);
  haste_ = std::move(haste);
}

void StopSignals::listen() {
  for (int count = 1;; ++count) {
    char byte = 0;
    ssize_t got = 0;
    do got = read(pipe_.read_end.get(), &byte, 1);
    while (got < 0 && errno == EINTR);
    if (got <= 0) return;
    if (count == 1) {
      stop_.request_stop();
    } else {
      const std::lock_guard lock(mutex_);
      if (haste_) haste_();
    }
  }
}

}  // namespace strake::cli
