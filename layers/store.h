#pragma once

#include <chrono>
#include <filesystem>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "layers/base/digest.h"
#include "layers/base/fd.h"
#include "layers/base/files.h"
#include "layers/base/rooted_directory.h"
#include "layers/snapshot/xattr_policy.h"

namespace strake::layers {

class CopiedRoots;

/// The directory everything persistent lives in:
///
///     version                   the format of all below
///     blobs/<boot id>/<hex>     configs, manifests, indexes, compressed layers; never changed;
///     blobs/sha256/<hex>        those that are known to be on the disk: see BlobStore
///     layers/<hex>/tree         a changeset unpacked in overlay form (<hex> of its DiffID)
///     layers/<hex>/layer.json   its tar size, the boot it was made under, its known blobs
///     images/<hex>              local images (<hex> of the name's digest)
///     cache/ memo/ mounts/      cache records, stat memo, RUN cache mounts
///     ingest/<session>/         unfinished work of one process, which holds flock <session>/lock
///     ingest/partial/<hex>      interrupted downloads
///     uploads/<hex>             interrupted uploads: see registry/upload_sessions.h
///     mount-points/             directories that RUN steps mount on, below every image
///     locks/ quarantine/        flock files; what failed verification
///     owners                    whose trees these are: see tree_owners.h
///
/// A process holds `locks/store` shared for as long as the object lives; pruning holds it
/// exclusively. Published things appear by rename or link of finished content, so that killing the
/// process at any instant leaves a valid store. All members may be called from any thread.
class Store {
 public:
  /// Opens the store at `root`, made if it is not there. Does not scan anything. Throws
  /// Error(denied) unless the directory is ours alone (our owner, mode 0700, no symlink), and
  /// Error(unsupported) if a newer strake made it.
  static Store open(const std::filesystem::path& root);
  /// The same, for removing things: nullopt while any other process has the store open.
  static std::optional<Store> try_open_exclusive(const std::filesystem::path& root);

  Store(Store&&) noexcept;
  Store& operator=(Store&&) noexcept;
  ~Store();

  const std::filesystem::path& root() const noexcept { return root_; }
  int root_fd() const noexcept { return directory_.get(); }
  std::filesystem::path blobs() const { return root_ / "blobs"; }
  std::filesystem::path layers() const { return root_ / "layers"; }
  std::filesystem::path images() const { return root_ / "images"; }
  std::filesystem::path cache() const { return root_ / "cache"; }
  std::filesystem::path memo() const { return root_ / "memo"; }
  std::filesystem::path mounts() const { return root_ / "mounts"; }
  std::filesystem::path locks() const { return root_ / "locks"; }
  std::filesystem::path quarantine() const { return root_ / "quarantine"; }
  std::filesystem::path ingest() const { return root_ / "ingest"; }
  std::filesystem::path uploads() const { return root_ / "uploads"; }

  /// A fresh directory on the store's file system for unfinished work. The first call of a process
  /// also removes what dead processes left there, and throws Error(unsupported) if the store's
  /// trees have other owners than those of this process. Must not outlive the Store.
  base::TempDirectory make_ingest(std::string_view prefix) const;

  /// Blocks until this thread has `locks/<name>` for itself among all threads and processes.
  base::FileLock lock(std::string_view name) const;

  /// Moves `path` (of this store) to quarantine/, where nothing reads it; absent is fine.
  void set_aside(const std::filesystem::path& path) const;

  /// Files and directories that nothing is waiting for, not changed since `then`: interrupted
  /// downloads and uploads, and what was set aside. To be removed by pruning, with the store open
  /// exclusively.
  std::vector<std::filesystem::path> abandoned(std::chrono::system_clock::time_point then) const;

  /// Which overlay attributes this process can write, and so how its trees are marked.
  XattrNamespace xattr_namespace() const noexcept { return xattrs_; }
  /// How the owners of files in its trees are kept.
  base::Owners owners() const noexcept {
    return xattr_namespace() == XattrNamespace::user ? base::Owners::recorded : base::Owners::real;
  }

  /// The root filesystems of this process where overlayfs cannot be used: see RootTree. They go
  /// with this object.
  CopiedRoots& copied_roots() const noexcept { return *copied_roots_; }

 private:
  struct Session;

  Store(std::filesystem::path root, base::FileDescriptor directory, base::FileLock use);
  static std::optional<Store> open(const std::filesystem::path& root, base::FileLock::Mode mode);
  Session& session() const;

  std::filesystem::path root_;
  base::FileDescriptor directory_;
  base::FileLock use_;
  XattrNamespace xattrs_;
  std::unique_ptr<std::mutex> mutex_;
  mutable std::unique_ptr<Session> session_;   // made by the first make_ingest
  std::unique_ptr<CopiedRoots> copied_roots_;  // in the session's directory
};

}  // namespace strake::layers
