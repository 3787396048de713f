#include "builder/sandbox/doctor.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <linux/magic.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "builder/sandbox/capabilities.h"
#include "builder/sandbox/cgroup.h"
#include "builder/sandbox/child_process.h"
#include "builder/sandbox/emulation.h"
#include "builder/sandbox/isolation.h"
#include "builder/sandbox/landlock.h"
#include "builder/sandbox/outward_network.h"
#include "builder/sandbox/probes.h"
#include "builder/sandbox/rung_choice.h"
#include "builder/sandbox/user_namespace.h"
#include "layers/base/error.h"
#include "layers/base/fd.h"
#include "layers/base/files.h"

namespace strake::sandbox {
namespace {

/// A feature before it was tried.
struct Question {
  const char* feature;
  const char* gives;
  std::string knob;
};

std::string reason(int error) {
  if (error == 0) return "works";
  if (error == ENOSYS) return "the kernel, or a filter, does not have it";
  return ::strerrordesc_np(error);
}

Check told(const Question& question, bool ok, std::string detail) {
  return {question.feature, ok, std::move(detail), question.gives, ok ? "" : question.knob};
}

Check tried(const Question& question, int (*probe)(const void*), const void* argument = nullptr,
            int flags = 0) {
  const int result = run_probe(probe, argument, flags);
  const int error = result < 0 ? -result : result;
  return told(question, error == 0, reason(error));
}

/// For what says by an exception why it cannot be.
template <typename Try>
Check attempted(Question question, const Try& attempt) {
  try {
    return told(question, true, attempt());
  } catch (const base::Error& error) {
    if (!error.hint().empty()) question.knob = error.hint();
    return told(question, false, error.what());
  }
}

Check check_privileges() {
  const Isolation rung = current_isolation();
  const bool root = rung == Isolation::root && has_capability(own_capabilities(), CAP_SYS_ADMIN);
  std::string detail = "uid " + std::to_string(caller().uid);
  detail += root ? ", CAP_SYS_ADMIN" : ", no CAP_SYS_ADMIN";
  if (::prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1) detail += ", no_new_privs";
  if (::prctl(PR_GET_SECCOMP, 0, 0, 0, 0) == 2) detail += ", behind a seccomp filter";
  return told({"root", "private namespaces and real owners for steps", "run as root"}, root,
              std::move(detail));
}

Check check_user_namespaces() {
  const Question question{"user-namespaces", "builds without being root", ""};
  const Isolation rung = current_isolation();
  if (rung == Isolation::user_range || rung == Isolation::user_one)
    return told(question, true, "this is one");
  return attempted(question, [] {
    UserNamespace(NamespaceMaps{.users = {{0, ::geteuid(), 1}},
                                .groups = {{0, ::getegid(), 1}},
                                .give_up_setgroups = true});
    return "works";
  });
}

/// Needs the setuid programs and an entry for the user, or the rights to do without.
Check check_id_ranges() {
  const Question question{"id-ranges", "real owners of files in builds without being root", ""};
  if (current_isolation() == Isolation::user_range)
    return told(question, true, std::to_string(count_ids(own_user_map())) + " ids");
  IsolationFacts facts = gather_isolation_facts();
  if (current_isolation() == Isolation::user_one) facts.capabilities = 0;  // not those outside
  for (const RungOption& option : rung_options(facts))
    if (option.isolation == Isolation::user_range)
      return told({question.feature, question.gives, option.knob}, option.impossible.empty(),
                  option.impossible.empty() ? std::to_string(count_ids(option.maps.users)) + " ids"
                                            : option.impossible);
  return told(question, false, "unknown");
}

Check check_landlock() {
  const int version = landlock_version();
  return told({"landlock", "a second lock around steps in a chroot",
               "boot with landlock in the kernel's lsm= list"},
              version > 0, version > 0 ? "version " + std::to_string(version) : "not there");
}

Check check_emulation() {
  EmulationSurvey survey = survey_emulation();
  return told({"emulation", "steps for other architectures", std::move(survey.knob)}, survey.any,
              std::move(survey.detail));
}

Check check_limits() {
  return attempted({"cgroups", "--memory, --cpus and --pids-limit",
                    "mount cgroup v2 at /sys/fs/cgroup and delegate it to the builder"},
                   [] {
                     ResourceLimits limits;
                     limits.memory_bytes = std::uint64_t{1} << 30;
                     limits.processes = 1000;
                     const Cgroup group(limits);
                     return "can be made";
                   });
}

Check check_private_network() {
  return attempted({"private-network", "--network=private for steps",
                    "install the package passt or slirp4netns"},
                   [] { return find_network_program().path; });
}

Check check_store(const base::FileDescriptor& directory, const std::filesystem::path& store) {
  struct statfs status {};
  if (::fstatfs(directory.get(), &status) != 0)
    throw base::system_error(errno, "look at", store.native());
  const auto type = static_cast<unsigned long>(status.f_type);
  const bool layered = type == OVERLAYFS_SUPER_MAGIC;
  const bool remote = type == NFS_SUPER_MAGIC || type == SMB_SUPER_MAGIC;
  return told({"store", "a place for layers that overlayfs can write to",
               "put the store on a local disk (--root, STRAKE_ROOT)"},
              !layered && !remote,
              layered  ? "on overlayfs, which cannot hold upper directories"
              : remote ? "on a network file system"
                       : "local file system");
}

/// The calls of the kernel that have a slower way round, or none.
void check_system_calls(std::vector<Check>& checks) {
  checks.push_back(tried({"openat2", "safe paths in images by a single call",
                          "use Linux 5.6 or later, and a seccomp profile that knows openat2"},
                         probe_openat2));
  checks.push_back(tried(
      {"statx", "cheap looks at files", "use a seccomp profile that knows statx"}, probe_statx));
  checks.push_back(tried(
      {"close_range", "no foreign descriptors in steps by a single call", "use Linux 5.9 or later"},
      probe_close_range));
  checks.push_back(tried(
      {"clone3", "nothing: clone does", "not needed; a seccomp profile refuses it"}, probe_clone3));
  checks.push_back(tried({"mount-api", "mounts that nobody else sees",
                          "use Linux 5.12 or later, with CAP_SYS_ADMIN or user namespaces"},
                         probe_mount_api, nullptr, CLONE_NEWNS));
  checks.push_back(tried({"seccomp", "a filter of system calls around steps",
                          "build the kernel with CONFIG_SECCOMP_FILTER"},
                         probe_seccomp));
  checks.push_back(tried(
      {"seccomp-notify", "owners and devices in images with one id", "use Linux 5.9 or later"},
      probe_seccomp_notify));
  checks.push_back(check_landlock());
}

void check_file_systems(std::vector<Check>& checks, const std::filesystem::path& store) {
  const base::TempDirectory scratch(store, "doctor-");
  const base::FileDescriptor directory(
      ::open(scratch.path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!directory) throw base::system_error(errno, "open", scratch.path().native());
  const int fd = directory.get();
  const std::string path = std::filesystem::absolute(scratch.path());
  checks.push_back(check_store(directory, store));
  checks.push_back(tried({"overlay", "root file systems that are not copied",
                          "load the overlay module; without root, use Linux 5.11 or later; keep "
                          "the store off overlayfs and network file systems"},
                         is_first_user_namespace() ? probe_overlay : probe_user_overlay,
                         path.c_str(), CLONE_NEWNS));
  checks.push_back(tried({"user-xattrs", "marks and owners of files kept beside them",
                          "put the store on ext4, xfs, btrfs, or tmpfs of Linux 6.6"},
                         probe_user_xattrs, &fd));
  checks.push_back(tried(
      {"file-capabilities", "file capabilities in images", "put the store on ext4, xfs or btrfs"},
      probe_file_capabilities, &fd));
  checks.push_back(tried({"trusted-xattrs", "marks of overlayfs that steps cannot see",
                          "run as root; elsewhere user.overlay.* does"},
                         probe_trusted_xattrs, &fd));
  checks.push_back(tried({"reflink", "copies of files for free", "put the store on btrfs or XFS"},
                         probe_reflink, &fd));
  checks.push_back(tried({"device-nodes", "device nodes in images as what they are",
                          "run as root, or give the container CAP_MKNOD; else they are kept as "
                          "records"},
                         probe_device_nodes, &fd));
}

void check_kernel_mounts(std::vector<Check>& checks) {
  checks.push_back(
      tried({"proc", "a /proc of the step's own",
             "start the outer container with an unmasked /proc (systempaths=unconfined)"},
            probe_proc, nullptr, CLONE_NEWNS | CLONE_NEWPID));
  checks.push_back(
      tried({"sysfs", "a /sys of the step's own",
             "run as root, or RUN --network=none; else it is the builder's, read-only"},
            probe_sysfs, nullptr, CLONE_NEWNS));
  checks.push_back(
      tried({"devpts", "terminals in steps", "give the builder CAP_SYS_ADMIN or user namespaces"},
            probe_devpts, nullptr, CLONE_NEWNS));
  checks.push_back(tried({"chroot", "steps where there are neither mounts nor namespaces",
                          "give the container CAP_SYS_CHROOT"},
                         probe_chroot));
}

}  // namespace

Diagnosis diagnose(const std::filesystem::path& store) {
  Diagnosis diagnosis;
  try {
    const Rung rung = entered_rung() ? *entered_rung() : best_isolation();
    diagnosis.isolation = name_of(rung.isolation);
    diagnosis.why = rung.describe();
  } catch (const base::Error& error) {
    diagnosis.why = error.what();
  }
  std::vector<Check>& checks = diagnosis.checks;
  checks.push_back(check_privileges());
  checks.push_back(check_user_namespaces());
  checks.push_back(check_id_ranges());
  check_system_calls(checks);
  check_file_systems(checks, store);
  check_kernel_mounts(checks);
  checks.push_back(check_emulation());
  checks.push_back(check_limits());
  checks.push_back(check_private_network());
  return diagnosis;
}

}  // namespace strake::sandbox
