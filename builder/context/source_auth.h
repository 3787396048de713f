#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "builder/dockerfile/git_url.h"

namespace strake::builder {

using dockerfile::GitUrl;

/// A build's secret by its id; nullopt if the user gave none of that id.
using SecretLookup = std::function<std::optional<std::string>(std::string_view id)>;

/// What a build lets its remote sources use. Nothing is taken from the user's home directory or git
/// configuration.
struct SourceAccess {
  SecretLookup secret;        // may be empty
  std::string ssh_auth_sock;  // an agent's socket; "" for none
  std::string known_hosts;    // text of a known_hosts file; "": the user's and the system's
};

/// The Authorization value for fetching `url`: the secret HTTP_AUTH_HEADER_<host>, "Bearer " and
/// the secret HTTP_AUTH_TOKEN_<host>, or what the URL itself has before "@"; "" for none. It is
/// registered with base::redact. Throws Error(invalid_input) for a secret that spans lines.
std::string http_authorization(std::string_view url, const SourceAccess& access);

/// The same for a git repository over http(s): the first of GIT_AUTH_HEADER.<host>,
/// GIT_AUTH_TOKEN.<host>, GIT_AUTH_HEADER, GIT_AUTH_TOKEN, and what the URL has.
std::string git_authorization(const GitUrl& url, const SourceAccess& access);

}  // namespace strake::builder
