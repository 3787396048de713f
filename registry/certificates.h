#pragma once

#include <span>
#include <string>
#include <vector>

#include "layers/base/fd.h"

namespace strake::registry {

/// Certificates of one registry, as paths of PEM files.
struct Certificates {
  std::vector<std::string> ca_files;  // in the order of names
  std::string cert_file, key_file;    // a client certificate; both or neither
  bool operator==(const Certificates&) const = default;
};

/// Looks into `<directory>/<host>` for each directory: every *.crt is a CA to be trusted, the first
/// *.cert with the *.key of the same name is the client certificate. Absent directories are fine.
/// Throws Error(invalid_input) for a *.cert without its key.
Certificates find_certificates(const std::string& host, std::span<const std::string> directories);

/// Several CA files as the one that TLS libraries take.
class CaBundle {
 public:
  CaBundle() = default;
  /// Throws Error when a file cannot be read, or holds no certificate.
  explicit CaBundle(std::span<const std::string> files);

  /// "" when there is none; valid as long as this object, in this process.
  const std::string& path() const noexcept { return path_; }

 private:
  base::FileDescriptor file_;  // in memory; none for a single file
  std::string path_;
};

}  // namespace strake::registry
