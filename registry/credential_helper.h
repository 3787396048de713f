#pragma once

#include <chrono>
#include <optional>
#include <string>

#include "registry/credentials.h"

namespace strake::registry {

/// A program "docker-credential-<name>" on the PATH, as "credsStore" and "credHelpers" name it.
/// Spec: docker-credential-helpers, "Development".
///
/// Every member throws Error(not_found) when the program is not installed, Error(invalid_input)
/// when the name is none, Error(system) when it fails, says something else than it should, or is
/// not done in time; it is killed then.
class CredentialHelper {
 public:
  explicit CredentialHelper(std::string name,
                            std::chrono::milliseconds timeout = std::chrono::seconds(30));

  const std::string& name() const noexcept { return name_; }

  /// nullopt if it has none for `server`.
  std::optional<Credential> get(const std::string& server) const;
  void store(const std::string& server, const Credential& credential) const;
  /// False if it has none.
  bool erase(const std::string& server) const;

 private:
  struct Result;
  Result run(const char* verb, const std::string& input) const;

  std::string name_;
  std::chrono::milliseconds timeout_;
};

}  // namespace strake::registry
