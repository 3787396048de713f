// A process that may not write trusted.* attributes does not see the marks of one that may, and in
// another user namespace files have other owners. Layers made of such trees would be wrong without
// a word, so a store has trees of one kind. Its file "owners" holds one line:
//
//     trusted                                     the system's root
//     user; users 0 1000 1; groups 0 1000 1       uid_map and gid_map of the user namespace

#include "layers/tree_owners.h"

#include <algorithm>
#include <optional>
#include <sstream>

#include "layers/base/error.h"
#include "layers/base/files.h"

namespace strake::layers {
namespace {

std::string id_map(const char* file) {
  std::istringstream text(base::read_file(file).value_or(""));
  std::string words, word;
  while (text >> word) words += " " + word;
  return words;
}

/// The --isolation that makes trees of this kind, as far as can be told.
std::string isolation_of(std::string_view owners) {
  if (owners.starts_with("trusted")) return "root";
  // One extent has three numbers.
  const std::string_view users = owners.substr(0, owners.find("; groups"));
  const bool one = users.ends_with(" 1") && std::ranges::count(users, ' ') == 4;
  return one ? "user-one" : "user";
}

}  // namespace

std::string describe_owners(XattrNamespace xattrs) {
  if (xattrs == XattrNamespace::trusted) return "trusted\n";
  return "user; users" + id_map("/proc/self/uid_map") + "; groups" + id_map("/proc/self/gid_map") +
         "\n";
}

void require_own_trees(const std::filesystem::path& root, XattrNamespace xattrs) {
  const std::string own = describe_owners(xattrs);
  const std::optional<std::string> found = base::read_file(root / "owners");
  // Not synced: what is lost in a power cut, or there without its content, is lost with the trees
  // that it speaks of. Those of an earlier boot count only after a sync of the whole file system.
  if (!found || found->empty())
    return base::write_file_atomically(root / "owners", own, 0600, base::Durability::none);
  if (*found == own) return;
  throw base::Error(base::ErrorCode::unsupported,
                    "the files of store " + base::quoted(root.native()) +
                        " have other owners than this build can give: it was made with other ids")
      .hint("build with --isolation=" + isolation_of(*found) +
            ", choose another directory with --root, or remove this one");
}

}  // namespace strake::layers
