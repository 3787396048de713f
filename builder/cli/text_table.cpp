#include "builder/cli/text_table.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <ctime>

#include "builder/cli/terminal_text.h"

namespace strake::cli {

std::string text_table(const std::vector<std::vector<std::string>>& rows) {
  std::vector<std::size_t> widths;
  for (const auto& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (std::size_t i = 0; i < row.size(); ++i)
      widths[i] = std::max(widths[i], display_width(printable(row[i])));
  }
  std::string out;
  for (const auto& row : rows) {
    std::string line;
    for (std::size_t i = 0; i < row.size(); ++i) {
      const std::string cell = printable(row[i]);
      line += cell + std::string(widths[i] - display_width(cell) + 3, ' ');
    }
    line.erase(line.find_last_not_of(' ') + 1);
    out += line + "\n";
  }
  return out;
}

std::string format_age(std::int64_t seconds) {
  const auto count = [](std::int64_t number, std::string_view unit) {
    return std::to_string(number) + " " + std::string(unit) + (number == 1 ? "" : "s") + " ago";
  };
  const std::int64_t minutes = seconds / 60;
  const std::int64_t hours = (seconds + 1800) / 3600;
  if (seconds < 1) return "Less than a second ago";
  if (seconds < 60) return count(seconds, "second");
  if (minutes == 1) return "About a minute ago";
  if (minutes < 46) return count(minutes, "minute");
  if (hours <= 1) return "About an hour ago";
  if (hours < 48) return count(hours, "hour");
  if (hours < 24 * 14) return count(hours / 24, "day");
  if (hours < 24 * 60) return count(hours / 24 / 7, "week");
  if (hours < 24 * 365 * 2) return count(hours / 24 / 30, "month");
  return count(hours / 24 / 365, "year");
}

std::int64_t parse_rfc3339(std::string_view text) {
  const std::string copy(text);
  std::tm time{};
  int consumed = 0;
  if (std::sscanf(copy.c_str(), "%4d-%2d-%2dT%2d:%2d:%2d%n", &time.tm_year, &time.tm_mon,
                  &time.tm_mday, &time.tm_hour, &time.tm_min, &time.tm_sec, &consumed) != 6)
    return 0;
  time.tm_year -= 1900;
  time.tm_mon -= 1;
  std::size_t rest = static_cast<std::size_t>(consumed);
  if (rest < copy.size() && copy[rest] == '.')
    rest = std::min(copy.find_first_not_of("0123456789", rest + 1), copy.size());
  char sign = 0;
  int hours = 0;
  int minutes = 0;
  if (std::sscanf(copy.c_str() + rest, "%c%2d:%2d", &sign, &hours, &minutes) != 3)
    hours = minutes = 0;
  const std::int64_t offset = (hours * 60 + minutes) * 60 * (sign == '-' ? -1 : 1);
  return timegm(&time) - offset;
}

std::string format_rfc3339(std::int64_t seconds) {
  const std::time_t moment = seconds;
  std::tm time{};
  gmtime_r(&moment, &time);
  std::array<char, 64> buffer{};
  const std::size_t length =
      std::strftime(buffer.data(), buffer.size(), "%Y-%m-%dT%H:%M:%SZ", &time);
  return {buffer.data(), length};
}

}  // namespace strake::cli
