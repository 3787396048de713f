#pragma once

#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "layers/base/error.h"

namespace YAML {
class Node;
struct Mark;
}  // namespace YAML

namespace strake::cli {

/// A settings file while it is read: makes errors that point into it.
class SettingsFile {
 public:
  SettingsFile(const std::string& text, std::filesystem::path file);

  const std::string& text() const { return *text_; }
  /// "/etc/strake/strake.yaml:12".
  std::string place(const YAML::Mark& mark) const;
  base::Error error(const YAML::Mark& mark, std::string message) const;
  /// For a key that is none of `known`.
  base::Error unknown_key(const YAML::Node& key, std::span<const std::string_view> known) const;

  /// The one value of a setting. The readers throw Error(invalid_input) for another kind of node.
  std::string scalar(const YAML::Node& node, std::string_view setting) const;
  bool boolean(const YAML::Node& node, std::string_view setting) const;

 private:
  std::shared_ptr<const std::string> text_;  // shared by the places of all errors
  std::filesystem::path file_;
};

}  // namespace strake::cli
