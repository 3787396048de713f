#include <cstdio>
#include <utility>

#include "numerals.h"

int main() {
  int failures = 0;
  for (const auto& [number, want] : {std::pair{1, "I"},
                                     {4, "IV"},
                                     {9, "IX"},
                                     {14, "XIV"},
                                     {40, "XL"},
                                     {90, "XC"},
                                     {400, "CD"},
                                     {1987, "MCMLXXXVII"},
                                     {2024, "MMXXIV"},
                                     {3999, "MMMCMXCIX"}}) {
    if (roman_numeral(number) == want) continue;
    std::printf("%d is not %s\n", number, want);
    ++failures;
  }
  for (const int number : {0, -1, 4000}) {
    if (!roman_numeral(number)) continue;
    std::printf("%d has a numeral\n", number);
    ++failures;
  }
  std::printf("%d failures\n", failures);
  return failures == 0 ? 0 : 1;
}
