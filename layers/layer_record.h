#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "layers/layer_store.h"

namespace strake::layers {

/// What layers/<hex>/layer.json says. Internal to the layer store.
struct LayerRecord {
  using Origin = LayerStore::Origin;
  /// A form of the layer that is in the directory. It is whole if its process renamed it, but its
  /// bytes may be in memory only.
  struct Form {
    std::string boot_id;  // of the boot it was made under
    bool synced = false;

    /// Under the boot it was made in, or of another one after it was synced.
    bool is_trusted() const;
  };

  /// The tree, if there is one.
  struct Tree : Form {
    Origin origin = Origin::unpacked;
    XattrNamespace xattrs = XattrNamespace::trusted;
  };

  /// The plain tar, layer.tar, if there is one.
  using Tar = Form;

  std::uint64_t tar_size_bytes = 0;  // 0: not known (no tar is empty)
  std::optional<Tree> tree;
  std::optional<Tar> tar;
  std::vector<KnownBlob> blobs;  // oldest first
};

/// nullopt if there is none, or if it cannot be read: what is known of a layer can be found again.
std::optional<LayerRecord> read_layer_record(const std::filesystem::path& directory);
/// Replaces it atomically. Not synced: after a power cut the old record, the new one or none is
/// there, and none of them claims more than is true.
void write_layer_record(const std::filesystem::path& directory, const LayerRecord& record);

}  // namespace strake::layers
