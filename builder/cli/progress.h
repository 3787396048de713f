#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "builder/exec/progress.h"
#include "layers/base/log.h"

namespace strake::cli {

enum class ProgressMode {
  automatic,  // tty when stderr is a terminal, else plain
  tty,        // redraws a few lines in place
  plain,      // one line an event, for logs
  quiet,      // nothing but the output of a step that failed
};

/// "auto", "tty", "plain" or "quiet" (also "none"). nullopt for another word.
std::optional<ProgressMode> parse_progress_mode(std::string_view word);

using TimePoint = std::chrono::steady_clock::time_point;
using Now = TimePoint (*)();

/// A Progress with an end. Everything goes to stderr: stdout is for results. A stderr that cannot
/// be written any more silences the display, never the build.
class Display : public builder::Progress {
 public:
  /// Says the last word and stops drawing: from then on the terminal belongs to the caller again.
  /// Idempotent; the destructor does it too.
  virtual void close() = 0;

  /// Nothing is written until resume(): the terminal belongs to someone else meanwhile. A step that
  /// writes much may have to wait.
  virtual void suspend() = 0;
  virtual void resume() = 0;

  /// The last lines of the output of a task that has not ended yet; "" if it said nothing.
  virtual std::string report_of(builder::TaskId id) = 0;

  /// The last lines of the output of the steps that failed, to be shown just above the error; ""
  /// if none failed or none said anything.
  virtual std::string failure_report() const = 0;

  /// A line of the log, already redacted.
  virtual void log_line(const std::string& line) = 0;

  /// Redacts, then as log_line.
  void message(const std::string& line) override;
};

/// The display for `mode` on the file descriptor `fd`, which must stay open while it lives.
std::unique_ptr<Display> make_display(ProgressMode mode, int fd);

/// While it lives, log lines go through `display`, so that they do not tear what is drawn.
class LogThroughDisplay {
 public:
  explicit LogThroughDisplay(Display& display);
  ~LogThroughDisplay() { base::set_log_sink(nullptr, nullptr); }
  LogThroughDisplay(const LogThroughDisplay&) = delete;
  LogThroughDisplay& operator=(const LogThroughDisplay&) = delete;
};

}  // namespace strake::cli
