#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace strake::cli {

/// Rows as text in columns, three spaces apart, as docker prints its lists. The first row is the
/// heading; cells are made printable.
std::string text_table(const std::vector<std::vector<std::string>>& rows);

/// How long ago, in docker's words: "5 minutes ago", "About an hour ago".
std::string format_age(std::int64_t seconds);

/// Seconds since 1970 of an RFC 3339 time ("2026-01-02T03:04:05.6Z"); 0 if it is none.
std::int64_t parse_rfc3339(std::string_view text);

/// "2026-01-02T03:04:05Z".
std::string format_rfc3339(std::int64_t seconds);

}  // namespace strake::cli
