#include "layers/base/error.h"

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <cstring>
#include <utility>

namespace strake::base {

Error::Error(ErrorCode code, std::string what) : code_(code), what_(std::move(what)) {}

void Error::add_context(std::string outer) {
  context_.push_back(std::move(outer));
}

void Error::set_location(SourceRange where) {
  if (!where_) where_ = std::move(where);
}

void Error::set_hint(std::string advice) {
  if (hint_.empty()) hint_ = std::move(advice);
}

void Error::add_note(std::string line) {
  notes_.push_back(std::move(line));
}

Error&& Error::hint(std::string advice) && {
  set_hint(std::move(advice));
  return std::move(*this);
}

Error&& Error::at(SourceRange where) && {
  set_location(std::move(where));
  return std::move(*this);
}

Error&& Error::note(std::string line) && {
  add_note(std::move(line));
  return std::move(*this);
}

Error system_error(int errnum, std::string_view operation, std::string_view subject) {
  ErrorCode code = ErrorCode::system;
  if (errnum == ENOENT) code = ErrorCode::not_found;
  if (errnum == EACCES || errnum == EPERM) code = ErrorCode::denied;
  char buffer[128];
  // GNU strerror_r: thread-safe, and the result may or may not be `buffer`.
  const char* reason = strerror_r(errnum, buffer, sizeof buffer);
  std::string lower(reason);  // but not "RFS specific error"
  if (lower.size() > 1 && std::islower(static_cast<unsigned char>(lower[1])))
    lower[0] = static_cast<char>(std::tolower(static_cast<unsigned char>(lower[0])));
  Error error(code, "cannot " + std::string(operation) + " " + quoted(subject) + ": " + lower);
  if (errnum == ENOSPC || errnum == EDQUOT)
    error.set_hint("free some space, or run \"strake prune\", and build again");
  return error;
}

namespace {

/// Length of the valid UTF-8 sequence at the start of `text`, 0 if there is none.
std::size_t utf8_sequence(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned lead = byte(0);
  std::size_t length = 0;
  if (lead < 0x80) return 1;
  if (lead >= 0xC2 && lead <= 0xDF) length = 2;
  if (lead >= 0xE0 && lead <= 0xEF) length = 3;
  if (lead >= 0xF0 && lead <= 0xF4) length = 4;
  if (length == 0 || text.size() < length) return 0;
  for (std::size_t i = 1; i < length; ++i)
    if ((byte(i) & 0xC0) != 0x80) return 0;
  if (lead == 0xE0 && byte(1) < 0xA0) return 0;  // overlong
  if (lead == 0xED && byte(1) > 0x9F) return 0;  // surrogate
  if (lead == 0xF0 && byte(1) < 0x90) return 0;  // overlong
  if (lead == 0xF4 && byte(1) > 0x8F) return 0;  // above U+10FFFF
  if (lead == 0xC2 && byte(1) < 0xA0) return 0;  // C1 control characters
  return length;
}

/// U+2028 and U+2029 break lines, U+202A to U+202E and U+2066 to U+2069 reorder what is shown: text
/// with them can look like another text.
bool deceives(std::string_view sequence) {
  if (sequence.size() != 3 || sequence[0] != '\xE2') return false;
  const auto last = static_cast<unsigned char>(sequence[2]);
  if (sequence[1] == '\x80') return last >= 0xA8 && last <= 0xAE;
  return sequence[1] == '\x81' && last >= 0xA6 && last <= 0xA9;
}

std::string lower_case(std::string_view text) {
  std::string lower(text);
  for (char& c : lower)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return lower;
}

/// Insertions, deletions, replacements and swaps of neighbours that make `b` of `a`.
std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> before_last, last(b.size() + 1), row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) last[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t replacing = last[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      row[j] = std::min({last[j] + 1, row[j - 1] + 1, replacing});
      const bool swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
      if (swapped) row[j] = std::min(row[j], before_last[j - 2] + 1);
    }
    before_last = std::exchange(last, row);
  }
  return last[b.size()];
}

}  // namespace

std::string quoted(std::string_view text) {
  static constexpr char kHex[] = "0123456789abcdef";
  std::string out = "\"";
  while (!text.empty()) {
    const auto c = static_cast<unsigned char>(text[0]);
    std::size_t length = utf8_sequence(text);
    if (deceives(text.substr(0, length))) length = 0;
    if (c == '"' || c == '\\') {
      out += '\\';
      out += static_cast<char>(c);
      length = 1;
    } else if (c == '\n' || c == '\t' || c == '\r') {
      out += c == '\n' ? "\\n" : c == '\t' ? "\\t" : "\\r";
      length = 1;
    } else if (length == 0 || c < 0x20 || c == 0x7F) {
      out += "\\x";
      out += kHex[c >> 4];
      out += kHex[c & 15];
      length = 1;
    } else {
      out += text.substr(0, length);
    }
    text.remove_prefix(length);
  }
  return out + '"';
}

std::string nearest(std::string_view word, std::span<const std::string> candidates) {
  constexpr std::size_t kLongest = 256;
  if (word.empty() || word.size() > kLongest) return "";
  const std::string wanted = lower_case(word);
  std::string best;
  std::size_t best_distance = std::max<std::size_t>(word.size() / 3, 1) + 1;
  for (const std::string& candidate : candidates) {
    if (candidate.size() > kLongest) continue;
    const std::size_t distance = edit_distance(wanted, lower_case(candidate));
    // As many changes as letters is another word.
    if (distance >= best_distance || distance >= std::max(word.size(), candidate.size())) continue;
    best = candidate;
    best_distance = distance;
  }
  return best;
}

}  // namespace strake::base
