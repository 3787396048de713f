#pragma once

#include <compare>
#include <optional>
#include <string>
#include <string_view>

#include "layers/base/digest.h"

namespace strake::oci {

/// `host` is a registry as written ("docker.io", "127.0.0.1:5000"), `path` the name within it
/// ("library/alpine").
struct Repository {
  std::string host, path;
  auto operator<=>(const Repository&) const = default;
  std::string str() const { return host + "/" + path; }
};

/// "docker.io/library/alpine:3.20@sha256:..." after normalisation.
struct Reference {
  Repository repository;
  std::optional<std::string> tag;
  std::optional<base::Digest> digest;  // wins over tag when both are present
  auto operator<=>(const Reference&) const = default;

  std::string str() const;       // the full form: docker.io/library/alpine:3.20
  std::string familiar() const;  // as users write it: alpine:3.20
};

/// Normalises as docker does: a name without a registry is docker.io's, without a slash
/// docker.io/library/'s; the tag is "latest" when neither tag nor digest is given.
/// Grammar: distribution/reference. Throws Error(invalid_input) with a hint.
Reference parse_reference(std::string_view text);

/// A name without tag and digest ("localhost:5000/team/app").
Repository parse_repository(std::string_view text);

}  // namespace strake::oci
