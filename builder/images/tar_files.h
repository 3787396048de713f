#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "layers/base/fd.h"
#include "layers/base/stream.h"

namespace strake::builder {

/// The files of an uncompressed tar, readable in any order: its headers are read once, its content
/// where it is. Thread-safe.
class TarFiles {
 public:
  /// Throws Error: system for what cannot be opened, corrupt for what is no tar, unsupported for a
  /// compressed one or one that cannot be read in any order (a pipe).
  explicit TarFiles(const std::string& path);

  /// nullptr if there is no such file. Must not outlive this object.
  std::unique_ptr<base::ByteSource> open(const std::string& name) const;

 private:
  struct Range {
    std::uint64_t offset = 0, size_bytes = 0;
  };
  void read_headers();
  std::string read_at(std::uint64_t offset, std::size_t size) const;

  const std::string path_;
  base::FileDescriptor file_;
  std::uint64_t size_bytes_ = 0;  // of the archive
  std::map<std::string, Range> files_;
};

}  // namespace strake::builder
