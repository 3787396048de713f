#include "registry/registry_error.h"

#include <nlohmann/json.hpp>

#include "layers/base/log.h"
#include "layers/oci/json.h"
#include "registry/rate_limit.h"
#include "registry/retry.h"

namespace strake::registry {
namespace {

using base::Error;
using base::ErrorCode;

constexpr std::size_t kShownEntries = 3;
constexpr std::size_t kShownBytes = 300;

std::string text_of(const nlohmann::json& entry, const char* key) {
  const auto found = entry.find(key);
  if (found == entry.end() || found->is_null()) return "";
  return found->is_string() ? found->get<std::string>() : found->dump();
}

/// One line, safe for a terminal.
std::string shown(std::string_view text) {
  const bool cut = text.size() > kShownBytes;
  std::string result = base::quoted(base::redacted(text.substr(0, kShownBytes)));
  result = result.substr(1, result.size() - 2);
  return cut ? result + "…" : result;
}

std::string describe(const RegistryErrorEntry& entry) {
  std::string text = entry.code;
  if (!entry.message.empty()) text += (text.empty() ? "" : ": ") + entry.message;
  const bool adds = !entry.detail.empty() && entry.detail != "{}" && entry.detail != "[]" &&
                    text.find(entry.detail) == text.npos;
  if (adds) text += " (" + entry.detail + ")";
  return text;
}

/// What a body that is not the specification's JSON says: proxies and load balancers answer with a
/// line of text, or with a web page that helps nobody.
std::string plain_text(std::string_view body) {
  const std::size_t begin = body.find_first_not_of(" \t\r\n");
  if (begin == body.npos || body[begin] == '<') return "";
  body.remove_prefix(begin);
  return std::string(body.substr(0, body.find_first_of("\r\n")));
}

std::string_view outcome(int status) {
  switch (status) {
    case 401:
    case 403:
      return "denied";
    case 404:
      return "not found";
    case 407:
      return "denied by the proxy";
    case 429:
      return "too many requests";
    default:
      return status >= 500 ? "the registry failed" : "refused by the registry";
  }
}

ErrorCode code_of(const HttpResponse& response) {
  const int status = response.status;
  if (status == 401 || status == 403 || status == 407) return ErrorCode::denied;
  if (status == 404) return ErrorCode::not_found;
  if (status == 408 || status == 429 || status >= 500) return ErrorCode::unavailable;
  for (const RegistryErrorEntry& entry : parse_error_body(response.body)) {
    if (entry.code == "DIGEST_INVALID" || entry.code == "SIZE_INVALID") return ErrorCode::corrupt;
  }
  return ErrorCode::unsupported;
}

}  // namespace

std::vector<RegistryErrorEntry> parse_error_body(std::string_view body) {
  std::vector<RegistryErrorEntry> entries;
  try {
    const nlohmann::json document = oci::parse_json(body, "error body");
    if (!document.is_object()) return {};
    const auto errors = document.find("errors");
    if (errors != document.end() && errors->is_array()) {
      for (const nlohmann::json& entry : *errors) {
        if (!entry.is_object()) continue;
        entries.push_back(
            {text_of(entry, "code"), text_of(entry, "message"), text_of(entry, "detail")});
      }
    } else if (document.contains("details") || document.contains("message")) {
      // Docker's token server and some proxies answer {"details": "..."} or {"message": "..."}.
      entries.push_back({"", text_of(document, "details") + text_of(document, "message"), ""});
    }
  } catch (const Error&) {
    return {};  // not JSON: describe() shows it as text
  }
  return entries;
}

std::string describe(const HttpResponse& response) {
  std::string text;
  const std::vector<RegistryErrorEntry> entries = parse_error_body(response.body);
  for (std::size_t i = 0; i < entries.size() && i < kShownEntries; ++i) {
    const std::string entry = describe(entries[i]);
    if (!entry.empty()) text += (text.empty() ? "" : "; ") + entry;
  }
  if (entries.empty()) text = plain_text(response.body);
  std::string result = std::to_string(response.status);
  if (!text.empty()) result += ", " + shown(text);
  return result;
}

Error registry_error(std::string_view what, const HttpResponse& response) {
  Error error(code_of(response), std::string(what) + ": " + std::string(outcome(response.status)) +
                                     " (" + describe(response) + ")");
  const std::string_view wait = response.headers.get("Retry-After");
  const auto seconds = parse_retry_after(wait, std::chrono::system_clock::now());
  if (!wait.empty()) {
    error.add_note("the registry asks to wait: " +
                   (seconds ? shown_duration(*seconds) : shown(wait)));
  }
  const std::optional<RateLimit> limit = parse_rate_limit(response.headers);
  if (limit) error.add_note("its rate limit: " + limit->str());
  if (response.status == 407) {
    error.set_hint("put user name and password into the proxy's URL, http_proxy or https_proxy");
  }
  if (response.status == 429) {
    const std::string when = seconds ? "in " + shown_duration(*seconds)
                             : limit && limit->window.count() > 0
                                 ? "within " + shown_duration(limit->window)
                                 : "later";
    error.set_hint("try again " + when + ", or log in: registries limit anonymous clients most");
  }
  return error;
}

Error push_error(std::string_view what, const oci::Repository& to, const HttpResponse& response) {
  Error error = registry_error(what, response);
  if (error.code() == ErrorCode::denied) {
    error.set_hint("log in to " + base::quoted(to.host) + " with the right to push to " +
                   base::quoted(to.path) + ", or check the name");
  }
  return error;
}

}  // namespace strake::registry
