#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace strake::dockerfile {

/// The flags that one instruction understands, each bound to the value it sets:
///
///     FlagSet().text("from", copy.from).boolean("link", copy.link).parse(statement.flags);
class FlagSet {
 public:
  FlagSet& text(std::string_view name, std::optional<std::string>& value);
  FlagSet& texts(std::string_view name, std::vector<std::string>& values);  // may be repeated
  FlagSet& boolean(std::string_view name, std::optional<bool>& value);

  /// Throws Error(invalid_input), without a place, for an unknown or repeated flag, a missing value
  /// or a value that is no boolean.
  void parse(const std::vector<std::string>& flags) const;

 private:
  using Target =
      std::variant<std::optional<std::string>*, std::vector<std::string>*, std::optional<bool>*>;

  const Target& find(std::string_view name) const;

  std::vector<std::pair<std::string_view, Target>> known_;
};

}  // namespace strake::dockerfile
