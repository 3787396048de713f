// Dockerfiles and .dockerignore files: refused with an error, or parsed; nothing else.

#include <cstdint>
#include <string>

#include "builder/dockerfile/ignore_file.h"
#include "builder/dockerfile/parser.h"
#include "layers/base/error.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const strake::dockerfile::SourceFile source(
      "Dockerfile", std::string(reinterpret_cast<const char*>(data), size));
  try {
    strake::dockerfile::parse(source);
  } catch (const strake::base::Error&) {
  }
  try {
    const strake::dockerfile::IgnoreMatcher matcher(strake::dockerfile::parse_ignore_file(source),
                                                    &source);
    matcher.excludes("some/path/to/a/file.txt");
  } catch (const strake::base::Error&) {
  }
  return 0;
}
