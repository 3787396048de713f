#include "builder/dockerfile/source.h"

#include <utility>

namespace strake::dockerfile {

SourceFile::SourceFile(std::filesystem::path path, std::string text)
    : path_(std::move(path)), text_(std::make_shared<const std::string>(std::move(text))) {}

base::SourceRange SourceFile::range(int first_line, int last_line) const {
  return base::SourceRange{path_, first_line, last_line, text_};
}

}  // namespace strake::dockerfile
