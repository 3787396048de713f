#pragma once

#include <atomic>
#include <functional>
#include <mutex>
#include <stop_token>
#include <thread>

#include "layers/base/fd.h"

namespace strake::cli {

/// Turns SIGINT, SIGTERM and SIGHUP into a request to stop. The second signal asks for haste, the
/// third ends the process at once. A signal that was ignored when the process was started (nohup,
/// a background job) stays ignored. One object at a time; the old dispositions come back with its
/// destruction.
class StopSignals {
 public:
  StopSignals();
  ~StopSignals();
  StopSignals(const StopSignals&) = delete;
  StopSignals& operator=(const StopSignals&) = delete;

  std::stop_token token() const { return stop_.get_token(); }
  /// The first signal that came; 0 if none did.
  int received() const noexcept;

  /// Called, from a thread of its own, when the second signal comes. Replaces what was there;
  /// empty for nothing.
  void on_second(std::function<void()> haste);

 private:
  void listen();

  base::Pipe pipe_;
  std::stop_source stop_;
  std::mutex mutex_;  // guards haste_
  std::function<void()> haste_;
  std::thread listener_;
};

/// Which signals a SignalDiversion takes.
enum class Diverted {
  window_size,  // SIGWINCH; the others stay requests to stop
  all,          // also SIGQUIT, SIGUSR1, SIGUSR2 and those that were requests to stop
};

/// While it lives, signals go into a pipe, each as a byte with its number: to a command that runs
/// for us. SIGTERM goes as `stop_signal`; the second of SIGINT, SIGTERM and SIGHUP goes as SIGKILL,
/// and the third ends the process as ever. One object at a time, within the life of a StopSignals.
class SignalDiversion {
 public:
  SignalDiversion(Diverted which, int stop_signal);
  ~SignalDiversion();
  SignalDiversion(const SignalDiversion&) = delete;
  SignalDiversion& operator=(const SignalDiversion&) = delete;

  /// The read end of the pipe.
  int fd() const noexcept { return pipe_.read_end.get(); }

 private:
  base::Pipe pipe_;
};

}  // namespace strake::cli
