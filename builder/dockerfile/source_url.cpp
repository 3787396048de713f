#include "builder/dockerfile/source_url.h"

#include <algorithm>
#include <optional>

#include "builder/dockerfile/git_url.h"
#include "builder/dockerfile/url_parts.h"
#include "layers/base/error.h"
#include "layers/base/log.h"

namespace strake::dockerfile {
namespace {

constexpr std::size_t kLongestFileName = 255;

bool is_http(std::string_view word) {
  const std::optional<UrlParts> parts = split_url(word);
  return parts && (parts->scheme == "http" || parts->scheme == "https");
}

/// Whether `word` has the form of a git URL, be it a good one or not.
bool is_git(std::string_view word, std::optional<GitUrl> (*parse)(std::string_view)) {
  try {
    const std::optional<GitUrl> url = parse(word);
    return url && url->transport != GitTransport::file;
  } catch (const base::Error&) {
    return true;
  }
}

bool is_file_name(std::string_view name) {
  return !name.empty() && name.size() <= kLongestFileName && name != "." && name != ".." &&
         std::none_of(name.begin(), name.end(), [](char c) {
           return static_cast<unsigned char>(c) < ' ' || c == 0x7f || c == '/';
         });
}

/// Takes the next "name=value" off a header's parameters; the value without its quotes.
bool next_parameter(std::string_view& rest, std::string& name, std::string& value) {
  const std::size_t begin = rest.find_first_not_of("; \t");
  if (begin == rest.npos) return false;
  rest.remove_prefix(begin);
  const std::size_t end = std::min(rest.find_first_of("=;"), rest.size());
  name = lower_case(rest.substr(0, end));
  while (name.ends_with(' ')) name.pop_back();
  value.clear();
  rest.remove_prefix(end);
  if (!rest.starts_with('=')) return true;
  rest.remove_prefix(1);
  rest.remove_prefix(std::min(rest.find_first_not_of(" \t"), rest.size()));
  if (!rest.starts_with('"')) {
    const std::size_t length = std::min(rest.find(';'), rest.size());
    value = rest.substr(0, length);
    while (value.ends_with(' ')) value.pop_back();
    rest.remove_prefix(length);
    return true;
  }
  std::size_t i = 1;
  for (; i < rest.size() && rest[i] != '"'; ++i) {
    if (rest[i] == '\\' && i + 1 < rest.size()) ++i;
    value += rest[i];
  }
  rest.remove_prefix(std::min(i + 1, rest.size()));
  return true;
}

/// "UTF-8''caf%C3%A9" decoded. Spec: RFC 8187.
std::string extended_value(std::string_view value) {
  const Halves charset = cut(value, '\'');
  const Halves language = cut(charset.second, '\'');
  if (!language.cut || lower_case(charset.first) != "utf-8") return "";
  return percent_decoded(language.second).value_or("");
}

std::string base_name(std::string_view path) {
  const std::string_view name = path.substr(path.find_last_of("/\\") + 1);
  return is_file_name(name) ? std::string(name) : std::string();
}

}  // namespace

AddSource classify_add_source(std::string_view word) {
  if (is_git(word, parse_git_url)) return AddSource::git;
  return is_http(word) ? AddSource::http : AddSource::local;
}

ContextKind classify_context(std::string_view word) {
  if (word == "-") return ContextKind::stdin_bytes;
  if (is_git(word, parse_git_context)) return ContextKind::git;
  return is_http(word) ? ContextKind::http : ContextKind::directory;
}

std::string url_file_name(std::string_view url) {
  const std::optional<UrlParts> parts = split_url(url);
  if (!parts) return "__unnamed__";
  std::string path = percent_decoded(parts->path).value_or(parts->path);
  while (path.ends_with('/')) path.pop_back();
  const std::string name = path.substr(path.rfind('/') + 1);
  return is_file_name(name) ? name : "__unnamed__";
}

std::string disposition_file_name(std::string_view value) {
  std::string_view rest = cut(value, ';').second;
  std::string plain, name, text;
  while (next_parameter(rest, name, text)) {
    if (name == "filename*") {
      if (std::string better = base_name(extended_value(text)); !better.empty()) return better;
    } else if (name == "filename" && plain.empty()) {
      plain = base_name(text);
    }
  }
  return plain;
}

std::string shown_url(std::string_view url) {
  return base::quoted(base::redacted(url));
}

}  // namespace strake::dockerfile
