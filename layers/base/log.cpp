#include "layers/base/log.h"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <mutex>
#include <vector>

#include "layers/base/error.h"
#include "layers/base/fd.h"

namespace strake::base {
namespace {

struct Logger {
  std::mutex mutex;
  std::vector<std::string> secrets;
  LogSink sink = nullptr;
  void* state = nullptr;
};

Logger& logger() {
  static Logger instance;
  return instance;
}

std::atomic<LogLevel> g_level{LogLevel::warning};

const char* prefix(LogLevel level) {
  switch (level) {
    case LogLevel::error:
      return "error: ";
    case LogLevel::warning:
      return "warning: ";
    case LogLevel::info:
      return "";
    case LogLevel::debug:
      return "debug: ";
  }
  return "";
}

void replace_all(std::string& text, const std::string& what, std::string_view with) {
  for (std::size_t at = text.find(what); at != std::string::npos; at = text.find(what, at)) {
    text.replace(at, what.size(), with);
    at += with.size();
  }
}

/// Cuts "user:password@" and "?query" out of each URL in `text`.
void redact_urls(std::string& text) {
  // Quotes and parentheses may be part of a URL: what stands after them in a query may be secret.
  static constexpr std::string_view kEnd = " \t\r\n\"<>";
  for (std::size_t at = text.find("://"); at != std::string::npos; at = text.find("://", at)) {
    at += 3;
    std::size_t end = text.find_first_of(kEnd, at);
    if (end == std::string::npos) end = text.size();
    const std::size_t path = std::min(text.find('/', at), end);
    const std::size_t user = text.rfind('@', path == 0 ? 0 : path - 1);
    if (user != std::string::npos && user >= at) {
      text.replace(at, user - at, "****");
      end -= (user - at) - 4;
    }
    const std::size_t query = text.find('?', at);
    if (query != std::string::npos && query < end) text.replace(query + 1, end - query - 1, "****");
  }
}

/// Control characters escaped: a message is one line, and a terminal is not to obey it.
std::string one_line(std::string text) {
  static constexpr char kHex[] = "0123456789abcdef";
  for (std::size_t at = 0; at < text.size(); ++at) {
    const auto c = static_cast<unsigned char>(text[at]);
    if ((c >= 0x20 && c != 0x7F) || c == '\t') continue;
    const char escaped[] = {'\\', 'x', kHex[c >> 4], kHex[c & 15], '\0'};
    text.replace(at, 1, c == '\n' ? "\\n" : escaped);
  }
  return text;
}

}  // namespace

void set_log_level(LogLevel level) {
  g_level = level;
}
bool log_enabled(LogLevel level) {
  return level <= g_level;
}

void set_log_sink(LogSink sink, void* state) {
  const std::lock_guard lock(logger().mutex);
  logger().sink = sink;
  logger().state = state;
}

void log(LogLevel level, std::string_view message) {
  if (!log_enabled(level)) return;
  const std::string line = prefix(level) + one_line(redacted(message));
  const std::lock_guard lock(logger().mutex);
  if (logger().sink != nullptr) return logger().sink(level, line, logger().state);
  try {
    write_full(STDERR_FILENO, bytes_of(line + "\n"), "stderr");
  } catch (const Error&) {
    // Nobody is listening; the message is lost, the build is not.
  }
}

void redact(std::string secret) {
  if (secret.size() < 4) return;
  const std::lock_guard lock(logger().mutex);
  std::vector<std::string>& secrets = logger().secrets;
  if (std::find(secrets.begin(), secrets.end(), secret) != secrets.end()) return;
  // The longest first: one secret may be the beginning of another.
  const auto place = std::find_if(secrets.begin(), secrets.end(), [&](const std::string& other) {
    return other.size() <= secret.size();
  });
  secrets.insert(place, std::move(secret));
}

std::string redacted(std::string_view text) {
  std::string out(text);
  {
    const std::lock_guard lock(logger().mutex);
    for (const std::string& secret : logger().secrets) replace_all(out, secret, "****");
  }
  redact_urls(out);
  return out;
}

}  // namespace strake::base
