#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace strake::dockerfile {

/// A --chmod: octal up to 07777, or symbolic as in chmod(1), with a umask of 0.
class FileModeChange {
 public:
  /// Parses an expanded value. Throws Error(invalid_input), without a place.
  static FileModeChange parse(std::string_view text);

  /// The permission bits (07777) of a file that has `mode` now. `X` looks at `is_directory`.
  std::uint32_t apply(std::uint32_t mode, bool is_directory) const;

  /// No need to know the present mode.
  bool absolute() const noexcept { return absolute_; }

 private:
  struct Clause {
    std::uint32_t who = 0;     // mask of the bits that may change
    char operation = '=';      // + - =
    std::uint32_t bits = 0;    // for all classes, before masking with `who`
    bool exec_if_any = false;  // X
    char copy_from = 0;        // u, g or o
  };

  static bool parse_clause(std::string_view clause, std::vector<Clause>& out);

  bool absolute_ = false;
  std::uint32_t mode_ = 0;
  std::vector<Clause> clauses_;
};

}  // namespace strake::dockerfile
