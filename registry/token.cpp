#include "registry/token.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "layers/base/error.h"
#include "layers/base/log.h"
#include "layers/oci/json.h"
#include "registry/base64.h"
#include "registry/body.h"
#include "registry/registry_error.h"

namespace strake::registry {
namespace {

using base::Error;
using base::ErrorCode;

constexpr std::string_view kClientId = "strake";

struct Answer {
  HttpResponse response;
  std::string body;
};

Answer exchange(HttpTransport& http, HttpRequest request, std::stop_token stop) {
  LimitedStringSink body(
      kTokenLimitBytes, "token from " + base::quoted(request.url.substr(0, request.url.find('?'))));
  request.route = [&](const HttpResponse& head) { return head.ok() ? &body : nullptr; };
  HttpResponse response = http.perform(request, std::move(stop));
  return {std::move(response), std::move(body.text)};
}

std::string joined(const std::vector<std::string>& scopes) {
  std::string text;
  for (const std::string& scope : scopes) text += (text.empty() ? "" : " ") + scope;
  return text;
}

/// Token specification: GET with the scopes in the query and the user in a Basic header.
Answer get_token(HttpTransport& http, const TokenRequest& request,
                 const std::optional<Credential>& credential, const TlsOptions& tls,
                 std::stop_token stop) {
  Url url = request.realm;
  if (!request.service.empty()) url.target = with_query(url.target, "service", request.service);
  for (const std::string& scope : request.scopes)
    url.target = with_query(url.target, "scope", scope);
  HttpRequest http_request;
  http_request.tls = tls;
  if (credential) {
    url.target = with_query(url.target, "account", credential->username);
    http_request.headers.add("Authorization", "Basic " + base64_encoded(credential->username + ":" +
                                                                        credential->password));
  }
  http_request.url = url.str();
  return exchange(http, std::move(http_request), std::move(stop));
}

/// OAuth2 specification: POST of a form.
Answer post_token(HttpTransport& http, const TokenRequest& request, const Credential& credential,
                  const TlsOptions& tls, std::stop_token stop) {
  // A server that repeats the form in its answer must not bring a secret into a message.
  for (const std::string& secret : {credential.password, credential.identity_token}) {
    base::redact(percent_encoded(secret));
  }
  std::string form;
  const auto field = [&](std::string_view name, std::string_view value) {
    if (!form.empty()) form += '&';
    form.append(name).append("=").append(percent_encoded(value));
  };
  if (!credential.identity_token.empty()) {
    field("grant_type", "refresh_token");
    field("refresh_token", credential.identity_token);
  } else {
    field("grant_type", "password");
    field("username", credential.username);
    field("password", credential.password);
  }
  field("service", request.service);
  field("client_id", kClientId);
  if (!request.scopes.empty()) field("scope", joined(request.scopes));

  HttpRequest http_request;
  http_request.method = "POST";
  http_request.url = request.realm.str();
  http_request.tls = tls;
  http_request.headers.add("Content-Type", "application/x-www-form-urlencoded");
  http_request.body_size = form.size();
  base::StringSource body(std::move(form));
  http_request.body = &body;
  return exchange(http, std::move(http_request), std::move(stop));
}

[[noreturn]] void refuse(const TokenRequest& request, const Answer& answer) {
  throw registry_error("cannot get a token from " + base::quoted(request.realm.origin.host),
                       answer.response);
}

/// The names by which everybody calls their own machine. Other addresses of 127/8 may be others'.
bool is_this_machine(std::string_view host) {
  return host == "localhost" || host == "127.0.0.1" || host == "[::1]";
}

[[noreturn]] void refuse_realm(const Url& realm, const Origin& registry, std::string_view why) {
  throw RefusedAnswer("registry " + base::quoted(registry.host) + " wants a token from " +
                      base::quoted(realm.origin.str()) + ", which is refused: " + std::string(why));
}

}  // namespace

Token parse_token(std::string_view json) {
  const nlohmann::json document = oci::parse_json(json, "token");
  if (!document.is_object()) throw Error(ErrorCode::corrupt, "token is not a JSON object");
  Token token;
  token.value = oci::string_member(document, "token");
  if (token.value.empty()) token.value = oci::string_member(document, "access_token");
  if (token.value.empty()) throw Error(ErrorCode::corrupt, "token server sent no token");
  // It becomes a header field: nothing in it may end the line.
  if (std::any_of(token.value.begin(), token.value.end(),
                  [](char c) { return static_cast<unsigned char>(c) <= ' ' || c == 0x7f; })) {
    throw Error(ErrorCode::corrupt, "token has characters that no token may have");
  }
  const auto lifetime = document.find("expires_in");
  if (lifetime != document.end() && lifetime->is_number_integer()) {
    constexpr std::int64_t kDay = 86'400;
    // Beyond 2⁶³ it would come out negative.
    const bool huge = lifetime->is_number_unsigned() && lifetime->get<std::uint64_t>() > kDay;
    const std::int64_t seconds = huge ? kDay : lifetime->get<std::int64_t>();
    if (seconds > 0) token.lifetime = std::chrono::seconds(std::min(seconds, kDay));
  }
  return token;
}

Token fetch_token(HttpTransport& http, const TokenRequest& request,
                  const std::optional<Credential>& credential, const TlsOptions& tls,
                  std::stop_token stop) {
  Answer answer;
  if (credential && !credential->identity_token.empty()) {
    answer = post_token(http, request, *credential, tls, stop);
  } else {
    answer = get_token(http, request, credential, tls, stop);
    const int status = answer.response.status;
    if (credential && (status == 401 || status == 404 || status == 405)) {
      answer = post_token(http, request, *credential, tls, stop);
    }
  }
  if (!answer.response.ok()) refuse(request, answer);
  try {
    Token token = parse_token(answer.body);
    base::redact(token.value);
    return token;
  } catch (const Error& e) {
    // Web pages and halves of documents are what servers in trouble send.
    throw Error(ErrorCode::unavailable,
                base::quoted(request.realm.origin.host) + " sent no usable token: " + e.what());
  }
}

RealmTrust check_realm(const Url& realm, const Origin& registry,
                       const std::set<std::string>& trusted_hosts) {
  const std::string& host = realm.origin.host;
  if (realm.origin.scheme != "https" && registry.scheme != "http") {
    refuse_realm(realm, registry, "it is not https");
  }
  if (host == registry.host) return RealmTrust::credentials;
  if (is_private_address(host)) {
    const bool same_machine = is_this_machine(host) && is_this_machine(registry.host);
    if (!same_machine) refuse_realm(realm, registry, "it is a private address");
    return RealmTrust::credentials;
  }
  if (trusted_hosts.contains(host)) return RealmTrust::credentials;
  const std::string domain = registrable_domain(host);
  if (!domain.empty() && domain == registrable_domain(registry.host)) {
    return RealmTrust::credentials;
  }
  return RealmTrust::anonymous;
}

std::vector<std::string> split_scopes(std::string_view scopes) {
  std::vector<std::string> result;
  while (!scopes.empty()) {
    const std::size_t end = std::min(scopes.find(' '), scopes.size());
    if (end > 0) result.emplace_back(scopes.substr(0, end));
    scopes.remove_prefix(std::min(end + 1, scopes.size()));
  }
  return result;
}

std::vector<std::string> merge_scopes(const std::vector<std::string>& first,
                                      const std::vector<std::string>& second) {
  struct Scope {
    std::string resource;  // "repository:team/app"
    std::vector<std::string> actions;
  };
  std::vector<Scope> merged;
  const auto add = [&](const std::string& text) {
    // The resource's name may hold colons (a port); the actions may not.
    const std::size_t colon = std::min(text.rfind(':'), text.size());
    const std::string resource = text.substr(0, colon);
    auto scope = std::find_if(merged.begin(), merged.end(),
                              [&](const Scope& other) { return other.resource == resource; });
    if (scope == merged.end()) scope = merged.insert(merged.end(), Scope{resource, {}});
    for (std::size_t begin = colon + 1; begin < text.size();) {
      const std::size_t end = std::min(text.find(',', begin), text.size());
      std::string action = text.substr(begin, end - begin);
      auto& actions = scope->actions;
      if (std::find(actions.begin(), actions.end(), action) == actions.end()) {
        actions.push_back(std::move(action));
      }
      begin = end + 1;
    }
  };
  for (const std::string& text : first) add(text);
  for (const std::string& text : second) add(text);

  std::vector<std::string> result;
  for (Scope& scope : merged) {
    std::sort(scope.actions.begin(), scope.actions.end());
    std::string text = scope.resource;
    for (std::size_t i = 0; i < scope.actions.size(); ++i)
      text += (i ? "," : ":") + scope.actions[i];
    result.push_back(std::move(text));
  }
  return result;
}

}  // namespace strake::registry
