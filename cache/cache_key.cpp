#include "cache/cache_key.h"

#include <algorithm>
#include <array>
#include <cctype>

#include "cache/canonical.h"

namespace strake::cache {
namespace {

bool is_separator(char c) {
  return c == '_' || c == '-' || c == '.';
}

std::string lower_case(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return lower;
}

/// What a record keeps of a value. The short digest of a secret is enough to see that it changed
/// and too little to confirm a guess.
std::string stored_value(std::string_view name, std::string_view value) {
  if (name.starts_with(field::kVariable) && looks_secret(name.substr(field::kVariable.size())))
    return "sha256:" + base::Digest::of(value).hex().substr(0, 8) + "…";
  if (value.size() > kLongValueBytes)
    return base::Digest::of(value).str() + " (" + std::to_string(value.size()) + " bytes)";
  return std::string(value);
}

}  // namespace

std::string field::variable(std::string_view name) {
  return std::string(kVariable).append(name);
}

bool looks_secret(std::string_view variable_name) {
  // Long words count anywhere (GITHUBTOKEN), short ones only as a word (API_KEY, not KEYBOARD).
  static constexpr std::array<std::string_view, 6> kAnywhere = {"password", "passwd", "passphrase",
                                                                "secret",   "token",  "credential"};
  static constexpr std::array<std::string_view, 6> kWords = {"key",  "apikey", "auth",
                                                             "pass", "pword",  "pwd"};
  const std::string name = lower_case(variable_name);
  if (name == "pwd" || name == "oldpwd") return false;  // directories
  bool secret = std::ranges::any_of(
      kAnywhere, [&](std::string_view word) { return name.find(word) != std::string::npos; });
  for (auto word = name.begin(); word != name.end();) {
    const auto end = std::find_if(word, name.end(), is_separator);
    const std::string_view text(word, end);
    if (text == "public") return false;
    secret |= std::ranges::find(kWords, text) != kWords.end();
    word = end == name.end() ? end : end + 1;
  }
  return secret;
}

KeyBuilder::KeyBuilder(std::string_view schema) {
  std::string head;
  append_text(head, "strake key 1");
  append_text(head, schema);
  sha256_.update(head);
}

KeyBuilder& KeyBuilder::field(std::string_view name, std::string_view value) {
  std::string head;
  append_text(head, name);
  append_number(head, value.size());
  sha256_.update(head).update(value);
  fields_.push_back({std::string(name), stored_value(name, value)});
  return *this;
}

CacheKey KeyBuilder::finish() {
  return {sha256_.finish()};
}

}  // namespace strake::cache
