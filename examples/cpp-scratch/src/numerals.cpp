#include "numerals.h"

#include <array>
#include <string_view>
#include <utility>

std::optional<std::string> roman_numeral(int number) {
  static constexpr std::array<std::pair<int, std::string_view>, 13> kSymbols{{
      {1000, "M"},
      {900, "CM"},
      {500, "D"},
      {400, "CD"},
      {100, "C"},
      {90, "XC"},
      {50, "L"},
      {40, "XL"},
      {10, "X"},
      {9, "IX"},
      {5, "V"},
      {4, "IV"},
      {1, "I"},
  }};
  if (number < 1 || number > 3999) return std::nullopt;
  std::string numeral;
  for (const auto& [value, symbol] : kSymbols) {
    for (; number >= value; number -= value) numeral += symbol;
  }
  return numeral;
}
