#include "layers/oci/reference.h"

#include <algorithm>

#include "layers/base/error.h"

// The grammar of distribution/reference, by hand: each function takes one rule's whole text.
//
//   reference   = name [ ":" tag ] [ "@" digest ]
//   name        = [ domain "/" ] component *( "/" component )
//   domain      = host [ ":" port ]          host = dns names, or "[" IPv6 "]"
//   component   = alphanumeric *( separator alphanumeric )
//   separator   = "." / "_" / "__" / 1*"-"
//   tag         = (letter / digit / "_") *127(letter / digit / "_" / "." / "-")

namespace strake::oci {
namespace {

using base::Error;
using base::ErrorCode;

constexpr std::string_view kDockerHub = "docker.io";
constexpr std::string_view kOfficial = "library/";
constexpr std::size_t kLongestText = 4096;
constexpr std::size_t kLongestPath = 255;
constexpr std::size_t kLongestTag = 128;

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
bool is_lower(char c) {
  return c >= 'a' && c <= 'z';
}
bool is_upper(char c) {
  return c >= 'A' && c <= 'Z';
}
bool is_alphanumeric(char c) {
  return is_digit(c) || is_lower(c) || is_upper(c);
}
bool is_hex(char c) {
  return is_digit(c) || (c >= 'a' && c <= 'f');
}

template <typename Predicate>
bool all_of(std::string_view text, Predicate predicate) {
  return !text.empty() && std::all_of(text.begin(), text.end(), predicate);
}

/// Calls `check` with each part of `text` between `separator`s; false if one is refused.
template <typename Check>
bool each_part(std::string_view text, char separator, Check check) {
  while (true) {
    const std::size_t end = text.find(separator);
    if (!check(text.substr(0, end))) return false;
    if (end == std::string_view::npos) return true;
    text.remove_prefix(end + 1);
  }
}

bool is_port(std::string_view text) {
  if (text.size() > 5 || !all_of(text, is_digit)) return false;
  const int port = std::stoi(std::string(text));
  return port >= 1 && port <= 65535;
}

bool is_dns_label(std::string_view text) {
  const auto inner = [](char c) { return is_alphanumeric(c) || c == '-'; };
  return all_of(text, inner) && text.front() != '-' && text.back() != '-';
}

bool is_domain(std::string_view text) {
  std::size_t host_end = text.find(':');
  if (!text.empty() && text.front() == '[') {
    const std::size_t bracket = text.find(']');
    if (bracket == std::string_view::npos) return false;
    const auto inner = [](char c) { return is_hex(c) || (c >= 'A' && c <= 'F') || c == ':'; };
    if (!all_of(text.substr(1, bracket - 1), inner)) return false;
    host_end = bracket + 1 == text.size() ? std::string_view::npos : bracket + 1;
    if (host_end != std::string_view::npos && text[host_end] != ':') return false;
  } else if (!each_part(text.substr(0, host_end), '.', is_dns_label)) {
    return false;
  }
  return host_end == std::string_view::npos || is_port(text.substr(host_end + 1));
}

bool is_path_component(std::string_view text) {
  const auto letter = [](char c) { return is_digit(c) || is_lower(c); };
  std::size_t at = 0;
  while (at < text.size() && letter(text[at])) {
    while (at < text.size() && letter(text[at])) ++at;
    if (at == text.size()) return true;
    const std::size_t begin = at;
    while (at < text.size() && !letter(text[at])) ++at;
    const std::string_view separator = text.substr(begin, at - begin);
    const bool dashes = separator.find_first_not_of('-') == std::string_view::npos;
    if (!dashes && separator != "." && separator != "_" && separator != "__") return false;
  }
  return false;
}

bool is_tag(std::string_view text) {
  const auto first = [](char c) { return is_alphanumeric(c) || c == '_'; };
  const auto rest = [&](char c) { return first(c) || c == '.' || c == '-'; };
  return text.size() <= kLongestTag && all_of(text, rest) && first(text.front());
}

/// Whether the part before the first "/" is a registry, and not a part of the name.
bool looks_like_domain(std::string_view text) {
  return text == "localhost" || text.find_first_of(".:") != std::string_view::npos ||
         std::any_of(text.begin(), text.end(), is_upper);
}

Error invalid(std::string_view text, const std::string& why) {
  return Error(ErrorCode::invalid_input,
               "invalid image reference " + base::quoted(text.substr(0, 300)) + ": " + why);
}

Repository parse_name(std::string_view name, std::string_view whole) {
  const std::size_t slash = name.find('/');
  Repository repository{std::string(kDockerHub), std::string(name)};
  if (slash != std::string_view::npos && looks_like_domain(name.substr(0, slash))) {
    repository.host = name.substr(0, slash);
    repository.path = name.substr(slash + 1);
    if (!is_domain(repository.host))
      throw invalid(whole, base::quoted(repository.host) + " is not a host or host:port");
  }
  if (repository.host == "index.docker.io") repository.host = kDockerHub;
  const std::string& path = repository.path;
  if (std::any_of(path.begin(), path.end(), is_upper))
    throw invalid(whole, "the name must be in lower case");
  if (!each_part(path, '/', is_path_component))
    throw invalid(whole, base::quoted(path) + " is not a repository name")
        .hint(
            "use lower-case letters and digits, with single \".\", \"_\", \"-\" or \"/\" between");
  if (repository.host == kDockerHub && path.find('/') == std::string::npos)
    repository.path.insert(0, kOfficial);
  if (path.size() > kLongestPath)
    throw invalid(whole, "the name is longer than " + std::to_string(kLongestPath) + " characters");
  return repository;
}

}  // namespace

Reference parse_reference(std::string_view text) {
  if (text.empty()) throw invalid(text, "it is empty");
  if (text.size() > kLongestText) throw invalid(text, "it is too long");
  if (text.find("://") != std::string_view::npos)
    throw invalid(text, "it is a URL").hint("leave out everything up to the \"//\"");
  if (text.size() == 64 && all_of(text, is_hex))
    throw invalid(text, "64 hexadecimal digits are an image ID, not a name");

  std::optional<base::Digest> digest;
  std::string_view name = text;
  if (const std::size_t at = text.find('@'); at != std::string_view::npos) {
    digest = base::Digest::parse(text.substr(at + 1));
    name = text.substr(0, at);
  }
  std::optional<std::string> tag;
  const std::size_t colon = name.rfind(':');
  if (colon != std::string_view::npos && name.find('/', colon) == std::string_view::npos) {
    tag = name.substr(colon + 1);
    if (!is_tag(*tag)) throw invalid(text, base::quoted(*tag) + " is not a tag");
    name = name.substr(0, colon);
  }
  Repository repository = parse_name(name, text);
  if (!tag && !digest) tag = "latest";
  return {std::move(repository), std::move(tag), digest};
}

Repository parse_repository(std::string_view text) {
  Reference reference = parse_reference(text);
  const std::size_t after_host = text.rfind('/') == std::string_view::npos ? 0 : text.rfind('/');
  if (text.find_first_of(":@", after_host) != std::string_view::npos)
    throw invalid(text, "a tag or digest is not wanted here");
  return std::move(reference.repository);
}

std::string Reference::str() const {
  std::string text = repository.str();
  if (tag) text += ":" + *tag;
  if (digest) text += "@" + digest->str();
  return text;
}

std::string Reference::familiar() const {
  std::string text = str();
  if (repository.host != kDockerHub) return text;
  const std::size_t first_slash = repository.path.find('/');
  const std::string_view first = std::string_view(repository.path).substr(0, first_slash);
  // "docker.io/my.team/app" without its host would be the host "my.team".
  if (looks_like_domain(first)) return text;
  text.erase(0, kDockerHub.size() + 1);
  const bool official = repository.path.rfind(kOfficial, 0) == 0 &&
                        repository.path.find('/', kOfficial.size()) == std::string::npos;
  if (official) text.erase(0, kOfficial.size());
  return text;
}

}  // namespace strake::oci
