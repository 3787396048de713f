#include "builder/sandbox/root_assembly.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>

#include "builder/sandbox/isolation.h"
#include "builder/sandbox/network_files.h"
#include "builder/sandbox/owners/calls.h"
#include "layers/base/error.h"
#include "layers/base/log.h"
#include "layers/base/recorded_owner.h"
#include "layers/base/trace.h"

namespace strake::sandbox {
namespace {

using base::Error;
using base::ErrorCode;
using base::FileDescriptor;

constexpr const char* kKernelDirectories[] = {"/proc", "/sys", "/dev"};
constexpr const char* kNetworkFiles[] = {"resolv.conf", "hosts", "hostname"};  // in /etc

base::Owners owners_in_trees() {
  return needed_supervision() == Supervision::none ? base::Owners::real : base::Owners::recorded;
}

FileDescriptor open_at(int directory, const std::string& path, int flags) {
  FileDescriptor file(::openat(directory, path.c_str(), flags | O_CLOEXEC));
  if (!file) throw base::system_error(errno, "open", path);
  return file;
}

bool is_below(const std::string& path, const std::string& directory) {
  return path.starts_with(directory) &&
         (path.size() == directory.size() || path[directory.size()] == '/');
}

}  // namespace

void make_mount_point_layer(const std::filesystem::path& path) {
  const base::RootedDirectory layer = base::RootedDirectory::open_host(path.native());
  for (const char* directory : kKernelDirectories) layer.make_directories(directory, 0755);
  layer.make_directories("/etc", 0755);
  for (const std::string name : kNetworkFiles)
    if (!layer.lstat("/etc/" + name)) layer.create_file("/etc/" + name, 0644);
}

RootAssembly::RootAssembly(const Spec& spec, StepKit kit)
    : root_(clone_mount(spec.rootfs_fd, "root file system")),
      scratch_(std::move(kit.scratch)),
      sys_(std::move(kit.sys)) {
  const base::TraceSpan span("assemble root");
  // There is no device cgroup around the step: a node it makes must not open anything.
  if (spec.insecure)
    root_.allow_devices("root file system");
  else
    root_.restrict_to(kNoDevices, "root file system");
  trees_.push_back(
      {"", MountPoints(base::RootedDirectory(open_at(root_.fd(), ".", O_PATH | O_DIRECTORY), "",
                                             owners_in_trees()),
                       spec.upper_fd)});
  make_working_directory(spec);
  proc_target_ = kernel_directory("/proc");
  sys_target_ = kernel_directory("/sys");
  plan_devices(kit);
  plan_network_files(spec);
  for (const Mount& mount : spec.mounts) std::visit([this](const auto& m) { plan(m); }, mount);
  if (spec.read_only_root) {
    trees_.front().points.keep_all();  // nobody could remove them any more
    root_.restrict_to(kReadOnly, "root file system");
  }
}

void RootAssembly::describe(ChildPlan& plan) const {
  plan.root_fd = root_.fd();
  plan.scratch_fd = scratch_.fd();
  plan.nodes_fd = nodes_.fd();
  plan.operations = operations_;
  plan.proc_target = proc_target_;
  plan.sys_target = sys_target_;
  plan.sys_mount = sys_.fd();
  plan.mqueue_target = mqueue_target_;
  plan.mask_file = StepKit::kMaskFile;
  plan.mask_directory = StepKit::kMaskDirectory;
}

/// Before all mount points, so that its parents count as the step's own. What lies below a
/// directory of the kernel is not the image's.
void RootAssembly::make_working_directory(const Spec& spec) {
  const base::RootedDirectory& root = trees_.front().points.tree();
  const std::string path = root.canonical(spec.working_dir);
  for (const char* kernel : kKernelDirectories)
    if (is_below(path, kernel)) return;
  for (const std::string& made : root.make_directories(path, 0755))
    root.set_owner(made, spec.uid, spec.gid);
}

/// In the image this must be a real directory: a symlink could lead the kernel's file systems over
/// something else.
int RootAssembly::kernel_directory(const std::string& path) {
  const auto found = trees_.front().points.tree().lstat(path);
  if (found && !S_ISDIR(found->st_mode))
    throw Error(ErrorCode::invalid_input,
                "cannot run in this image: its " + base::quoted(path) + " is not a directory");
  return keep(trees_.front().points.directory(path));
}

/// /dev is ours from the ground: nothing of the image's /dev is ever looked at.
void RootAssembly::plan_devices(StepKit& kit) {
  const int target = kernel_directory("/dev");
  enter_tree("/dev", kit.devices.fd());
  attach(std::move(kit.devices), open_at(target, ".", O_PATH), "/dev");
  for (StepKit::Part& part : kit.parts)
    attach(std::move(part.mount), std::move(part.target), std::move(part.path));
  terminals_ = attach(std::move(kit.terminals), std::move(kit.terminals_target), "/dev/pts");
  mqueue_target_ = keep(std::move(kit.mqueue_target));
}

void RootAssembly::plan_network_files(const Spec& spec) {
  const std::pair<std::string, std::string> files[] = {
      {kNetworkFiles[0], resolver_file(spec)},
      {kNetworkFiles[1], hosts_file(spec, spec.hostname)},
      {kNetworkFiles[2], spec.hostname + "\n"}};
  const std::string etc = trees_.front().points.tree().canonical("/etc");
  for (const auto& [name, content] : files) {
    const std::string path = (etc == "/" ? "" : etc) + "/" + name;
    const auto found = trees_.front().points.tree().lstat(path);
    if (found && S_ISDIR(found->st_mode)) {
      base::log_warning("the image's " + base::quoted(path) + " is a directory and stays as it is");
      continue;
    }
    add_scratch_file(name, content, 0644);
    attach_copy(scratch_.fd(), name, kNoExec, trees_.front().points.file(path), path);
  }
}

void RootAssembly::plan(const BindMount& mount) {
  const Place place = find_target(mount.target);
  struct ::stat status;
  if (::fstat(mount.source_fd, &status) != 0)
    throw base::system_error(errno, "look at source of mount", mount.target);
  const std::uint64_t attributes = kNoDevices | (mount.read_only ? kReadOnly : 0) |
                                   (mount.no_exec ? kNoExec | kNoSuid : 0) |
                                   (mount.no_suid ? kNoSuid : 0);
  DetachedMount source = mount.recursive ? clone_tree(mount.source_fd, attributes, mount.target)
                                         : clone_mount(mount.source_fd, mount.target);
  if (!mount.recursive) source.restrict_to(attributes, mount.target);
  if (S_ISDIR(status.st_mode)) {
    FileDescriptor target = place.tree->points.directory(place.path);
    enter_tree(place.whole, source.fd());
    attach(std::move(source), std::move(target), mount.target);
  } else {
    attach(std::move(source), place.tree->points.file(place.path), mount.target);
  }
}

void RootAssembly::plan(const TmpfsMount& mount) {
  const Place place = find_target(mount.target);
  FileDescriptor target = place.tree->points.directory(place.path);
  DetachedMount tmpfs = make_tmpfs(
      mount.size_bytes, mount.mode,
      kNoSuid | kNoDevices | (mount.no_exec ? kNoExec : 0) | (mount.read_only ? kReadOnly : 0));
  enter_tree(place.whole, tmpfs.fd());
  attach(std::move(tmpfs), std::move(target), mount.target);
}

void RootAssembly::plan(const InlineFile& mount) {
  const Place place = find_target(mount.target);
  const std::string name = "file-" + std::to_string(operations_.size());
  add_scratch_file(name, mount.content, mount.mode, mount.uid, mount.gid);
  attach_copy(scratch_.fd(), name, (mount.mode & 0111) == 0 ? kNoExec : 0,
              place.tree->points.file(place.path), mount.target);
}

void RootAssembly::plan(const DeviceNode& mount) {
  const Place place = find_target(mount.target);
  struct ::stat host;
  if (::fstat(mount.source_fd, &host) != 0)
    throw base::system_error(errno, "look at source of device", mount.target);
  if (!S_ISCHR(host.st_mode) && !S_ISBLK(host.st_mode))
    throw Error(ErrorCode::invalid_input, "what is to be " + base::quoted(mount.target) +
                                              " in the step is not a device of this machine");
  struct ::stat node = host;
  node.st_mode = (host.st_mode & S_IFMT) | mount.mode.value_or(host.st_mode & 07777);
  node.st_uid = mount.uid.value_or(host.st_uid);
  node.st_gid = mount.gid.value_or(host.st_gid);
  FileDescriptor target = place.tree->points.file(place.path);
  if (node.st_mode == host.st_mode && node.st_uid == host.st_uid && node.st_gid == host.st_gid) {
    DetachedMount bound = clone_mount(mount.source_fd, mount.target);
    bound.restrict_to(kDeviceNode, mount.target);
    attach(std::move(bound), std::move(target), mount.target);
  } else {
    const std::string name = make_node(node);
    attach_copy(nodes_.fd(), name, kDeviceNode, std::move(target), mount.target);
  }
}

/// The one file system of a step in which device nodes work: the step sees single files of it only.
std::string RootAssembly::make_node(const struct ::stat& node) {
  if (!nodes_) nodes_ = make_tmpfs(0, 0755, kNoSuid | kNoExec);
  std::string name = "node-" + std::to_string(operations_.size());
  if (::mknodat(nodes_.fd(), name.c_str(), (node.st_mode & S_IFMT) | 0600, node.st_rdev) != 0) {
    if (errno != EPERM) throw base::system_error(errno, "create device", name);
    throw Error(ErrorCode::unsupported,
                "a device cannot have another owner or mode than it has on this machine: device "
                "nodes cannot be made here")
        .hint("leave out owner and mode, or run strake as root");
  }
  // The mode last, and not by mknod: that one heeds the umask.
  if (::fchownat(nodes_.fd(), name.c_str(), node.st_uid, node.st_gid, 0) != 0 ||
      ::fchmodat(nodes_.fd(), name.c_str(), node.st_mode & 07777, 0) != 0)
    throw base::system_error(errno, "set owner and mode of", name);
  return name;
}

/// Follows `path` through the root and the mounts planned so far, in the order they will lie over
/// each other. Symlinks stay inside the tree they are found in.
RootAssembly::Place RootAssembly::find(std::string_view path) {
  Place place{&trees_.front(), trees_.front().points.tree().canonical(path), ""};
  place.whole = place.path;
  for (Tree& tree : trees_) {
    if (tree.at.empty() || !is_below(place.whole, tree.at)) continue;
    place.tree = &tree;
    place.path = tree.points.tree().canonical(place.whole.substr(tree.at.size()));
    place.whole = place.path == "/" ? tree.at : tree.at + place.path;
  }
  return place;
}

RootAssembly::Place RootAssembly::find_target(std::string_view target) {
  const auto refuse = [&](const char* why) {
    return Error(ErrorCode::invalid_input, "cannot mount at " + base::quoted(target) + ": " + why);
  };
  if (!target.starts_with('/')) throw refuse("the target is not absolute");
  Place place = find(target);
  if (place.whole == "/") throw refuse("it is the root");
  if (place.whole == "/dev") throw refuse("the devices of a step are fixed");
  for (const char* kernel : {"/proc", "/sys"})
    if (is_below(place.whole, kernel)) throw refuse("it belongs to the kernel");
  return place;
}

void RootAssembly::add_scratch_file(const std::string& name, std::string_view content, mode_t mode,
                                    uid_t uid, gid_t gid) {
  const FileDescriptor file(
      ::openat(scratch_.fd(), name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!file) throw base::system_error(errno, "create", name);
  base::write_full(file.get(), base::bytes_of(content), name);
  // chown clears the setuid bits, so the owner first.
  int error = 0;
  if (owners_in_trees() == base::Owners::recorded)
    error = base::give_or_record_owner(file.get(), S_IFREG, uid, gid);
  else if (::fchown(file.get(), uid, gid) != 0)
    error = errno;
  // tmpfs keeps records since 6.6. Before, a secret is root's, and readable for all the same.
  if (error == EOPNOTSUPP) error = 0;
  if (error == 0 && ::fchmod(file.get(), mode) != 0) error = errno;
  if (error != 0) throw base::system_error(error, "set owner and mode of", name);
}

/// Returns the mount's descriptor.
int RootAssembly::attach(DetachedMount mount, FileDescriptor target, std::string shown) {
  AttachOperation operation;
  operation.source_fd = keep(std::move(mount).take());
  operation.target_fd = keep(std::move(target));
  add_operation(operation, std::move(shown));
  return operation.source_fd;
}

void RootAssembly::attach_copy(int source_fd, const std::string& name, std::uint64_t attributes,
                               FileDescriptor target, std::string shown) {
  AttachOperation operation;
  operation.source_fd = source_fd;
  operation.source_name = names_.emplace_back(name).c_str();
  // Each copy by itself, not the file system they are of: that one may still be open for writing,
  // in the process of another step that was cloned from us a moment ago.
  operation.attributes = attributes | kReadOnly;
  operation.target_fd = keep(std::move(target));
  add_operation(operation, std::move(shown));
}

void RootAssembly::add_operation(AttachOperation operation, std::string shown) {
  operations_.push_back(operation);
  targets_.push_back(std::move(shown));
}

void RootAssembly::enter_tree(std::string at, int mount_fd) {
  trees_.push_back({std::move(at), MountPoints(base::RootedDirectory(
                                       open_at(mount_fd, ".", O_PATH | O_DIRECTORY)))});
}

int RootAssembly::keep(FileDescriptor fd) {
  kept_.push_back(std::move(fd));
  return kept_.back().get();
}

}  // namespace strake::sandbox
