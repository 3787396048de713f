#pragma once

#include <filesystem>

#include "layers/base/fd.h"
#include "layers/base/trace.h"

namespace strake::cli {

/// `--profile=FILE`: what each thread did and when, from construction to destruction, as a Chrome
/// trace (the JSON object form of the "Trace Event Format"; chrome://tracing and Perfetto show it).
/// It is written however the build ends: why one failed late is worth a look too.
class Profile {
 public:
  /// Makes the file or opens the one that is there. Throws Error(system) if it cannot be written,
  /// Error(invalid_input) if it is not a regular file.
  explicit Profile(std::filesystem::path file);
  /// Writes it. What goes wrong now is a warning: the build's result stands.
  ~Profile();
  Profile(const Profile&) = delete;
  Profile& operator=(const Profile&) = delete;

 private:
  std::filesystem::path file_;
  base::FileDescriptor out_;
  base::TraceRecording recording_;
};

}  // namespace strake::cli
