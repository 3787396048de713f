#include "registry/auth_config.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "layers/base/error.h"
#include "layers/oci/json.h"
#include "registry/base64.h"

namespace strake::registry {
namespace {

using base::Error;
using base::ErrorCode;

const nlohmann::json* object_member(const nlohmann::json& object, const char* key) {
  const auto found = object.find(key);
  if (found == object.end() || found->is_null()) return nullptr;
  if (!found->is_object()) {
    throw Error(ErrorCode::corrupt, base::quoted(key) + " is not an object");
  }
  return &*found;
}

/// "auth" is base64 of "user:password"; some tools end it with NUL bytes.
void decode_auth(const std::string& auth, Credential& credential) {
  std::optional<std::string> text = base64_decoded(auth);
  const std::size_t colon = text ? text->find(':') : std::string::npos;
  if (colon == std::string::npos) {
    throw Error(ErrorCode::corrupt, "\"auth\" is not base64 of \"user:password\"");
  }
  credential.username = text->substr(0, colon);
  credential.password = text->substr(colon + 1);
  while (credential.password.ends_with('\0')) credential.password.pop_back();
}

Credential parse_entry(const nlohmann::json& entry) {
  if (!entry.is_object()) throw Error(ErrorCode::corrupt, "it is not an object");
  Credential credential;
  credential.username = oci::string_member(entry, "username");
  credential.password = oci::string_member(entry, "password");
  const std::string auth = oci::string_member(entry, "auth");
  if (!auth.empty()) decode_auth(auth, credential);
  credential.identity_token = oci::string_member(entry, "identitytoken");
  credential.registry_token = oci::string_member(entry, "registrytoken");
  if (credential.username == "<token>" && credential.identity_token.empty()) {
    credential.identity_token = std::exchange(credential.password, "");
  }
  return credential;
}

AuthConfig parse(std::string_view json, const std::string& subject) {
  const nlohmann::json document = oci::parse_json(json, subject);
  if (!document.is_object()) throw Error(ErrorCode::corrupt, "it is not a JSON object");
  AuthConfig config;
  config.credentials_store = oci::string_member(document, "credsStore");
  if (const nlohmann::json* helpers = object_member(document, "credHelpers")) {
    for (const auto& [key, value] : helpers->items()) {
      config.credential_helpers[key] = oci::string_member(*helpers, key.c_str());
    }
  }
  if (const nlohmann::json* auths = object_member(document, "auths")) {
    for (const auto& [key, value] : auths->items()) {
      try {
        Credential credential = parse_entry(value);
        if (credential != Credential{}) config.auths.emplace(key, std::move(credential));
      } catch (Error& e) {
        e.add_context("reading the entry of " + base::quoted(key));
        throw;
      }
    }
  }
  return config;
}

}  // namespace

AuthConfig parse_auth_config(std::string_view json, const std::string& subject) {
  try {
    return parse(json, subject);
  } catch (const Error& e) {
    Error error(ErrorCode::invalid_input,
                "cannot use the credentials in " + base::quoted(subject) + ": " + e.what());
    for (const std::string& context : e.context()) error.add_context(context);
    throw error;
  }
}

AuthKey parse_auth_key(std::string_view key) {
  const bool has_scheme = key.starts_with("https://") || key.starts_with("http://");
  if (has_scheme) key.remove_prefix(key.find("//") + 2);
  while (key.ends_with('/')) key.remove_suffix(1);
  const std::size_t slash = std::min(key.find('/'), key.size());
  AuthKey result{std::string(key.substr(0, slash)), std::string(key.substr(slash))};
  result.path.erase(0, 1);
  // The version of the API is not a path of repositories.
  if (result.path == "v1" || result.path == "v2") result.path.clear();
  std::transform(result.host.begin(), result.host.end(), result.host.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  });
  if (result.host == "index.docker.io" || result.host == "registry-1.docker.io") {
    result.host = "docker.io";
  }
  return result;
}

std::string auth_key_of(const std::string& host) {
  return parse_auth_key(host).host == "docker.io" ? "https://index.docker.io/v1/" : host;
}

bool matches(const AuthKey& key, const oci::Repository& repository) {
  if (key.host.empty() || key.host != parse_auth_key(repository.host).host) return false;
  return key.path.empty() || repository.path == key.path ||
         repository.path.starts_with(key.path + "/");
}

}  // namespace strake::registry
