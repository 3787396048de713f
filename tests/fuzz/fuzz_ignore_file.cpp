// Ignore files. The input is the file, a line with a single "=", and a path. A walk, which asks
// about each directory on the way, must come to the same answer as asking for the path at once.

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "builder/dockerfile/ignore_file.h"
#include "layers/base/error.h"

namespace {

using namespace strake;
using namespace strake::dockerfile;

/// As a walk names a path: relative, without empty parts.
std::string walkable(std::string_view text) {
  std::string path;
  for (const char c : text.substr(0, 200)) {
    if (c == '\0' || (c == '/' && (path.empty() || path.ends_with('/')))) continue;
    path += c;
  }
  while (path.ends_with('/')) path.pop_back();
  return path;
}

void walk_to(const IgnoreMatcher& matcher, const std::string& path) {
  const IgnorePattern* const decided = matcher.excluded_by(path);
  IgnoreMatcher::Directory directory = matcher.root();
  for (std::size_t slash = path.find('/'); slash != std::string::npos;
       slash = path.find('/', slash + 1)) {
    const std::string_view above = std::string_view(path).substr(0, slash);
    directory = matcher.enter(directory, above);
    if (directory.excluded_by() != matcher.excluded_by(above)) std::abort();
    if (directory.excluded() && decided == nullptr && !matcher.may_keep_below(directory, above))
      std::abort();
  }
  if (matcher.excluded_by(directory, path) != decided) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string input(reinterpret_cast<const char*>(data), size);
  const std::size_t end = input.find("\n=\n");
  const SourceFile source(".dockerignore", input.substr(0, end));
  try {
    const IgnoreMatcher matcher(parse_ignore_file(source), &source);
    walk_to(matcher, "some/path/to/a/file.txt");
    if (end == std::string::npos) return 0;
    const std::string path = walkable(std::string_view(input).substr(end + 3));
    if (!path.empty()) walk_to(matcher, path);
  } catch (const base::Error& error) {
    if (!error.location()) std::abort();
  }
  return 0;
}
