#include "builder/dockerfile/signal.h"

#include <charconv>
#include <utility>

#include "builder/dockerfile/words.h"
#include "layers/base/error.h"

namespace strake::dockerfile {

namespace {

// The numbers of Linux on amd64 and arm64, whatever machine this runs on. The first two signals
// that libc keeps for itself are 32 and 33, so RTMIN is 34.
constexpr std::pair<std::string_view, int> kSignals[] = {
    {"HUP", 1},    {"INT", 2},   {"QUIT", 3},  {"ILL", 4},     {"TRAP", 5},    {"ABRT", 6},
    {"IOT", 6},    {"BUS", 7},   {"FPE", 8},   {"KILL", 9},    {"USR1", 10},   {"SEGV", 11},
    {"USR2", 12},  {"PIPE", 13}, {"ALRM", 14}, {"TERM", 15},   {"STKFLT", 16}, {"CHLD", 17},
    {"CLD", 17},   {"CONT", 18}, {"STOP", 19}, {"TSTP", 20},   {"TTIN", 21},   {"TTOU", 22},
    {"URG", 23},   {"XCPU", 24}, {"XFSZ", 25}, {"VTALRM", 26}, {"PROF", 27},   {"WINCH", 28},
    {"IO", 29},    {"POLL", 29}, {"PWR", 30},  {"SYS", 31},    {"UNUSED", 31}, {"RTMIN", 34},
    {"RTMAX", 64},
};
constexpr int kRealTimeMin = 34, kRealTimeMax = 64;

bool parse_number(std::string_view text, int& number) {
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, number);
  return error == std::errc() && stop == end;
}

/// "RTMIN+3", "RTMAX-3"; 0 if it is none.
int real_time_signal(std::string_view name) {
  const bool from_min = name.starts_with("RTMIN+");
  if (!from_min && !name.starts_with("RTMAX-")) return 0;
  int offset = 0;
  if (!parse_number(name.substr(6), offset) || offset < 1 || offset > kRealTimeMax - kRealTimeMin)
    return 0;
  return from_min ? kRealTimeMin + offset : kRealTimeMax - offset;
}

}  // namespace

int parse_signal(std::string_view text) {
  int number = 0;
  if (parse_number(text, number)) {
    if (number >= 1 && number <= kRealTimeMax) return number;
  } else {
    const std::string upper = to_upper(text);
    std::string_view name = upper;
    if (name.starts_with("SIG")) name.remove_prefix(3);
    for (const auto& [known, value] : kSignals)
      if (name == known) return value;
    if (const int signal = real_time_signal(name)) return signal;
  }
  throw base::Error(base::ErrorCode::invalid_input, "invalid signal " + excerpt(text))
      .hint("use a name as in \"SIGTERM\", or a number from 1 to 64");
}

}  // namespace strake::dockerfile
