#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cache/file_manifest.h"
#include "layers/base/digest.h"
#include "layers/base/rooted_directory.h"

namespace strake::cache {

/// One file of a selection as it will be in the layer: owner and mode after --chown and --chmod.
struct SelectedFile {
  std::string path;  // in the selection
  mode_t mode = 0;   // type and permissions
  uid_t uid = 0;
  gid_t gid = 0;
  std::string link_target = {};              // symlinks
  std::string hard_link_to = {};             // path of an earlier file that is the same inode
  dev_t device = 0;                          // device nodes
  std::vector<base::Xattr> xattrs = {};      // security.capability and user.* count, others do not
  std::optional<base::Digest> content = {};  // regular files: see content_digest()
  std::uint64_t size_bytes = 0;              // of the content
};

/// Digest of selected files: path, type, mode, owner, links, device, xattrs, bytes; never a time.
class ContentDigest {
 public:
  enum class Keep { digest, manifest };
  explicit ContentDigest(Keep keep = Keep::digest) : keep_(keep) {}

  /// Files come in the order of a walk: names of a directory sorted bytewise, a directory before
  /// what is in it. `shown_path` is how the user knows the file, for the manifest ("" = path).
  /// Throws Error(invalid_input) when `path` is not after the one before.
  void add(const SelectedFile& file, std::string_view shown_path = "");

  /// Digest of everything added; the object starts again afterwards.
  base::Digest finish();
  /// What was added since the last finish(), or before it. Empty unless Keep::manifest.
  FileManifest take_manifest() { return std::exchange(manifest_, {}); }

 private:
  void hash_lines();

  Keep keep_;
  base::Sha256 sha256_;
  FileManifest manifest_;
  std::string last_path_;
  std::string lines_;  // not hashed yet
  bool empty_ = true;
};

/// The order of a walk: bytewise by component, so "a/b" comes before "a.txt".
bool walk_order_less(std::string_view a, std::string_view b);

}  // namespace strake::cache
