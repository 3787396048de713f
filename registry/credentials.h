#pragma once

#include <sys/types.h>

#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "layers/oci/reference.h"

namespace strake::registry {

/// What proves who the user is, to one registry. Either user name and password, or an identity
/// token (an OAuth2 refresh token), or a ready-made bearer token.
struct Credential {
  std::string username, password;
  std::string identity_token = "";
  std::string registry_token = "";
  bool operator==(const Credential&) const = default;
};

/// Where credentials are looked for.
struct CredentialSources {
  /// JSON as in config.json, from DOCKER_AUTH_CONFIG; "" for none.
  std::string inline_config;
  /// Files in the order of precedence; absent ones are skipped.
  std::vector<std::filesystem::path> files;
  /// The file that login and logout write.
  std::filesystem::path login_file;

  /// DOCKER_AUTH_CONFIG, then $REGISTRY_AUTH_FILE, $DOCKER_CONFIG/config.json (or
  /// ~/.docker/config.json), $XDG_RUNTIME_DIR/containers/auth.json,
  /// $XDG_CONFIG_HOME/containers/auth.json. Without HOME, the home of `user` is that of the user
  /// data base: in a user namespace getuid() would name somebody else.
  static CredentialSources from_environment(uid_t user);
};

/// The user's registry credentials: those given explicitly, then those of the sources, where in
/// each a credential helper of the host goes before the default helper and that before "auths".
///
/// A key matches its exact host[:port], written plain or as https://host/v1/; a key with a path
/// ("host/team") matches repositories below it, the longest first. No wildcards, no suffixes:
/// credentials never go to another host than the one they are stored for. Files are read and
/// helpers run when the first registry asks, once a repository and process. Thread-safe.
class Credentials {
 public:
  Credentials() = default;  // none: anonymous access only
  explicit Credentials(CredentialSources sources);

  /// Takes precedence over all sources for the registry `host`.
  void set(const std::string& host, Credential credential);

  /// Throws Error(invalid_input) when a file is malformed, Error(system) when a helper cannot be
  /// run or does not answer within 30 s. The secrets found are registered with base::redact.
  std::optional<Credential> find(const oci::Repository& repository) const;

  /// Stores the credential of `host` where docker would: in the credential helper config.json names
  /// for it, else in config.json (0600, written atomically, unknown keys kept). Returns a sentence
  /// fragment that says where ("/root/.docker/config.json"). Throws Error.
  std::string store(const std::string& host, const Credential& credential) const;
  /// Removes what store() wrote; false if there was nothing.
  bool erase(const std::string& host) const;

 private:
  std::optional<Credential> search(const oci::Repository& repository) const;

  CredentialSources sources_;
  mutable std::mutex mutex_;  // guards what follows
  std::map<std::string, Credential> explicit_;
  mutable std::map<oci::Repository, std::optional<Credential>> found_;
};

}  // namespace strake::registry
