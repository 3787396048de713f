#pragma once

#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "layers/oci/reference.h"

namespace strake::registry {

/// A registry, or the part of one below a path: "docker.io", "host:5000/team"; or many:
/// "*.example.com" (every host below example.com, whatever its port, not example.com itself),
/// and "10.0.0.0/8" as a host (those whose host is an address of that network).
struct RegistryScope {
  std::string host;  // lower case; docker.io under that one name
  std::string path;  // "" for all of it
  auto operator<=>(const RegistryScope&) const = default;

  std::string str() const { return path.empty() ? host : host + "/" + path; }
  bool is_wildcard() const { return host.starts_with("*."); }
  /// Whether `repository` is in it: at or below the path, the host exactly the same.
  bool contains(const oci::Repository& repository) const;
};

/// "host[:port][/path]" or "*.domain". Throws Error(invalid_input) for what is no such name: a
/// scheme, a tag, a space, an empty part.
RegistryScope parse_registry_scope(std::string_view text);

/// What a mirror is asked for.
enum class MirrorUse { all, digest_only, tag_only };

struct Mirror {
  RegistryScope location;  // takes the place of the scope it mirrors
  MirrorUse use = MirrorUse::all;
  bool operator==(const Mirror&) const = default;
};

/// How a registry is spoken to. Absent: nobody decided.
struct Connection {
  std::optional<bool> insecure;  // its certificate is not verified; plain http if it has no TLS
  std::optional<bool> http;      // plain http, TLS is not even tried
  std::vector<std::string> ca_files;  // trusted besides the system's, PEM
  std::string cert_file, key_file;    // client certificate, PEM; both or neither
  std::optional<int> streams;         // requests at once
  bool operator==(const Connection&) const = default;
};

/// What one source says about one scope. Absent: it does not say.
struct RegistryRule {
  RegistryScope scope;
  std::string source;  // "/etc/strake/strake.yaml:12", for messages
  Connection connection = {};
  std::optional<bool> blocked = {};
  std::optional<std::vector<Mirror>> mirrors = {};  // in the order they are tried
  std::optional<RegistryScope> location = {};       // where images of the scope are pulled from

  /// Whether it is about images, not only about the connection.
  bool is_about_images() const { return blocked || mirrors || location; }
};

/// What one file (or the command line) says.
using RegistryRules = std::vector<RegistryRule>;

/// Rules that make each of `hosts` insecure. Throws as parse_registry_scope.
RegistryRules insecure_registries(const std::set<std::string>& hosts, const std::string& source);

/// All that is known about registries. Sources are added in the order of precedence, and what an
/// earlier one decides stands. Within one source the rule with the longest path decides, for
/// connections each property by itself, for images (blocked, mirrors, location) as a whole.
/// A value, without input or output: files are read by registry_sources.h.
class Registries {
 public:
  /// Below all sources added before.
  void add(RegistryRules rules) { sources_.push_back(std::move(rules)); }

  /// How `repository` is reached, merged from all sources. CA files of all sources add up.
  Connection connection_of(const oci::Repository& repository) const;

  /// Where to pull images of `repository` from: its mirrors in order, then the registry itself
  /// (moved to its `location`), at least that one. The path is rewritten, the rest of a reference
  /// stays. `by_digest` says how the image is asked for.
  std::vector<oci::Repository> places_of(const oci::Repository& repository, bool by_digest) const;

  /// Throws Error(denied) naming the source when `repository` is blocked.
  void check_allowed(const oci::Repository& repository) const;

 private:
  std::vector<RegistryRules> sources_;
};

}  // namespace strake::registry
