#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "builder/dockerfile/ignore_file.h"
#include "builder/dockerfile/source.h"
#include "layers/base/rooted_directory.h"

namespace strake::builder {

/// The Dockerfile of a build: `given` as the user named it, else Dockerfile, Containerfile or
/// dockerfile in the directory `context`. Throws Error(not_found) saying where it looked.
dockerfile::SourceFile read_dockerfile(const std::filesystem::path& context,
                                       const std::filesystem::path& given);

/// A directory that COPY and ADD read from. Nothing of it is read before a step asks.
class BuildContext {
 public:
  /// `dockerfile` is the Dockerfile's path: "<dockerfile>.dockerignore" replaces the directory's
  /// .dockerignore. Throws Error(not_found) if `directory` is none.
  BuildContext(const std::filesystem::path& directory, std::filesystem::path dockerfile);

  const base::RootedDirectory& root() const noexcept { return root_; }
  const std::filesystem::path& directory() const noexcept { return directory_; }  // absolute

  /// Read at the first call. Throws Error(invalid_input) with the line of a bad pattern.
  const dockerfile::IgnoreMatcher& ignored() const;

 private:
  std::filesystem::path directory_;
  std::filesystem::path dockerfile_;
  base::RootedDirectory root_;
  mutable std::optional<dockerfile::IgnoreMatcher> ignored_;
};

}  // namespace strake::builder
