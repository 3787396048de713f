#include "builder/cli/stop_signals.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>

#include "builder/cli/raw_terminal.h"

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

// Of a SignalDiversion.
constexpr std::array kPassedOn{SIGWINCH, SIGQUIT, SIGUSR1, SIGUSR2};
std::atomic<int> g_size_end{-1};     // takes SIGWINCH and the like
std::atomic<int> g_command_end{-1};  // takes the requests to stop
std::atomic<int> g_stop_signal{SIGTERM};
std::array<struct sigaction, kPassedOn.size()> g_passed_on_before{};

void put(int pipe, int byte) {
  const char number = static_cast<char>(byte);
  if (write(pipe, &number, 1) < 0) {
    // The pipe is full: its reader has enough to do.
  }
}

void handle(int number) {
  const int saved = errno;
  int none = 0;
  g_first.compare_exchange_strong(none, number);
  const int before = g_count.fetch_add(1);
  if (before >= 2) {
    restore_raw_terminal();
    _exit(128 + number);
  }
  if (const int command = g_command_end; command < 0)
    put(g_write_end, 's');
  else
    put(command, before > 0 ? SIGKILL : number == SIGTERM ? g_stop_signal.load() : number);
  errno = saved;
}

void pass_on(int number) {
  const int saved = errno;
  put(g_size_end, number);
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

SignalDiversion::SignalDiversion(Diverted which, int stop_signal) : pipe_(base::make_pipe()) {
  fcntl(pipe_.write_end.get(), F_SETFL, O_NONBLOCK);
  g_stop_signal = stop_signal;
  g_size_end = pipe_.write_end.get();
  if (which == Diverted::all) g_command_end = pipe_.write_end.get();
  for (std::size_t i = 0; i < kPassedOn.size(); ++i) {
    sigaction(kPassedOn[i], nullptr, &g_passed_on_before[i]);
    if (which == Diverted::window_size && kPassedOn[i] != SIGWINCH) continue;
    struct sigaction action {};
    action.sa_handler = pass_on;
    action.sa_flags = SA_RESTART;
    sigaction(kPassedOn[i], &action, nullptr);
  }
}

SignalDiversion::~SignalDiversion() {
  for (std::size_t i = 0; i < kPassedOn.size(); ++i)
    sigaction(kPassedOn[i], &g_passed_on_before[i], nullptr);
  g_size_end = -1;
  g_command_end = -1;
}

}  // namespace strake::cli
