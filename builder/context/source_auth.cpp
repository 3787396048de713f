#include "builder/context/source_auth.h"

#include "builder/dockerfile/url_parts.h"
#include "layers/base/error.h"
#include "layers/base/log.h"
#include "registry/base64.h"

namespace strake::builder {
namespace {

using dockerfile::GitTransport;
using dockerfile::percent_decoded;
using dockerfile::split_url;
using dockerfile::UrlParts;

std::string basic(const std::string& user_and_password) {
  return "Basic " + registry::base64_encoded(user_and_password);
}

/// The secret as a header value: without the line end that files have.
std::optional<std::string> header_secret(const SourceAccess& access, const std::string& id) {
  if (!access.secret) return std::nullopt;
  std::optional<std::string> value = access.secret(id);
  if (!value) return std::nullopt;
  while (value->ends_with('\n') || value->ends_with('\r')) value->pop_back();
  if (value->find_first_of(std::string_view("\r\n\0", 3)) != std::string::npos)
    throw base::Error(
        base::ErrorCode::invalid_input,
        "secret " + base::quoted(id) + " has more than one line: it goes into a header");
  if (value->empty()) return std::nullopt;
  base::redact(*value);
  return value;
}

std::string without_port(const std::string& host) {
  const std::size_t colon = host.rfind(':');
  if (colon == host.npos || host.find(']', colon) != host.npos) return host;
  return host.substr(0, colon);
}

std::string registered(std::string authorization) {
  base::redact(authorization);
  return authorization;
}

}  // namespace

std::string http_authorization(std::string_view url, const SourceAccess& access) {
  const std::optional<UrlParts> parts = split_url(url);
  if (!parts) return "";
  const std::string host = without_port(parts->host);
  if (const auto header = header_secret(access, "HTTP_AUTH_HEADER_" + host)) return *header;
  if (const auto token = header_secret(access, "HTTP_AUTH_TOKEN_" + host))
    return registered("Bearer " + *token);
  if (parts->userinfo.empty()) return "";
  return registered(basic(percent_decoded(parts->userinfo).value_or(parts->userinfo)));
}

std::string git_authorization(const GitUrl& url, const SourceAccess& access) {
  if (url.transport != GitTransport::https && url.transport != GitTransport::http) return "";
  for (const std::string& suffix : {"." + url.host, std::string()}) {
    if (const auto header = header_secret(access, "GIT_AUTH_HEADER" + suffix)) return *header;
    if (const auto token = header_secret(access, "GIT_AUTH_TOKEN" + suffix))
      return registered(basic("x-access-token:" + *token));
  }
  return url.userinfo.empty() ? "" : registered(basic(url.userinfo));
}

}  // namespace strake::builder
