#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace strake::cli {

/// `text` as one line that is safe to show on a terminal: escape sequences (colours, cursor moves,
/// titles, clipboard) are dropped, tabs become spaces up to the next multiple of 8, every other
/// control character, C1 code, bidirectional override and invalid UTF-8 byte becomes U+FFFD.
std::string printable(std::string_view text);

/// Columns that printable text takes: 2 for wide East Asian characters and emoji, 0 for combining
/// marks, 1 for the rest.
std::size_t display_width(std::string_view text);

/// The longest beginning of printable `text` that takes at most `columns`; when something had to
/// go, the last column shows "…".
std::string fit(std::string_view text, std::size_t columns);

/// "812 B", "12.3 MB", "1.21 GB": decimal units, as registries and docker count.
std::string format_bytes(double bytes);

/// "0.4s", "12.3s", "3m05s", "2h07m".
std::string format_seconds(double seconds);

/// SGR colours; each wraps `text`, or returns it as it is when colours are off.
class Palette {
 public:
  explicit Palette(bool enabled) : enabled_(enabled) {}
  std::string red(std::string_view text) const { return wrap("31;1", text); }
  std::string green(std::string_view text) const { return wrap("32", text); }
  std::string yellow(std::string_view text) const { return wrap("33", text); }
  std::string cyan(std::string_view text) const { return wrap("36", text); }
  std::string bold(std::string_view text) const { return wrap("1", text); }
  std::string dim(std::string_view text) const { return wrap("2", text); }

 private:
  std::string wrap(std::string_view code, std::string_view text) const;
  bool enabled_;
};

}  // namespace strake::cli
