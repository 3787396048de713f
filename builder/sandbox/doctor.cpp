#include "builder/sandbox/doctor.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <linux/magic.h>
#include <sched.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cerrno>

#include "builder/sandbox/capabilities.h"
#include "builder/sandbox/child_process.h"
#include "builder/sandbox/emulation.h"
#include "builder/sandbox/probes.h"
#include "layers/base/error.h"
#include "layers/base/fd.h"
#include "layers/base/files.h"

namespace strake::sandbox {
namespace {

constexpr const char* kUserNamespaceKnob =
    "raise user.max_user_namespaces; on Ubuntu set kernel.apparmor_restrict_unprivileged_userns=0; "
    "in a container use a seccomp profile that allows unshare";

std::string reason(int error) {
  if (error == 0) return "works";
  if (error == ENOSYS) return "the kernel does not have it";
  if (error == EPERM || error == EACCES) return "not permitted";
  const std::string text = base::system_error(error, "try", "it").what();
  return text.substr(text.rfind(": ") + 2);
}

Check tried(std::string feature, int (*probe)(const void*), const void* argument, int flags,
            std::string knob) {
  const int result = run_probe(probe, argument, flags);
  const int error = result < 0 ? -result : result;
  return {std::move(feature), error == 0, reason(error), error == 0 ? "" : std::move(knob)};
}

Check told(std::string feature, bool ok, std::string detail, std::string knob) {
  return {std::move(feature), ok, std::move(detail), ok ? "" : std::move(knob)};
}

Check check_privileges() {
  const bool admin = has_capability(own_capabilities(), CAP_SYS_ADMIN);
  return told("root", admin,
              std::string(admin ? "CAP_SYS_ADMIN" : "no CAP_SYS_ADMIN") + ", uid " +
                  std::to_string(::geteuid()),
              "run as root for full isolation with real owners");
}

/// A range of ids needs the set-uid helpers and an entry for the user.
Check check_id_ranges() {
  const bool helpers =
      ::access("/usr/bin/newuidmap", X_OK) == 0 && ::access("/usr/bin/newgidmap", X_OK) == 0;
  const bool ranges = !base::read_file("/etc/subuid").value_or("").empty() &&
                      !base::read_file("/etc/subgid").value_or("").empty();
  std::string detail = helpers ? "newuidmap" : "no newuidmap";
  detail += ranges ? ", /etc/subuid has entries" : ", /etc/subuid is empty";
  return told("id-ranges", helpers && ranges, detail,
              "install the package uidmap and add the user to /etc/subuid and /etc/subgid");
}

Check check_emulation() {
  EmulationSurvey survey = survey_emulation();
  return told("emulation", survey.any, std::move(survey.detail), std::move(survey.knob));
}

Check check_landlock() {
  const int abi = landlock_abi();
  return told("landlock", abi > 0, abi > 0 ? "ABI " + std::to_string(abi) : "not in this kernel",
              "boot with landlock in the lsm= list");
}

/// Controllers can be used in the builder's own cgroup if its sub-groups may be made.
Check check_cgroups() {
  const std::string controllers = base::read_file("/sys/fs/cgroup/cgroup.controllers").value_or("");
  const bool writable = ::access("/sys/fs/cgroup/cgroup.subtree_control", W_OK) == 0;
  return told("cgroup-v2", !controllers.empty() && writable,
              controllers.empty() ? "no cgroup v2 with controllers"
              : writable          ? "delegated"
                                  : "not delegated",
              "mount cgroup v2 at /sys/fs/cgroup and delegate it to the builder");
}

Check check_store(const base::FileDescriptor& directory, const std::filesystem::path& store) {
  struct statfs status {};
  if (::fstatfs(directory.get(), &status) != 0)
    throw base::system_error(errno, "look at", store.native());
  const auto type = static_cast<unsigned long>(status.f_type);
  const bool layered = type == OVERLAYFS_SUPER_MAGIC;
  const bool remote = type == NFS_SUPER_MAGIC || type == SMB_SUPER_MAGIC;
  return told("store", !layered && !remote,
              layered  ? "on overlayfs, which cannot hold upper directories"
              : remote ? "on a network file system"
                       : "local file system",
              "put the store on a local disk (--root, STRAKE_ROOT)");
}

}  // namespace

std::vector<Check> diagnose(const std::filesystem::path& store) {
  const base::TempDirectory scratch(store, "doctor-");
  const base::FileDescriptor directory(
      ::open(scratch.path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!directory) throw base::system_error(errno, "open", scratch.path().native());
  const int fd = directory.get();
  const base::TempDirectory user_scratch(store, "doctor-");
  const std::string overlay = std::filesystem::absolute(scratch.path());
  const std::string user_path = std::filesystem::absolute(user_scratch.path());
  const std::string uid_map = "0 " + std::to_string(::geteuid()) + " 1";
  const std::string gid_map = "0 " + std::to_string(::getegid()) + " 1";
  const UserOverlayProbe user_overlay{user_path.c_str(), uid_map.c_str(), gid_map.c_str()};

  const bool root = has_capability(own_capabilities(), CAP_SYS_ADMIN);
  const int user = root ? 0 : CLONE_NEWUSER;
  return {
      check_privileges(),
      tried("user-namespaces", probe_nothing, nullptr, CLONE_NEWUSER, kUserNamespaceKnob),
      check_id_ranges(),
      tried("openat2", probe_openat2, nullptr, 0, "use a seccomp profile that knows openat2"),
      tried("close_range", probe_close_range, nullptr, 0, "use Linux 5.9 or later"),
      tried("clone3", probe_clone3, nullptr, 0, "not needed; a seccomp profile refuses it"),
      tried("mount-api", probe_mount_api, nullptr, user | CLONE_NEWNS,
            "use Linux 5.12 or later, with CAP_SYS_ADMIN or user namespaces"),
      check_store(directory, store),
      tried("overlay", probe_overlay, overlay.c_str(), CLONE_NEWNS,
            "load the overlay module, run as root, keep the store off overlayfs"),
      tried("overlay-user", probe_user_overlay, &user_overlay, CLONE_NEWUSER | CLONE_NEWNS,
            "use Linux 5.11 or later with user namespaces"),
      tried("proc", probe_proc, nullptr, user | CLONE_NEWNS | CLONE_NEWPID,
            "start the outer container with an unmasked /proc (systempaths=unconfined)"),
      tried("chroot", probe_chroot, nullptr, 0, "give the container CAP_SYS_CHROOT"),
      tried("device-nodes", probe_device_nodes, &fd, 0, "give the container CAP_MKNOD"),
      tried("seccomp", probe_seccomp, nullptr, 0, "build the kernel with CONFIG_SECCOMP_FILTER"),
      check_landlock(),
      check_emulation(),
      check_cgroups(),
      tried("reflink", probe_reflink, &fd, 0, "put the store on btrfs or XFS to copy for free"),
  };
}

}  // namespace strake::sandbox
