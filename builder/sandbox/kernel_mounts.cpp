#include "builder/sandbox/kernel_mounts.h"

#include <fcntl.h>
#include <sched.h>

#include <atomic>
#include <cerrno>

#include "builder/sandbox/child_process.h"
#include "builder/sandbox/probes.h"
#include "layers/base/error.h"
#include "layers/base/log.h"

namespace strake::sandbox {
namespace {

/// With everything mounted below: in a user namespace nothing may be uncovered.
DetachedMount copy_host_tree(const char* path, std::uint64_t attributes) {
  const base::FileDescriptor directory(::open(path, O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!directory) throw base::system_error(errno, "open", path);
  return clone_tree(directory.get(), attributes, path);
}

}  // namespace

DetachedMount make_sysfs(std::uint64_t attributes) {
  const int made = sys_make_filesystem("sysfs", attributes);
  if (made >= 0) return DetachedMount(base::FileDescriptor(made));
  if (made == -ENOSYS) return make_filesystem("sysfs", {}, attributes);
  if (made != -EPERM && made != -EINVAL) throw base::system_error(-made, "mount", "sysfs");
  return copy_host_tree("/sys", attributes);
}

bool can_mount_proc() {
  return run_probe(probe_proc, nullptr, CLONE_NEWNS | CLONE_NEWPID) == 0;
}

DetachedMount copy_host_proc() {
  static std::atomic_flag warned;
  if (!warned.test_and_set())
    base::log_warning(
        "steps see the builder's /proc, read-only: the kernel allows no other here, as parts of it "
        "are covered");
  return copy_host_tree("/proc", kReadOnly | kNoSuid | kNoDevices | kNoExec);
}

}  // namespace strake::sandbox
