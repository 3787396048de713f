#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace strake::registry {

/// One challenge of a WWW-Authenticate field. Spec: RFC 9110, 11.3 and 11.6.1.
struct AuthChallenge {
  std::string scheme;                             // lower case: "basic", "bearer"
  std::map<std::string, std::string> parameters;  // names in lower case, values unquoted

  std::string parameter(const std::string& name) const;  // "" if absent
  bool operator==(const AuthChallenge&) const = default;
};

/// The challenges of one header field, in its order; a field may hold several, and parameters may
/// hold commas inside quotes. What cannot be parsed ends the list: it never throws.
std::vector<AuthChallenge> parse_challenges(std::string_view field);

}  // namespace strake::registry
