#pragma once

#include <filesystem>
#include <functional>
#include <string>

#include "layers/base/fd.h"
#include "layers/base/stream.h"

namespace strake::builder {

/// A file for the user, "-" for stdout. A file appears whole or not at all: it is written beside
/// its place and renamed; an existing symlink is replaced, not followed.
class OutputFile final : public base::ByteSink {
 public:
  explicit OutputFile(const std::string& destination);  // throws Error
  ~OutputFile() override;
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;

  void write(std::span<const std::byte> bytes) override;
  /// Gives the file its name.
  void commit();

 private:
  std::filesystem::path path_, temporary_;  // empty for stdout
  base::FileDescriptor file_;
};

}  // namespace strake::builder
