#include "builder/cli/terminal_text.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <span>

namespace strake::cli {
namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";  // U+FFFD
constexpr char kEscape = '\x1b';

struct CodePoint {
  std::uint32_t value = 0;
  std::size_t length = 1;  // bytes
  bool valid = false;
};

/// The character at the start of `text`; an invalid one is one byte long.
CodePoint decode(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const std::uint32_t lead = byte(0);
  if (lead < 0x80) return {lead, 1, true};
  const std::size_t length = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
  if (lead < 0xC2 || lead > 0xF4 || text.size() < length) return {};
  std::uint32_t value = lead & (0xFFU >> (length + 1));
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return {};
    value = value << 6 | (byte(i) & 0x3FU);
  }
  const bool overlong = (length == 3 && value < 0x800) || (length == 4 && value < 0x10000);
  const bool surrogate = value >= 0xD800 && value <= 0xDFFF;
  if (overlong || surrogate || value > 0x10FFFF) return {};
  return {value, length, true};
}

struct Range {
  std::uint32_t first, last;
};

bool within(std::uint32_t value, std::span<const Range> ranges) {
  return std::any_of(ranges.begin(), ranges.end(), [&](const Range& range) {
    return value >= range.first && value <= range.last;
  });
}

// Unicode's East Asian Width W and F, by block.
constexpr std::array kWide = std::to_array<Range>({{0x1100, 0x115F},
                                                   {0x2E80, 0x303E},
                                                   {0x3041, 0xA4CF},
                                                   {0xAC00, 0xD7A3},
                                                   {0xF900, 0xFAFF},
                                                   {0xFE30, 0xFE6F},
                                                   {0xFF00, 0xFF60},
                                                   {0xFFE0, 0xFFE6},
                                                   {0x1F300, 0x1F64F},
                                                   {0x1F680, 0x1F6FF},
                                                   {0x1F900, 0x1F9FF},
                                                   {0x20000, 0x3FFFD}});
constexpr std::array kZeroWidth = std::to_array<Range>({{0x0300, 0x036F},
                                                        {0x1AB0, 0x1AFF},
                                                        {0x1DC0, 0x1DFF},
                                                        {0x200B, 0x200D},
                                                        {0x2060, 0x2060},
                                                        {0x20D0, 0x20FF},
                                                        {0xFE00, 0xFE0F},
                                                        {0xFE20, 0xFE2F},
                                                        {0xFEFF, 0xFEFF}});
// They reorder what a reader sees: text of a step could be made to look like ours.
constexpr std::array kBidirectional =
    std::to_array<Range>({{0x200E, 0x200F}, {0x202A, 0x202E}, {0x2066, 0x2069}});

std::size_t width_of(std::uint32_t value) {
  if (value < 0x300) return 1;
  if (within(value, kZeroWidth)) return 0;
  return within(value, kWide) ? 2 : 1;
}

/// Length of the escape sequence at the start of `text` (ECMA-48): CSI up to its final byte; OSC,
/// DCS, SOS, PM and APC strings up to BEL or ST; else ESC, intermediates and one final byte.
std::size_t escape_sequence(std::string_view text) {
  if (text.size() < 2) return text.size();
  std::size_t at = 2;
  switch (text[1]) {
    case '[':
      while (at < text.size() && text[at] >= 0x20 && text[at] <= 0x3F) ++at;
      return at < text.size() && text[at] >= 0x40 && text[at] <= 0x7E ? at + 1 : at;
    case ']':
    case 'P':
    case 'X':
    case '^':
    case '_':
      for (; at < text.size(); ++at) {
        if (text[at] == '\a') return at + 1;
        if (text[at] == kEscape) return std::min(at + 2, text.size());
      }
      return at;
    default:
      at = 1;
      while (at < text.size() && text[at] >= 0x20 && text[at] <= 0x2F) ++at;
      return at < text.size() && text[at] >= 0x30 && text[at] <= 0x7E ? at + 1 : at;
  }
}

std::string format(const char* pattern, double value, const char* unit = "") {
  std::array<char, 64> buffer{};
  const int length = std::snprintf(buffer.data(), buffer.size(), pattern, value, unit);
  return {buffer.data(), static_cast<std::size_t>(length)};
}

}  // namespace

std::string printable(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  std::size_t column = 0;
  while (!text.empty()) {
    const CodePoint c = decode(text);
    if (c.valid && c.value == static_cast<std::uint32_t>(kEscape)) {
      text.remove_prefix(escape_sequence(text));
      continue;
    }
    if (c.value == '\t') {
      const std::size_t spaces = 8 - column % 8;
      out.append(spaces, ' ');
      column += spaces;
    } else if (!c.valid || c.value < 0x20 || (c.value >= 0x7F && c.value < 0xA0) ||
               within(c.value, kBidirectional)) {
      out += kReplacement;
      ++column;
    } else {
      out += text.substr(0, c.length);
      column += width_of(c.value);
    }
    text.remove_prefix(c.length);
  }
  return out;
}

std::size_t display_width(std::string_view text) {
  std::size_t width = 0;
  while (!text.empty()) {
    const CodePoint c = decode(text);
    width += width_of(c.value);
    text.remove_prefix(c.length);
  }
  return width;
}

std::string fit(std::string_view text, std::size_t columns) {
  if (text.size() <= columns || display_width(text) <= columns) return std::string(text);
  if (columns == 0) return "";
  std::size_t width = 0;
  std::size_t end = 0;
  while (true) {
    const CodePoint c = decode(text.substr(end));
    if (width + width_of(c.value) > columns - 1) break;
    width += width_of(c.value);
    end += c.length;
  }
  return std::string(text.substr(0, end)) + "…";
}

std::string format_bytes(double bytes) {
  static constexpr std::array kUnits{"kB", "MB", "GB", "TB", "PB"};
  if (bytes < 1000) return format("%.0f B", bytes);
  std::size_t unit = 0;
  for (bytes /= 1000; bytes >= 999.5 && unit + 1 < kUnits.size(); ++unit) bytes /= 1000;
  return format(bytes < 9.995   ? "%.2f %s"
                : bytes < 99.95 ? "%.1f %s"
                                : "%.0f %s",
                bytes, kUnits[unit]);
}

std::string format_seconds(double seconds) {
  if (seconds < 59.95) return format("%.1fs", seconds);
  const auto whole = static_cast<long>(seconds + 0.5);
  std::array<char, 64> buffer{};
  if (whole < 3600)
    std::snprintf(buffer.data(), buffer.size(), "%ldm%02lds", whole / 60, whole % 60);
  else
    std::snprintf(buffer.data(), buffer.size(), "%ldh%02ldm", whole / 3600, whole / 60 % 60);
  return buffer.data();
}

std::string Palette::wrap(std::string_view code, std::string_view text) const {
  if (!enabled_ || text.empty()) return std::string(text);
  return "\x1b[" + std::string(code) + "m" + std::string(text) + "\x1b[0m";
}

}  // namespace strake::cli
