#include "registry/credentials.h"

#include <pwd.h>

#include <cstdlib>
#include <nlohmann/json.hpp>

#include "layers/base/error.h"
#include "layers/base/files.h"
#include "layers/base/log.h"
#include "layers/oci/json.h"
#include "registry/auth_config.h"
#include "registry/base64.h"
#include "registry/credential_helper.h"

namespace strake::registry {
namespace {

using base::Error;
using base::ErrorCode;
namespace fs = std::filesystem;

constexpr std::size_t kConfigLimitBytes = 4 << 20;

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value != nullptr ? value : "";
}

/// An absolute path from the environment; empty when it is unset or relative.
fs::path directory_variable(const char* name) {
  fs::path path = variable(name);
  return path.is_absolute() ? path : fs::path();
}

fs::path home(uid_t user) {
  fs::path path = directory_variable("HOME");
  if (!path.empty()) return path;
  passwd entry{};
  passwd* found = nullptr;
  char buffer[4096];
  if (getpwuid_r(user, &entry, buffer, sizeof buffer, &found) != 0 || found == nullptr) return "";
  return entry.pw_dir;
}

bool is_blank(std::string_view text) {
  return text.find_first_not_of(" \t\r\n") == text.npos;
}

std::optional<Credential> from_config(const AuthConfig& config, const oci::Repository& repository) {
  const std::string server = auth_key_of(repository.host);
  if (const std::string* helper = best_match(config.credential_helpers, repository)) {
    if (!helper->empty()) return CredentialHelper(*helper).get(server);
  }
  if (!config.credentials_store.empty()) {
    try {
      if (auto credential = CredentialHelper(config.credentials_store).get(server))
        return credential;
    } catch (const Error& e) {
      if (e.code() != ErrorCode::not_found) throw;
      // A config.json copied from a desktop names a helper that a container does not have; most
      // registries it then asks about need no credentials at all.
      base::log_warning(std::string(e.what()) + ": going on without it");
    }
  }
  const Credential* entry = best_match(config.auths, repository);
  return entry != nullptr ? std::optional(*entry) : std::nullopt;
}

void redact(const Credential& credential) {
  for (const std::string& secret :
       {credential.password, credential.identity_token, credential.registry_token}) {
    base::redact(secret);
  }
  if (!credential.password.empty()) {
    base::redact(base64_encoded(credential.username + ":" + credential.password));
  }
}

/// A config.json that is changed in place: what is not known here keeps its order and content.
class ConfigFile {
 public:
  explicit ConfigFile(const fs::path& path) : path_(path) {
    // It may be a symlink into a dotfiles repository: the file behind it is replaced.
    std::error_code absent;
    const fs::path target = fs::canonical(path, absent);
    if (!absent) path_ = target;
    std::string text = base::read_file(path_, kConfigLimitBytes).value_or("");
    if (is_blank(text)) text = "{}";
    config_ = parse_auth_config(text, path_.string());
    document_ = nlohmann::ordered_json::parse(text);
  }

  const fs::path& path() const noexcept { return path_; }
  const AuthConfig& config() const noexcept { return config_; }
  nlohmann::ordered_json& auths() { return document_["auths"]; }

  void save() const {
    base::make_directories(path_.parent_path());
    base::write_file_atomically(path_, document_.dump(1, '\t') + "\n", 0600);
  }

 private:
  fs::path path_;
  AuthConfig config_;
  nlohmann::ordered_json document_;
};

/// The helper that config.json wants for `host`; "" for the file itself.
std::string helper_of(const AuthConfig& config, const std::string& host) {
  const std::string* helper = best_match(config.credential_helpers, {host, ""});
  return helper != nullptr && !helper->empty() ? *helper : config.credentials_store;
}

}  // namespace

CredentialSources CredentialSources::from_environment(uid_t uid) {
  CredentialSources sources;
  sources.inline_config = variable("DOCKER_AUTH_CONFIG");
  const auto add = [&](const fs::path& directory, const char* file) {
    if (!directory.empty()) sources.files.push_back(directory / file);
  };
  const fs::path user = home(uid);
  fs::path docker = variable("DOCKER_CONFIG");
  if (docker.empty() && !user.empty()) docker = user / ".docker";
  sources.login_file = docker / "config.json";

  const std::string chosen = variable("REGISTRY_AUTH_FILE");
  if (!chosen.empty()) sources.files.emplace_back(chosen);
  add(docker, "config.json");
  add(directory_variable("XDG_RUNTIME_DIR"), "containers/auth.json");
  fs::path config = directory_variable("XDG_CONFIG_HOME");
  if (config.empty() && !user.empty()) config = user / ".config";
  add(config, "containers/auth.json");
  return sources;
}

Credentials::Credentials(CredentialSources sources) : sources_(std::move(sources)) {}

void Credentials::set(const std::string& host, Credential credential) {
  redact(credential);
  const std::lock_guard lock(mutex_);
  explicit_[parse_auth_key(host).host] = std::move(credential);
}

std::optional<Credential> Credentials::find(const oci::Repository& repository) const {
  // Held while a helper runs: the requests of one build that come meanwhile need its answer too.
  const std::lock_guard lock(mutex_);
  const auto given = explicit_.find(parse_auth_key(repository.host).host);
  if (given != explicit_.end()) return given->second;
  const auto known = found_.find(repository);
  if (known != found_.end()) return known->second;

  std::optional<Credential> credential = search(repository);
  if (credential) redact(*credential);
  return found_.emplace(repository, std::move(credential)).first->second;
}

std::optional<Credential> Credentials::search(const oci::Repository& repository) const {
  if (!sources_.inline_config.empty()) {
    const AuthConfig config = parse_auth_config(sources_.inline_config, "DOCKER_AUTH_CONFIG");
    if (auto credential = from_config(config, repository)) return credential;
  }
  for (const fs::path& file : sources_.files) {
    const std::optional<std::string> text = base::read_file(file, kConfigLimitBytes);
    if (!text || is_blank(*text)) continue;
    const AuthConfig config = parse_auth_config(*text, file.string());
    if (auto credential = from_config(config, repository)) return credential;
  }
  return std::nullopt;
}

std::string Credentials::store(const std::string& host, const Credential& credential) const {
  redact(credential);
  ConfigFile file(sources_.login_file);
  const std::string key = auth_key_of(host);
  const std::string helper = helper_of(file.config(), host);
  nlohmann::ordered_json entry = nlohmann::ordered_json::object();
  if (!helper.empty()) {
    CredentialHelper(helper).store(key, credential);
  } else if (!credential.identity_token.empty()) {
    entry["auth"] = base64_encoded(credential.username + ":");
    entry["identitytoken"] = credential.identity_token;
  } else {
    entry["auth"] = base64_encoded(credential.username + ":" + credential.password);
  }
  file.auths()[key] = std::move(entry);
  file.save();
  return helper.empty() ? file.path().string() : "docker-credential-" + helper;
}

bool Credentials::erase(const std::string& host) const {
  ConfigFile file(sources_.login_file);
  const std::string key = auth_key_of(host);
  const std::string helper = helper_of(file.config(), host);
  bool erased = !helper.empty() && CredentialHelper(helper).erase(key);

  nlohmann::ordered_json kept = nlohmann::ordered_json::object();
  const AuthKey wanted = parse_auth_key(key);
  bool changed = false;
  for (const auto& [name, value] : file.auths().items()) {
    if (parse_auth_key(name) == wanted) {
      changed = true;
    } else {
      kept[name] = value;
    }
  }
  if (changed) {
    erased = erased || helper.empty();
    file.auths() = std::move(kept);
    file.save();
  }
  return erased;
}

}  // namespace strake::registry
