#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "builder/context/remote_context.h"
#include "builder/dockerfile/ignore_file.h"
#include "builder/dockerfile/source.h"
#include "layers/base/rooted_directory.h"

namespace strake::builder {

/// The Dockerfile of a build. `given` is what the user named, "" for nothing: a path of the host,
/// or, if the context was fetched, a path in it. Else Dockerfile, Containerfile or dockerfile in
/// the context. Throws Error(not_found) saying where it looked.
dockerfile::SourceFile read_dockerfile(const OpenedContext& context,
                                       const std::filesystem::path& given);

/// A directory that COPY and ADD read from. Nothing of it is read before a step asks.
class BuildContext {
 public:
  /// `dockerfile` is the Dockerfile's path, "" for none: "<dockerfile>.dockerignore" replaces the
  /// directory's .dockerignore. Throws Error(not_found) if the context's directory is none.
  explicit BuildContext(OpenedContext opened, std::filesystem::path dockerfile = {});

  const base::RootedDirectory& root() const noexcept { return root_; }
  const std::filesystem::path& directory() const noexcept { return directory_; }  // absolute
  /// It was fetched for this build and goes with it.
  bool temporary() const noexcept { return static_cast<bool>(opened_.owned); }

  /// Read at the first call. Throws Error(invalid_input) with the line of a bad pattern.
  const dockerfile::IgnoreMatcher& ignored() const;

 private:
  OpenedContext opened_;
  std::filesystem::path directory_;
  std::filesystem::path dockerfile_;
  base::RootedDirectory root_;
  mutable std::optional<dockerfile::IgnoreMatcher> ignored_;
};

}  // namespace strake::builder
