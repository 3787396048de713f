#include "registry/auth_challenge.h"

#include <optional>

namespace strake::registry {
namespace {

/// Grammar (RFC 9110, 11.6.1 and 5.6):
///
///     field     = [ "," ] challenge *( "," challenge )
///     challenge = scheme [ 1*SP ( token68 / [ parameter *( "," parameter ) ] ) ]
///     parameter = token "=" ( token / quoted-string )
///
/// A comma ends a parameter or a challenge; which of them shows in what follows it: a token with
/// "=" goes on with parameters, a token alone is the next scheme.
class ChallengeParser {
 public:
  explicit ChallengeParser(std::string_view field) : rest_(field) {}

  std::vector<AuthChallenge> parse() {
    std::vector<AuthChallenge> challenges;
    skip_separators();
    while (!rest_.empty()) {
      AuthChallenge challenge{lower(token()), {}};
      if (challenge.scheme.empty()) break;
      const bool complete = parameters(challenge);
      challenges.push_back(std::move(challenge));
      if (!complete) break;
      skip_separators();
    }
    return challenges;
  }

 private:
  /// False when the rest of the field cannot be parsed.
  bool parameters(AuthChallenge& challenge) {
    skip_spaces();
    if (skip_token68()) return true;
    while (!rest_.empty()) {
      const std::string_view before = rest_;
      skip_separators();
      const std::string_view name = token();
      skip_spaces();
      if (name.empty()) return rest_.empty();
      if (!rest_.starts_with('=')) {  // the next challenge's scheme
        rest_ = before;
        return true;
      }
      rest_.remove_prefix(1);
      skip_spaces();
      std::optional<std::string> text = value();
      if (!text) return false;
      challenge.parameters.emplace(lower(name), *std::move(text));
      skip_spaces();
      if (!rest_.empty() && rest_.front() != ',') return false;
    }
    return true;
  }

  /// Base64 text alone after the scheme (Negotiate); no scheme that is understood here has one.
  bool skip_token68() {
    std::size_t end = 0;
    while (end < rest_.size() && (is_token(rest_[end]) || rest_[end] == '/')) ++end;
    const std::size_t padding = end;
    while (end < rest_.size() && rest_[end] == '=') ++end;
    std::size_t after = end;
    while (after < rest_.size() && is_space(rest_[after])) ++after;
    const bool ends = after == rest_.size() || rest_[after] == ',';
    // "name=" at the end could be either; a parameter needs a value, so it is token68. A lone token
    // is taken as token68 as well, unless it is empty.
    if (padding == 0 || !ends) return false;
    rest_.remove_prefix(after);
    return true;
  }

  std::optional<std::string> value() {
    if (!rest_.starts_with('"')) {
      // Some registries do not quote URLs and scopes: everything up to the comma, then.
      std::size_t end = 0;
      while (end < rest_.size() && rest_[end] != ',' && !is_space(rest_[end])) ++end;
      const std::string_view text = rest_.substr(0, end);
      rest_.remove_prefix(end);
      return std::string(text);
    }
    std::string text;
    for (std::size_t i = 1; i < rest_.size(); ++i) {
      if (rest_[i] == '"') {
        rest_.remove_prefix(i + 1);
        return text;
      }
      if (rest_[i] == '\\' && i + 1 < rest_.size()) ++i;
      text += rest_[i];
    }
    return std::nullopt;  // no closing quote
  }

  std::string_view token() {
    std::size_t end = 0;
    while (end < rest_.size() && is_token(rest_[end])) ++end;
    const std::string_view text = rest_.substr(0, end);
    rest_.remove_prefix(end);
    return text;
  }

  void skip_spaces() {
    while (!rest_.empty() && is_space(rest_.front())) rest_.remove_prefix(1);
  }
  void skip_separators() {
    while (!rest_.empty() && (is_space(rest_.front()) || rest_.front() == ',')) {
      rest_.remove_prefix(1);
    }
  }

  static bool is_space(char c) { return c == ' ' || c == '\t'; }
  static bool is_token(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
  }
  static std::string lower(std::string_view text) {
    std::string result(text);
    for (char& c : result) {
      if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    }
    return result;
  }

  std::string_view rest_;
};

}  // namespace

std::string AuthChallenge::parameter(const std::string& name) const {
  const auto found = parameters.find(name);
  return found == parameters.end() ? "" : found->second;
}

std::vector<AuthChallenge> parse_challenges(std::string_view field) {
  return ChallengeParser(field).parse();
}

}  // namespace strake::registry
