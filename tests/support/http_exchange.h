#pragma once

#include <algorithm>
#include <cctype>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace strake::support {

inline std::string lower_case(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return text;
}

/// A request as a server sees it.
struct ServerRequest {
  std::string method;
  std::string origin;  // "https://host:port" as the client understood it
  std::string target;  // path and query
  std::vector<std::pair<std::string, std::string>> headers;
  std::string body;

  std::string path() const { return target.substr(0, target.find('?')); }
  std::string line() const { return method + " " + target; }
  std::string header(const std::string& name) const {
    for (const auto& [key, value] : headers) {
      if (lower_case(key) == lower_case(name)) return value;
    }
    return "";
  }
  /// A value of the query, as sent (not decoded); "" if absent.
  std::string query(const std::string& name) const {
    const std::size_t begin = target.find('?');
    std::string rest = begin == target.npos ? "" : target.substr(begin + 1);
    while (!rest.empty()) {
      const std::size_t end = std::min(rest.find('&'), rest.size());
      const std::string field = rest.substr(0, end);
      if (field.starts_with(name + "=")) return field.substr(name.size() + 1);
      rest.erase(0, std::min(end + 1, rest.size()));
    }
    return "";
  }
};

/// What a scripted server answers, honestly or not.
struct ServerResponse {
  int status = 200;
  std::vector<std::pair<std::string, std::string>> headers = {};
  std::string body = "";
  /// The connection breaks after so many bytes of the body.
  std::optional<std::size_t> cut_after = std::nullopt;
  /// Sent as it is instead of everything else, then the connection is closed (sockets only).
  std::string raw = "";
};

using ServerHandler = std::function<ServerResponse(const ServerRequest&)>;

}  // namespace strake::support
