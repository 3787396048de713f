#include <charconv>
#include <cstdio>
#include <string_view>

#include "numerals.h"

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: %s NUMBER\n", argv[0]);
    return 2;
  }
  const std::string_view text = argv[1];
  int number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  const bool whole = error == std::errc{} && end == text.data() + text.size();
  const auto numeral = whole ? roman_numeral(number) : std::nullopt;
  if (!numeral) {
    std::fprintf(stderr, "%s: not a number from 1 to 3999\n", argv[1]);
    return 1;
  }
  std::puts(numeral->c_str());
}
