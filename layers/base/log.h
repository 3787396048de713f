#pragma once

#include <string>
#include <string_view>

namespace strake::base {

enum class LogLevel { error, warning, info, debug };

/// What is written: messages of this level and more severe ones. Default: warning. Set once at
/// start, before threads exist.
void set_log_level(LogLevel level);
bool log_enabled(LogLevel level);

/// Where lines go: a function that gets each finished line without its newline. It is called by one
/// thread at a time and must not log itself. Default: stderr.
/// The live progress display takes it over while it draws.
using LogSink = void (*)(LogLevel level, std::string_view line, void* state);
void set_log_sink(LogSink sink, void* state);

/// One line per event: control characters are escaped. Secrets are replaced, see redacted().
void log(LogLevel level, std::string_view message);
inline void log_warning(std::string_view message) {
  log(LogLevel::warning, message);
}
inline void log_info(std::string_view message) {
  log(LogLevel::info, message);
}
inline void log_debug(std::string_view message) {
  if (log_enabled(LogLevel::debug)) log(LogLevel::debug, message);
}

/// From now on no log line and no redacted() text shows `secret` (shorter than 4 bytes: ignored).
void redact(std::string secret);
/// `text` without registered secrets, and without user names, passwords and query strings in URLs.
std::string redacted(std::string_view text);

}  // namespace strake::base
