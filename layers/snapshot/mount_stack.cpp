// An overlay mount is made with the file system context calls (fsopen, fsconfig, fsmount), which
// give it to us without attaching it anywhere. Kernels before 6.8 take the layers only in the
// option page of mount(2): there a thread with a mount namespace of its own attaches the mount,
// clones it (open_tree gives a copy that is attached nowhere) and ends, and its namespace with it.
//
// Options, and why (SECURITY of a build depends on the first three):
//
//     redirect_dir=nofollow, metacopy=off   layers come from elsewhere, and the attributes that ask
//                                           for these could show files that no layer has
//     nodev                                 a step may have CAP_MKNOD, and we set no device cgroup
//     userxattr                             in a user namespace trusted.* cannot be written;
//     without
//                                           this the mount works, and removing directories fails
//     index=off                             links of lower files stay independent, as in a tar
//     volatile                              the upper directory is thrown away when we crash, so
//                                           nobody needs it synced to disk

#include "layers/snapshot/mount_stack.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <map>
#include <optional>
#include <string>
#include <thread>
#include <utility>

#include "layers/base/error.h"
#include "layers/base/log.h"
#include "layers/layer_store.h"

namespace strake::layers {
namespace fs = std::filesystem;
using base::Error;
using base::ErrorCode;
using base::FileDescriptor;
using base::system_error;

namespace {

constexpr std::size_t kMostLayers = 500;  // OVL_MAX_STACK of the kernel

struct Directory {
  fs::path path;
  FileDescriptor fd;

  /// A name without the length limit and the special characters that option values have.
  std::string short_name() const { return "/proc/self/fd/" + std::to_string(fd.get()); }
};

/// What the mount is made of.
struct Union {
  std::vector<Directory> lowers;         // topmost first
  std::optional<Directory> upper, work;  // none if read-only
  XattrNamespace xattrs;
};

Directory open_directory(const fs::path& path) {
  FileDescriptor directory(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!directory) throw system_error(errno, "open layer tree", path.native());
  return {path, std::move(directory)};
}

Directory make_directory(const fs::path& path, mode_t mode) {
  if (::mkdir(path.c_str(), mode) != 0 || ::chmod(path.c_str(), mode) != 0)
    throw system_error(errno, "create", path.native());
  return open_directory(path);
}

std::vector<Directory> open_lowers(std::span<const fs::path> bottom_to_top, XattrNamespace xattrs) {
  std::vector<Directory> lowers;
  for (auto tree = bottom_to_top.rbegin(); tree != bottom_to_top.rend(); ++tree) {
    lowers.push_back(open_directory(*tree));
    // overlayfs heeds the mark on every directory but the root of a layer.
    if (is_opaque(lowers.back().fd.get(), xattrs)) break;
  }
  return lowers;
}

/// Options that do not name directories, for both ways to mount; without a value: flags.
std::vector<std::pair<const char*, const char*>> plain_options(const Union& parts) {
  std::vector<std::pair<const char*, const char*>> options;
  if (parts.xattrs == XattrNamespace::trusted) {
    options = {{"redirect_dir", "nofollow"}, {"metacopy", "off"}, {"index", "off"}};
  } else {
    // It turns all of those off, and refuses to hear of them.
    options = {{"userxattr", nullptr}};
  }
  if (parts.upper) options.emplace_back("volatile", nullptr);
  return options;
}

/// What the kernel has to say about a mount that failed: lines like "e overlay: …".
std::string kernel_messages(int context) {
  std::array<char, 512> line = {};
  std::string all;
  while (true) {
    const ssize_t size = ::read(context, line.data(), line.size());
    if (size <= 2) return all;
    if (!all.empty()) all += "; ";
    all.append(line.data() + 2, static_cast<std::size_t>(size) - 2);
    while (all.ends_with('\n')) all.pop_back();
  }
}

/// The mount, or an errno.
struct Attempt {
  FileDescriptor mount;
  int error = 0;
  std::string messages = "";
};

/// Since Linux 6.13 a descriptor will do, which saves looking up a path for each layer.
bool set_directory(int context, const char* key, const Directory& directory) {
  static std::atomic<bool> by_descriptor{true};
  if (by_descriptor.load(std::memory_order_relaxed)) {
    if (::fsconfig(context, FSCONFIG_SET_FD, key, nullptr, directory.fd.get()) == 0) return true;
    by_descriptor.store(false, std::memory_order_relaxed);
  }
  return ::fsconfig(context, FSCONFIG_SET_STRING, key, directory.short_name().c_str(), 0) == 0;
}

Attempt mount_by_context(const Union& parts) {
  const FileDescriptor context(::fsopen("overlay", FSOPEN_CLOEXEC));
  if (!context) return {{}, errno};
  const auto failed = [&] {
    const int error = errno;
    return Attempt{{}, error, kernel_messages(context.get())};
  };
  for (const Directory& lower : parts.lowers)
    if (!set_directory(context.get(), "lowerdir+", lower)) return failed();
  if (parts.upper && (!set_directory(context.get(), "upperdir", *parts.upper) ||
                      !set_directory(context.get(), "workdir", *parts.work)))
    return failed();
  for (const auto& [key, value] : plain_options(parts)) {
    const auto command = value != nullptr ? FSCONFIG_SET_STRING : FSCONFIG_SET_FLAG;
    if (::fsconfig(context.get(), command, key, value, 0) != 0) return failed();
  }
  if (::fsconfig(context.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) != 0) return failed();
  FileDescriptor mount(::fsmount(context.get(), FSMOUNT_CLOEXEC, MOUNT_ATTR_NODEV));
  if (!mount) return failed();
  return {std::move(mount)};
}

/// The option page has 4096 bytes for up to 500 layers, so each directory gets a name of one to
/// three characters. Not through descriptors: those lead to mounts of the namespace they were
/// opened in.
std::string option_page(const Union& parts, const fs::path& links) {
  const auto link = [&](const Directory& directory, const std::string& name) {
    if (::symlink(directory.path.c_str(), (links / name).c_str()) != 0)
      throw system_error(errno, "link", (links / name).native());
    return name;
  };
  std::string options;
  for (std::size_t i = 0; i < parts.lowers.size(); ++i)
    options.append(i == 0 ? "lowerdir=" : ":").append(link(parts.lowers[i], std::to_string(i)));
  if (parts.upper) {
    options.append(",upperdir=").append(link(*parts.upper, "u"));
    options.append(",workdir=").append(link(*parts.work, "w"));
  }
  for (const auto& [key, value] : plain_options(parts)) {
    options.append(",").append(key);
    if (value != nullptr) options.append("=").append(value);
  }
  return options;
}

/// In a thread of its own: namespace and working directory change.
Attempt mount_in_own_namespace(const std::string& options, const fs::path& directory) {
  if (::unshare(CLONE_FS | CLONE_NEWNS) != 0 ||
      ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
      ::chdir(directory.c_str()) != 0 ||
      ::mount("overlay", "mount", "overlay", MS_NODEV, options.c_str()) != 0)
    return {{}, errno};
  FileDescriptor mount(::open_tree(AT_FDCWD, "mount", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC));
  const int error = mount ? 0 : errno;
  return {std::move(mount), error};
}

Attempt mount_by_option_page(const Union& parts, const Store& store) {
  const base::TempDirectory directory = store.make_ingest("mount-");
  make_directory(directory.path() / "mount", 0700);
  const std::string options = option_page(parts, directory.path());
  Attempt attempt;
  std::thread([&] { attempt = mount_in_own_namespace(options, directory.path()); }).join();
  return attempt;
}

bool context_calls_forbidden() {
  const char* value = std::getenv("STRAKE_NO_FSOPEN");
  return value != nullptr && *value == '1';
}

FileDescriptor mount_union(const Union& parts, const Store& store) {
  Attempt attempt;
  if (!context_calls_forbidden()) {
    attempt = mount_by_context(parts);
    if (attempt.mount) return std::move(attempt.mount);
    base::log_debug("overlay mount by fsopen: " + std::string(::strerrordesc_np(attempt.error)) +
                    (attempt.messages.empty() ? "" : ": " + attempt.messages));
  }
  Attempt second = mount_by_option_page(parts, store);
  if (second.mount) return std::move(second.mount);
  std::string reason = ::strerrordesc_np(second.error);
  if (!attempt.messages.empty()) reason += " (" + attempt.messages + ")";
  throw Error(ErrorCode::unsupported,
              "cannot mount the layers of the root filesystem with overlayfs in " +
                  base::quoted(store.root().native()) + ": " + reason)
      .hint(
          "run strake doctor to see what this machine allows, or put the store on ext4, xfs, "
          "btrfs or tmpfs with --root");
}

}  // namespace

// overlayfs refuses to stack a directory on itself, hence each once.
std::vector<fs::path> tree_paths(const LayerStore& layers,
                                 std::span<const base::DiffId> bottom_to_top) {
  std::vector<fs::path> trees;
  std::map<base::DiffId, std::size_t> uppermost;
  for (std::size_t i = 0; i < bottom_to_top.size(); ++i) uppermost[bottom_to_top[i]] = i;
  for (std::size_t i = 0; i < bottom_to_top.size(); ++i) {
    const base::DiffId& layer = bottom_to_top[i];
    if (uppermost[layer] != i) continue;
    if (!layers.has_tree(layer))
      throw Error(ErrorCode::not_found,
                  "layer " + layer.digest.str() + " is not unpacked in the store");
    trees.push_back(layers.tree_path(layer));
  }
  return trees;
}

MountStack::MountStack(const Store& store, const LayerStore& layers,
                       std::span<const base::DiffId> bottom_to_top, Writable writable)
    : MountStack(store, tree_paths(layers, bottom_to_top), writable) {}

MountStack::MountStack(const Store& store, std::span<const fs::path> bottom_to_top,
                       Writable writable)
    : work_(store.make_ingest("stack-")),
      writable_(writable == Writable::yes),
      root_(mount(store, bottom_to_top), "", store.owners()) {}

FileDescriptor MountStack::mount(const Store& store,
                                 std::span<const fs::path> bottom_to_top) const {
  if (bottom_to_top.size() > kMostLayers)
    throw Error(ErrorCode::unsupported, "an image of " + std::to_string(bottom_to_top.size()) +
                                            " layers cannot be mounted: the kernel takes " +
                                            std::to_string(kMostLayers))
        .hint("use fewer instructions that change files, or a base image with fewer layers");
  Union parts{.lowers = open_lowers(bottom_to_top, store.xattr_namespace()),
              .upper = {},
              .work = {},
              .xattrs = store.xattr_namespace()};
  if (writable_) {
    parts.upper = make_directory(upper(), 0755);
    parts.work = make_directory(work_.path() / "work", 0700);
  }
  // The kernel wants one lower directory, and two without an upper one.
  for (int i = 0; parts.lowers.size() < (writable_ ? 1U : 2U); ++i)
    parts.lowers.push_back(make_directory(work_.path() / ("empty" + std::to_string(i)), 0755));
  return mount_union(parts, store);
}

base::TempDirectory MountStack::take_upper() && {
  return std::move(*this).take_apart().work;
}

MountStack::Parts MountStack::take_apart() && {
  return {std::move(work_), std::move(root_)};
}

}  // namespace strake::layers
