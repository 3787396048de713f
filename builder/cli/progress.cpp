#include "builder/cli/progress.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include "builder/cli/diagnostics.h"
#include "builder/cli/progress_plain.h"
#include "builder/cli/progress_quiet.h"
#include "builder/cli/progress_tty.h"
#include "layers/base/stream.h"

namespace strake::cli {
namespace {

/// Writes to the terminal or log until that fails once.
class ForgivingSink final : public base::ByteSink {
 public:
  explicit ForgivingSink(int fd) : sink_(fd, "stderr") {}
  void write(std::span<const std::byte> bytes) override {
    if (!works_) return;
    try {
      sink_.write(bytes);
    } catch (const base::Error&) {
      works_ = false;  // closed, or its reader went away
    }
  }

 private:
  base::FdSink sink_;
  bool works_ = true;
};

TerminalSize terminal_size(int fd) {
  winsize size{};
  if (ioctl(fd, TIOCGWINSZ, &size) != 0 || size.ws_col == 0 || size.ws_row == 0) return {};
  return {size.ws_row, size.ws_col};
}

}  // namespace

std::optional<ProgressMode> parse_progress_mode(std::string_view word) {
  if (word == "auto") return ProgressMode::automatic;
  if (word == "tty") return ProgressMode::tty;
  if (word == "plain") return ProgressMode::plain;
  if (word == "quiet" || word == "none") return ProgressMode::quiet;
  return std::nullopt;
}

void Display::message(const std::string& line) {
  log_line(base::redacted(line));
}

std::unique_ptr<Display> make_display(ProgressMode mode, int fd) {
  const bool terminal = isatty(fd) == 1;
  if (mode == ProgressMode::automatic) mode = terminal ? ProgressMode::tty : ProgressMode::plain;
  const Palette palette(colour_for(fd) == Colour::yes);
  auto out = std::make_unique<ForgivingSink>(fd);
  const Now now = &std::chrono::steady_clock::now;
  switch (mode) {
    case ProgressMode::tty:
      return std::make_unique<TtyProgress>(
          std::move(out), [fd] { return terminal_size(fd); }, palette, now);
    case ProgressMode::quiet:
      return std::make_unique<QuietProgress>(std::move(out));
    default:
      return std::make_unique<PlainProgress>(
          std::move(out), terminal ? StepBytes::neutralised : StepBytes::unaltered, now);
  }
}

LogThroughDisplay::LogThroughDisplay(Display& display) {
  base::set_log_sink([](base::LogLevel, std::string_view line,
                        void* state) { static_cast<Display*>(state)->log_line(std::string(line)); },
                     &display);
}

}  // namespace strake::cli
