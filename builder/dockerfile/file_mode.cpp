#include "builder/dockerfile/file_mode.h"

#include <algorithm>
#include <charconv>
#include <string>

#include "builder/dockerfile/words.h"
#include "layers/base/error.h"

namespace strake::dockerfile {

namespace {

// The symbolic form follows BSD's setmode(3), as BuildKit does. The sticky bit belongs to no class:
// only an explicit `t` touches it.
constexpr std::uint32_t kUser = 04700, kGroup = 02070, kOther = 0007;
constexpr std::uint32_t kClasses = kUser | kGroup | kOther, kSticky = 01000;

[[noreturn]] void fail(std::string_view text) {
  throw base::Error(base::ErrorCode::invalid_input,
                    "invalid file mode " + excerpt(text) + " for --chmod")
      .hint("use an octal number up to 07777, or a form as in \"u=rwX,go=rX\"");
}

std::uint32_t class_mask(char c) {
  switch (c) {
    case 'u':
      return kUser;
    case 'g':
      return kGroup;
    case 'o':
      return kOther;
    case 'a':
      return kClasses;
    default:
      return 0;
  }
}

/// The permission's bit in every class that has it.
std::uint32_t permission_bits(char c) {
  switch (c) {
    case 'r':
      return 0444;
    case 'w':
      return 0222;
    case 'x':
      return 0111;
    case 's':
      return 06000;
    case 't':
      return kSticky;
    default:
      return 0;
  }
}

/// The rwx bits of one class of `mode`, for every class.
std::uint32_t copied_bits(std::uint32_t mode, char from) {
  const std::uint32_t bits = from == 'u' ? mode >> 6 & 7 : from == 'g' ? mode >> 3 & 7 : mode & 7;
  return bits << 6 | bits << 3 | bits;
}

}  // namespace

FileModeChange FileModeChange::parse(std::string_view text) {
  FileModeChange change;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, change.mode_, 8);
  if (error == std::errc() && stop == end) {
    if (change.mode_ > 07777) fail(text);
    change.absolute_ = true;
    return change;
  }
  std::string_view rest = text;
  while (true) {
    const std::size_t comma = std::min(rest.find(','), rest.size());
    if (!parse_clause(rest.substr(0, comma), change.clauses_)) fail(text);
    if (comma == rest.size()) return change;
    rest.remove_prefix(comma + 1);
  }
}

/// `[ugoa]*` and one or more of `[-+=]` with `[rwxXst]*` or one of `u`, `g`, `o`.
bool FileModeChange::parse_clause(std::string_view rest, std::vector<Clause>& out) {
  std::uint32_t who = 0;
  while (!rest.empty() && class_mask(rest[0]) != 0) {
    who |= class_mask(rest[0]);
    rest.remove_prefix(1);
  }
  if (who == 0) who = kClasses;
  if (rest.empty()) return false;
  while (!rest.empty()) {
    Clause clause{.who = who, .operation = rest[0]};
    if (std::string_view("-+=").find(rest[0]) == std::string_view::npos) return false;
    rest.remove_prefix(1);
    if (!rest.empty() && rest[0] != 'a' && class_mask(rest[0]) != 0) {
      clause.copy_from = rest[0];
      rest.remove_prefix(1);
    }
    while (clause.copy_from == 0 && !rest.empty()) {
      if (rest[0] == 'X') {
        clause.exec_if_any = true;
      } else if (permission_bits(rest[0]) != 0) {
        clause.bits |= permission_bits(rest[0]);
        if (rest[0] == 't' && who != kOther) clause.who |= kSticky;
      } else {
        break;
      }
      rest.remove_prefix(1);
    }
    out.push_back(clause);
  }
  return true;
}

std::uint32_t FileModeChange::apply(std::uint32_t mode, bool is_directory) const {
  if (absolute_) return mode_;
  mode &= 07777;
  const bool executable = is_directory || (mode & 0111) != 0;
  for (const Clause& clause : clauses_) {
    std::uint32_t bits = clause.bits;
    if (clause.copy_from != 0) bits = copied_bits(mode, clause.copy_from);
    if (clause.exec_if_any && executable) bits |= 0111;
    bits &= clause.who;
    if (clause.operation == '+') {
      mode |= bits;
    } else if (clause.operation == '-') {
      mode &= ~bits;
    } else {
      mode = (mode & ~clause.who) | bits;
    }
  }
  return mode;
}

}  // namespace strake::dockerfile
