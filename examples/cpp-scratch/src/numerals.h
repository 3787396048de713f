#pragma once

#include <optional>
#include <string>

/// The Roman numeral of a number from 1 to 3999; nothing for others, which have none.
std::optional<std::string> roman_numeral(int number);
