#pragma once

#include <string>
#include <string_view>

namespace strake::builder {

// Paths as layers have them: relative, "/" between components, "" for the root.

inline std::string join_path(std::string_view directory, std::string_view name) {
  if (directory.empty()) return std::string(name);
  if (name.empty()) return std::string(directory);
  std::string path;
  path.reserve(directory.size() + 1 + name.size());
  path.append(directory).append(1, '/').append(name);
  return path;
}

inline std::string_view parent_path(std::string_view path) {
  const std::size_t slash = path.rfind('/');
  return slash == std::string_view::npos ? std::string_view() : path.substr(0, slash);
}

inline std::string last_component(std::string_view path) {
  return std::string(path.substr(path.rfind('/') + 1));
}

/// An absolute (or already relative) path as a layer path.
inline std::string layer_path(std::string_view path) {
  const std::size_t start = path.find_first_not_of('/');
  if (start == std::string_view::npos) return "";
  path.remove_prefix(start);
  return path == "." ? "" : std::string(path);
}

}  // namespace strake::builder
