// What happens between clone and the start of init, in process 1 of the step's pid namespace.
//
// The child usually shares the builder's memory while the cloning thread sleeps (as in vfork), and
// other threads of the builder go on. So: system calls and the C library's thin wrappers of them
// only. Descriptors are not shared; errno is, with the sleeping thread.

#include "builder/sandbox/sandbox_child.h"

#include <fcntl.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "builder/sandbox/mount.h"

// Sanitizers keep per-thread state that a child in the same memory must not touch.
#define STRAKE_AFTER_CLONE __attribute__((no_sanitize("address", "thread", "undefined")))

namespace strake::sandbox {
namespace {

constexpr unsigned kCloneTree = 1;  // OPEN_TREE_CLONE
constexpr std::uint64_t kLocked = kNoSuid | kNoDevices | kNoExec;

/// A path of procfs or sysfs that steps must not see or not change.
struct Guarded {
  bool in_proc;
  bool masked;  // else read-only
  const char* path;
};

// The list that containerd and docker use.
constexpr Guarded kGuarded[] = {
    {true, true, "acpi"},           {true, true, "asound"},
    {true, true, "kcore"},          {true, true, "keys"},
    {true, true, "latency_stats"},  {true, true, "timer_list"},
    {true, true, "timer_stats"},    {true, true, "sched_debug"},
    {true, true, "scsi"},           {true, true, "interrupts"},
    {false, true, "firmware"},      {false, true, "devices/virtual/powercap"},
    {true, false, "bus"},           {true, false, "fs"},
    {true, false, "irq"},           {true, false, "sys"},
    {true, false, "sysrq-trigger"},
};

class Child {
 public:
  STRAKE_AFTER_CLONE explicit Child(const ChildPlan& plan) noexcept : plan_(plan) {}

  [[noreturn]] STRAKE_AFTER_CLONE void enter() noexcept {
    die_with_builder();
    enter_groups();
    if (plan_.in_chroot) start_init();
    await_release();
    require(::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr), Phase::isolate_mounts);
    register_emulator();
    attach_root();
    attach_kernel_filesystems();
    attach_mounts();
    change_root();
    name_host();
    start_init();
  }

 private:
  [[noreturn]] STRAKE_AFTER_CLONE void fail(Phase phase, int error, int detail = 0) noexcept {
    const StatusRecord record{phase, error, detail};
    [[maybe_unused]] const ssize_t written = ::write(plan_.status_write, &record, sizeof record);
    ::_exit(1);
  }
  /// For results in the style of the C library: -1 and errno.
  STRAKE_AFTER_CLONE int require(long result, Phase phase, int detail = 0) noexcept {
    if (result < 0) fail(phase, errno, detail);
    return static_cast<int>(result);
  }
  /// For results in the style of the kernel: -errno.
  STRAKE_AFTER_CLONE int checked(int result, Phase phase, int detail = 0) noexcept {
    if (result < 0) fail(phase, -result, detail);
    return result;
  }

  /// init arms the signal again; here it covers the time until then. The builder may have died
  /// before: then nobody reads the status pipe any more.
  STRAKE_AFTER_CLONE void die_with_builder() noexcept {
    require(::prctl(PR_SET_PDEATHSIG, SIGKILL), Phase::isolate_mounts);
    ::close(plan_.status_read);
    pollfd pipe{plan_.status_write, 0, 0};
    if (::poll(&pipe, 1, 0) > 0 && (pipe.revents & POLLERR) != 0) ::_exit(1);
    ::setsid();
  }

  /// The new namespace hides the builder's name of the group.
  STRAKE_AFTER_CLONE void enter_groups() noexcept {
    if (plan_.groups.empty()) return;
    for (const int entry : plan_.groups) require(::write(entry, "0", 1), Phase::enter_group);
    if (!plan_.in_chroot) require(::unshare(CLONE_NEWCGROUP), Phase::enter_group);
  }

  /// In a new user namespace nothing works before the builder has written the id maps.
  STRAKE_AFTER_CLONE void await_release() noexcept {
    if (plan_.release_fd < 0) return;
    char byte;
    while (::read(plan_.release_fd, &byte, 1) < 0 && errno == EINTR) {
    }
  }

  /// The instance belongs to this user namespace alone. It is attached nowhere; init keeps it open.
  STRAKE_AFTER_CLONE void register_emulator() noexcept {
    if (plan_.binfmt == nullptr) return;
    keep_fd_ =
        checked(sys_make_filesystem_in_namespace("binfmt_misc", kLocked), Phase::register_emulator);
    const int file =
        require(::openat(keep_fd_, "register", O_WRONLY | O_CLOEXEC), Phase::register_emulator);
    require(::write(file, plan_.binfmt, std::strlen(plan_.binfmt)), Phase::register_emulator);
    ::close(file);
  }

  /// Into the old tree, which is thrown away as a whole after pivot_root. Only the root may lie
  /// over the old root: what is stacked on that one would be unmounted in its place.
  STRAKE_AFTER_CLONE void attach_root() noexcept {
    checked(sys_move_mount(plan_.scratch_fd, "", AT_FDCWD, "/dev"), Phase::attach_root);
    if (plan_.nodes_fd >= 0)
      checked(sys_move_mount(plan_.nodes_fd, "", AT_FDCWD, "/dev"), Phase::attach_root);
    checked(sys_move_mount(plan_.root_fd, "", AT_FDCWD, "/"), Phase::attach_root);
  }

  STRAKE_AFTER_CLONE void attach_kernel_filesystems() noexcept {
    const int proc =
        plan_.proc_mount >= 0
            ? plan_.proc_mount
            : checked(sys_make_filesystem_in_namespace("proc", kLocked), Phase::mount_proc);
    checked(sys_move_mount(proc, "", plan_.proc_target, ""), Phase::mount_proc);
    const int sys = plan_.sys_mount >= 0
                        ? plan_.sys_mount
                        : checked(sys_make_filesystem_in_namespace(
                                      "sysfs", kLocked | (plan_.guarded ? kReadOnly : 0)),
                                  Phase::mount_sys);
    checked(sys_move_mount(sys, "", plan_.sys_target, ""), Phase::mount_sys);
    if (!plan_.guarded) return;
    for (const Guarded& guarded : kGuarded)
      guard(guarded.in_proc ? proc : sys, guarded.path, guarded.masked);
  }

  /// Covers `path` by something empty, or by itself read-only. Kernels have only some of them.
  STRAKE_AFTER_CLONE void guard(int filesystem, const char* path, bool masked) noexcept {
    struct stat found;
    if (::fstatat(filesystem, path, &found, AT_SYMLINK_NOFOLLOW) != 0) return;
    int cover;
    if (masked) {
      const char* name = S_ISDIR(found.st_mode) ? plan_.mask_directory : plan_.mask_file;
      cover = checked(sys_open_tree(plan_.scratch_fd, name, kCloneTree), Phase::mask_path);
    } else {
      cover = checked(sys_open_tree(filesystem, path, kCloneTree), Phase::mask_path);
    }
    checked(sys_mount_setattr(cover, kReadOnly), Phase::mask_path);
    checked(sys_move_mount(cover, "", filesystem, path), Phase::mask_path);
    ::close(cover);
  }

  STRAKE_AFTER_CLONE void attach_mounts() noexcept {
    for (std::size_t i = 0; i < plan_.operations.size(); ++i)
      attach(plan_.operations[i], static_cast<int>(i));
    // Belongs to the IPC namespace of its maker, so not made by the builder; lies in /dev.
    const int mqueue =
        checked(sys_make_filesystem_in_namespace("mqueue", kLocked), Phase::mount_mqueue);
    checked(sys_move_mount(mqueue, "", plan_.mqueue_target, ""), Phase::mount_mqueue);
  }

  STRAKE_AFTER_CLONE void attach(const AttachOperation& operation, int index) noexcept {
    int source = operation.source_fd;
    if (operation.source_name[0] != '\0') {
      source = checked(sys_open_tree(source, operation.source_name, kCloneTree),
                       Phase::attach_mount, index);
      checked(sys_mount_setattr(source, operation.attributes), Phase::attach_mount, index);
    }
    checked(sys_move_mount(source, "", operation.target_fd, operation.target_name),
            Phase::attach_mount, index);
    if (source != operation.source_fd) ::close(source);
  }

  /// Stacks the old root on the new one, then drops it with everything that is mounted in it.
  STRAKE_AFTER_CLONE void change_root() noexcept {
    require(::fchdir(plan_.root_fd), Phase::pivot_root);
    require(::syscall(SYS_pivot_root, ".", "."), Phase::pivot_root);
    require(::umount2(".", MNT_DETACH), Phase::pivot_root);
    require(::chdir("/"), Phase::pivot_root);
    check_nothing_above();
  }

  /// "/.." leads into whatever is still stacked on the root. It must be the root itself.
  STRAKE_AFTER_CLONE void check_nothing_above() noexcept {
    struct stat root, above;
    require(::fstat(plan_.root_fd, &root), Phase::pivot_root);
    require(::stat("/..", &above), Phase::pivot_root);
    if (root.st_dev != above.st_dev || root.st_ino != above.st_ino) fail(Phase::pivot_root, EXDEV);
  }

  STRAKE_AFTER_CLONE void name_host() noexcept {
    require(::sethostname(plan_.hostname, std::strlen(plan_.hostname)), Phase::set_hostname);
    if (!plan_.own_network) return;
    const int socket =
        require(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), Phase::start_loopback);
    struct ifreq loopback {};
    std::memcpy(loopback.ifr_name, "lo", 3);
    loopback.ifr_flags = IFF_UP | IFF_RUNNING;
    require(::ioctl(socket, SIOCSIFFLAGS, &loopback), Phase::start_loopback);
    ::close(socket);
  }

  /// A copy above the range of init's own descriptors, so that none overwrites another's source.
  STRAKE_AFTER_CLONE int out_of_the_way(int fd) noexcept {
    return require(::fcntl(fd, F_DUPFD_CLOEXEC, 32), Phase::place_descriptors);
  }
  STRAKE_AFTER_CLONE void place(int fd, int number) noexcept {
    require(::dup2(fd, number), Phase::place_descriptors);
  }

  STRAKE_AFTER_CLONE void place_or_close(int fd, int number) noexcept {
    if (fd >= 0)
      place(fd, number);
    else
      ::close(number);
  }

  [[noreturn]] STRAKE_AFTER_CLONE void start_init() noexcept {
    const int status = out_of_the_way(plan_.status_write);
    const int input = out_of_the_way(plan_.stdin_fd);
    const int output = out_of_the_way(plan_.stdout_fd);
    const int error = out_of_the_way(plan_.stderr_fd);
    const int program = out_of_the_way(plan_.program_fd);
    const int init_plan = out_of_the_way(plan_.plan_fd);
    const int keep = keep_fd_ >= 0 ? out_of_the_way(keep_fd_) : -1;
    const int root = plan_.in_chroot ? out_of_the_way(plan_.root_fd) : -1;
    const int files = plan_.files_fd >= 0 ? out_of_the_way(plan_.files_fd) : -1;
    const int supervisor = plan_.supervisor_fd >= 0 ? out_of_the_way(plan_.supervisor_fd) : -1;
    place(status, kStatusFd);
    place(input, 0);
    place(output, 1);
    place(error, 2);
    place(init_plan, kPlanFd);
    place_or_close(keep, kKeepFd);
    place_or_close(root, kRootFd);
    place_or_close(files, kFilesFd);
    place_or_close(supervisor, kSupervisorFd);

    char name[] = "strake-init";
    char* const argv[] = {name, nullptr};
    char* const env[] = {nullptr};
    ::syscall(SYS_execveat, program, "", argv, env, AT_EMPTY_PATH);
    const StatusRecord record{Phase::start_init, errno, 0};
    [[maybe_unused]] const ssize_t written = ::write(kStatusFd, &record, sizeof record);
    ::_exit(1);
  }

  const ChildPlan& plan_;
  int keep_fd_ = -1;
};

}  // namespace

STRAKE_AFTER_CLONE void enter_sandbox(const ChildPlan& plan) noexcept {
  Child(plan).enter();
}

}  // namespace strake::sandbox
