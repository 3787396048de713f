#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "layers/snapshot/xattr_policy.h"

namespace strake::layers {

/// Whether two trees in overlay form (directories open for reading) give the same changeset but for
/// times: the same paths, types, modes, owners, attributes, link targets, hard links, whiteouts and
/// bytes. Stops at the first difference. `right` may be an upper directory on top of `below`: see
/// TreeEntries.
bool trees_equal(int left, int right, XattrNamespace xattrs,
                 std::optional<std::span<const std::filesystem::path>> below = std::nullopt);

/// Compares files byte by byte, with the same buffers for all of them.
class ContentComparison {
 public:
  /// The next `size_bytes` of two files; what ends before that is another one. `subject` names them
  /// in the Error(system) thrown when they cannot be read.
  bool equal(int left, int right, std::uint64_t size_bytes, const std::string& subject);

 private:
  std::vector<std::byte> left_, right_;
};

}  // namespace strake::layers
