#include "builder/sandbox/step_kit.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>

#include "builder/sandbox/isolation.h"
#include "builder/sandbox/kernel_mounts.h"
#include "layers/base/error.h"

namespace strake::sandbox {
namespace {

using base::Error;
using base::ErrorCode;
using base::FileDescriptor;

constexpr std::uint64_t kDevBytes = 64 << 20;

struct KnownDevice {
  const char* name;
  unsigned major_number, minor_number;
};
constexpr KnownDevice kDevices[] = {{"null", 1, 3},   {"zero", 1, 5},    {"full", 1, 7},
                                    {"random", 1, 8}, {"urandom", 1, 9}, {"tty", 5, 0}};

struct DeviceLink {
  const char* name;
  const char* target;
};
constexpr DeviceLink kDeviceLinks[] = {{"fd", "/proc/self/fd"},
                                       {"stdin", "/proc/self/fd/0"},
                                       {"stdout", "/proc/self/fd/1"},
                                       {"stderr", "/proc/self/fd/2"},
                                       {"ptmx", "pts/ptmx"}};

std::string octal(mode_t mode) {
  std::array<char, 16> text;
  std::snprintf(text.data(), text.size(), "%o", static_cast<unsigned>(mode));
  return text.data();
}

/// Nodes of what privileged builds (of disk images, say) ask for, as far as the host has them.
void make_host_devices(int dev) {
  std::vector<std::string> names{"loop-control", "fuse", "kvm"};
  for (int i = 0; i < 8; ++i) names.push_back("loop" + std::to_string(i));
  for (const std::string& name : names) {
    struct ::stat status;
    const std::string path = "/dev/" + name;
    if (::lstat(path.c_str(), &status) != 0) continue;
    if (!S_ISCHR(status.st_mode) && !S_ISBLK(status.st_mode)) continue;
    const mode_t mode = (status.st_mode & S_IFMT) | 0660;
    // Nobody can make them in a user namespace, nor could the step do much with them there.
    if (::mknodat(dev, name.c_str(), mode, status.st_rdev) != 0 && errno != EPERM)
      throw base::system_error(errno, "create device", path);
  }
}

DetachedMount make_terminals() {
  constexpr gid_t kTty = 5;
  std::vector<std::pair<std::string, std::string>> options{
      {"newinstance", ""}, {"ptmxmode", "0666"}, {"mode", "0620"}};
  if (is_mapped_group(kTty)) options.emplace_back("gid", std::to_string(kTty));
  return make_filesystem("devpts", options, kNoSuid | kNoExec);
}

FileDescriptor open_at(int directory, const std::string& path, int flags) {
  FileDescriptor file(::openat(directory, path.c_str(), flags | O_CLOEXEC));
  if (!file) throw base::system_error(errno, "open", path);
  return file;
}

void make_directory_at(int directory, const std::string& name, mode_t mode) {
  if (::mkdirat(directory, name.c_str(), mode) != 0 ||
      ::fchmodat(directory, name.c_str(), mode, 0) != 0)
    throw base::system_error(errno, "create directory", name);
}

void make_empty_file_at(int directory, const char* name, mode_t mode) {
  const FileDescriptor file(
      ::openat(directory, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!file || ::fchmod(file.get(), mode) != 0) throw base::system_error(errno, "create", name);
}

/// The directory /dev of a step, but for what is mounted in it.
DetachedMount make_device_directory(bool insecure) {
  DetachedMount dev = make_tmpfs(kDevBytes, 0755, insecure ? kNoSuid | kNoExec : kInert);
  for (const char* name : {"pts", "shm", "mqueue"}) make_directory_at(dev.fd(), name, 0755);
  for (const DeviceLink& link : kDeviceLinks)
    if (::symlinkat(link.target, dev.fd(), link.name) != 0)
      throw base::system_error(errno, "create symlink", link.name);
  if (insecure) make_host_devices(dev.fd());
  return dev;
}

/// The host's own node, and a mount point for it.
StepKit::Part device_part(const HostDevices::Device& device, int dev) {
  const std::string path = "/dev/" + device.name;
  if (::mknodat(dev, device.name.c_str(), S_IFREG | 0644, 0) != 0)
    throw base::system_error(errno, "create mount point", path);
  DetachedMount node = clone_mount(device.node.get(), path);
  node.restrict_to(kDeviceNode, path);
  return {std::move(node), open_at(dev, device.name, O_PATH), path};
}

}  // namespace

DetachedMount make_tmpfs(std::uint64_t size_bytes, mode_t mode, std::uint64_t attributes) {
  std::vector<std::pair<std::string, std::string>> options{{"mode", octal(mode)}};
  if (size_bytes != 0) options.emplace_back("size", std::to_string(size_bytes));
  return make_filesystem("tmpfs", options, attributes);
}

HostDevices::HostDevices() {
  for (const KnownDevice& known : kDevices) {
    const std::string path = std::string("/dev/") + known.name;
    FileDescriptor node = open_at(AT_FDCWD, path, O_PATH | O_NOFOLLOW);
    struct ::stat status;
    if (::fstat(node.get(), &status) != 0) throw base::system_error(errno, "look at", path);
    if (!S_ISCHR(status.st_mode) ||
        status.st_rdev != makedev(known.major_number, known.minor_number))
      throw Error(ErrorCode::unsupported,
                  "the builder's " + path + " is not the device of this name");
    devices_.push_back({known.name, std::move(node)});
  }
}

StepKit::Kind StepKit::kind_of(const Spec& spec) noexcept {
  return {spec.insecure, spec.network == Network::host, spec.shm_size_bytes};
}

StepKit::StepKit(const Kind& of, const HostDevices& host)
    : kind(of),
      scratch(make_tmpfs(0, 0755, kNoSuid | kNoDevices)),
      devices(make_device_directory(kind.insecure)),
      terminals(make_terminals()) {
  make_empty_file_at(scratch.fd(), kMaskFile, 0);
  make_directory_at(scratch.fd(), kMaskDirectory, 0);
  // sysfs shows the network of its maker: with an own network it is the child's to make.
  if (kind.host_network) sys = make_sysfs(kind.insecure ? kInert : kInert | kReadOnly);
  const int dev = devices.fd();
  for (const HostDevices::Device& device : host.devices())
    parts.push_back(device_part(device, dev));
  parts.push_back(
      {make_tmpfs(kind.shm_size_bytes, 01777, kInert), open_at(dev, "shm", O_PATH), "/dev/shm"});
  terminals_target = open_at(dev, "pts", O_PATH);
  mqueue_target = open_at(dev, "mqueue", O_PATH);
}

}  // namespace strake::sandbox
