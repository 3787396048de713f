#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

#include "layers/base/error.h"

namespace strake::dockerfile {

/// The text of one file and where it came from. Cheap to copy: copies, and every range made from
/// them, share the text.
class SourceFile {
 public:
  SourceFile(std::filesystem::path path, std::string text);

  const std::filesystem::path& path() const noexcept { return path_; }
  std::string_view text() const noexcept { return *text_; }

  /// Lines [first, last], counted from 1, with the text filled in for excerpts.
  base::SourceRange range(int first_line, int last_line) const;
  base::SourceRange range(int line) const { return range(line, line); }

 private:
  std::filesystem::path path_;
  std::shared_ptr<const std::string> text_;
};

}  // namespace strake::dockerfile
