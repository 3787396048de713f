// Process 1 of a step: starts the command with exactly the rights the plan names, reaps what is
// left to it, forwards the builder's SIGTERM, and ends when the command ends; the kernel then kills
// everything else in the pid namespace.
//
// It is a program of its own, executed from a sealed memfd, because it stays beside the command: a
// fork of the builder would keep the builder's memory, credentials included, next to foreign code,
// and would cost a copy of its page tables. Freestanding, as starting a C library would take longer
// than everything that is done here.

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/prctl.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "builder/sandbox/init/descendants.h"
#include "builder/sandbox/init/protocol.h"
#include "builder/sandbox/init/system_call.h"

namespace strake::sandbox {
namespace {

constexpr long kSignalSetBytes = 8;
constexpr int kLastSignal = 64;
constexpr std::uint64_t kAllSignals = ~std::uint64_t{0};

[[noreturn]] void leave(int code) noexcept {
  while (true) system_call(SYS_exit_group, code);
}

void report(Phase phase, long value, int detail = 0) noexcept {
  const StatusRecord record{phase, static_cast<std::int32_t>(value), detail};
  system_call(SYS_write, kStatusFd, &record, sizeof record);
}

/// For results of system calls that must not fail.
void require(long result, Phase phase, int detail = 0) noexcept {
  if (result >= 0) return;
  report(phase, -result, detail);
  leave(1);
}

template <typename T>
T* at(InitPlan* plan, std::uint64_t offset) noexcept {
  return reinterpret_cast<T*>(reinterpret_cast<char*>(plan) + offset);
}

/// Turns an array of offsets into the array of pointers that execve takes, in place.
char** strings(InitPlan* plan, const PlanArray& array) noexcept {
  auto* words = at<std::uint64_t>(plan, array.offset);
  for (std::uint64_t i = 0; i < array.count; ++i)
    words[i] = reinterpret_cast<std::uint64_t>(at<char>(plan, words[i]));
  return reinterpret_cast<char**>(words);
}

InitPlan* map_plan() noexcept {
  // The size stands in the first word; private, so that the offsets can be replaced by pointers.
  std::uint64_t size_bytes = 0;
  require(system_call(SYS_pread64, kPlanFd, &size_bytes, sizeof size_bytes, 0), Phase::read_plan);
  const long address = raw_system_call(SYS_mmap, 0, static_cast<long>(size_bytes),
                                       PROT_READ | PROT_WRITE, MAP_PRIVATE, kPlanFd);
  require(address < 0 && address > -4096 ? address : 0, Phase::read_plan);
  system_call(SYS_close, kPlanFd);
  return reinterpret_cast<InitPlan*>(address);
}

/// The number that `name` is, else -1.
int number(const char* name) noexcept {
  if (*name == '\0') return -1;
  int value = 0;
  for (; *name != '\0'; ++name) {
    if (*name < '0' || *name > '9') return -1;
    value = value * 10 + (*name - '0');
  }
  return value;
}

/// Closes what /proc says is open; false where it does not say.
bool close_listed() noexcept {
  const long directory =
      system_call(SYS_openat, AT_FDCWD, "/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (directory < 0) return false;
  // Entries as getdents64 gives them: inode, offset, length of the entry, type, name.
  constexpr int kLength = 16, kName = 19;
  char entries[2048];
  long size;
  while ((size = system_call(SYS_getdents64, directory, entries, sizeof entries)) > 0) {
    for (long at = 0; at < size;) {
      const int fd = number(entries + at + kName);
      if (fd >= kFirstUnusedFd && fd != directory) system_call(SYS_close, fd);
      at += static_cast<unsigned char>(entries[at + kLength]) |
            static_cast<unsigned char>(entries[at + kLength + 1]) << 8;
    }
  }
  system_call(SYS_close, directory);
  return size == 0;
}

/// An outer seccomp filter may not know close_range. The limit comes last: it can be a thousand
/// million.
void close_inherited() noexcept {
  if (system_call(SYS_close_range, kFirstUnusedFd, 0xffffffffL, 0) >= 0) return;
  if (close_listed()) return;
  struct rlimit limit {};
  system_call(SYS_prlimit64, 0, RLIMIT_NOFILE, 0L, &limit);
  for (rlim_t fd = kFirstUnusedFd; fd < limit.rlim_cur; ++fd)
    system_call(SYS_close, static_cast<long>(fd));
}

/// The builder may have died before the death signal was armed: nobody reads the status pipe then.
void die_with_builder() noexcept {
  require(system_call(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL), Phase::start_init);
  pollfd pipe{kStatusFd, 0, 0};
  const timespec now{0, 0};
  system_call(SYS_ppoll, &pipe, 1, &now, 0L, kSignalSetBytes);
  if ((pipe.revents & POLLERR) != 0) leave(1);
}

void reset_signals() noexcept {
  const std::uint64_t default_action[4] = {};  // struct sigaction as the kernel has it: SIG_DFL
  for (int signal = 1; signal <= kLastSignal; ++signal)
    system_call(SYS_rt_sigaction, signal, default_action, 0L, kSignalSetBytes);
  const std::uint64_t none = 0;
  system_call(SYS_rt_sigprocmask, SIG_SETMASK, &none, 0L, kSignalSetBytes);
}

/// `may_fail`: something else sees to it that nobody gets more than he has (no_new_privs).
void bound_capabilities(std::uint64_t keep, bool may_fail) noexcept {
  for (int capability = 0; capability < 64; ++capability) {
    if ((keep >> capability & 1) != 0) continue;
    const long result = system_call(SYS_prctl, PR_CAPBSET_DROP, capability);
    if (result == -EINVAL) break;  // the kernel knows no more
    if (result == -EPERM && may_fail) break;
    require(result, Phase::drop_capabilities);
  }
}

/// The steps that have namespaces get there by other means.
void change_root() noexcept {
  require(system_call(SYS_fchdir, kRootFd), Phase::change_root);
  require(system_call(SYS_chroot, "."), Phase::change_root);
  require(system_call(SYS_chdir, "/"), Phase::change_root);
  system_call(SYS_close, kRootFd);
}

/// no_new_privs, because the filter could not be installed else, and because nobody could bound
/// what a setuid program gets without CAP_SETPCAP; then what Landlock lets it use.
void restrict_files() noexcept {
  constexpr long kRestrictSelf = 446;  // landlock_restrict_self, on every processor
  require(system_call(SYS_prctl, PR_SET_NO_NEW_PRIVS, 1, 0L, 0L, 0L), Phase::restrict_files);
  const long result = system_call(kRestrictSelf, kFilesFd, 0);
  if (result != -EBADF) require(result, Phase::restrict_files);  // EBADF: there is none
  system_call(SYS_close, kFilesFd);
}

/// Ambient goes with inheritable. A user other than root lost everything with the change of uid.
void set_capabilities(const InitPlan* plan) noexcept {
  const std::uint64_t keep = plan->uid == 0 ? plan->capabilities : 0;
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct sets[2] = {};
  for (int half = 0; half < 2; ++half)
    sets[half].permitted = sets[half].effective = static_cast<std::uint32_t>(keep >> (32 * half));
  require(system_call(SYS_capset, &header, sets), Phase::drop_capabilities);
}

void set_limits(InitPlan* plan) noexcept {
  const auto* limits = at<PlanLimit>(plan, plan->limits.offset);
  for (std::uint64_t i = 0; i < plan->limits.count; ++i) {
    const struct rlimit wanted { limits[i].soft, limits[i].hard };
    require(system_call(SYS_prlimit64, 0, static_cast<long>(limits[i].resource), &wanted),
            Phase::set_limits, static_cast<int>(i));
  }
}

void set_groups(InitPlan* plan) noexcept {
  require(system_call(SYS_setgroups, static_cast<long>(plan->groups.count),
                      at<std::uint32_t>(plan, plan->groups.offset)),
          Phase::set_groups);
  require(system_call(SYS_setresgid, plan->gid, plan->gid, plan->gid), Phase::set_groups);
}

void install_filter(InitPlan* plan) noexcept {
  sock_fprog program{static_cast<unsigned short>(plan->filter.count),
                     at<sock_filter>(plan, plan->filter.offset)};
  require(system_call(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program), Phase::install_filter);
}

/// The end of a filter at which the builder answers calls.
void send_listener(long listener) noexcept {
  char byte = 0;
  iovec content{&byte, 1};
  alignas(cmsghdr) unsigned char control[CMSG_SPACE(sizeof(int))] = {};
  msghdr message{};
  message.msg_iov = &content;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  cmsghdr* header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof(int));
  *reinterpret_cast<int*>(CMSG_DATA(header)) = static_cast<int>(listener);
  require(system_call(SYS_sendmsg, kSupervisorFd, &message, MSG_NOSIGNAL), Phase::install_filter);
  system_call(SYS_close, listener);
  system_call(SYS_close, kSupervisorFd);
}

/// From here on the builder answers calls; it finds out who the command is.
void install_supervised_filter(InitPlan* plan) noexcept {
  // A signal does not interrupt a call that is being answered: it would be made twice. The kernel
  // knows that since 5.19.
  constexpr long kNewListener = SECCOMP_FILTER_FLAG_NEW_LISTENER, kUninterrupted = 1 << 5;
  sock_fprog program{static_cast<unsigned short>(plan->supervised.count),
                     at<sock_filter>(plan, plan->supervised.offset)};
  long listener =
      system_call(SYS_seccomp, SECCOMP_SET_MODE_FILTER, kNewListener | kUninterrupted, &program);
  if (listener == -EINVAL)
    listener = system_call(SYS_seccomp, SECCOMP_SET_MODE_FILTER, kNewListener, &program);
  require(listener, Phase::install_filter);
  send_listener(listener);
}

/// "(unreachable)..." would mean a working directory outside of the root.
void check_directory() noexcept {
  char path[4096];
  const long length = system_call(SYS_getcwd, path, sizeof path);
  require(length, Phase::change_directory);
  if (path[0] != '/') require(-ENOENT, Phase::change_directory);
}

/// Tries the candidates as execvp does: a file that is not there, or may not be executed, is
/// passed over, but the latter decides what is reported.
[[noreturn]] void execute(InitPlan* plan) noexcept {
  char** argv = strings(plan, plan->argv);
  char** env = strings(plan, plan->env);
  char** candidates = strings(plan, plan->candidates);
  long error = -ENOENT;
  int exists = 0;
  for (std::uint64_t i = 0; i < plan->candidates.count; ++i) {
    const long result = system_call(SYS_execve, candidates[i], argv, env);
    const bool absent = system_call(SYS_faccessat, AT_FDCWD, candidates[i], 0) < 0;
    if (result == -ENOTDIR || (result == -ENOENT && absent)) continue;
    error = result;
    exists = absent ? 0 : 1;
    if (result != -EACCES) break;
  }
  report(Phase::execute, -error, exists);
  leave(1);
}

[[noreturn]] void run_command(InitPlan* plan) noexcept {
  reset_signals();
  system_call(SYS_setsid);
  if (plan->terminal != 0) require(system_call(SYS_ioctl, 0, TIOCSCTTY, 0), Phase::take_terminal);
  system_call(SYS_close, kKeepFd);
  system_call(SYS_fcntl, kStatusFd, F_SETFD, FD_CLOEXEC);
  if (plan->in_chroot != 0) change_root();
  if (plan->fixed_ids == 0) set_groups(plan);
  bound_capabilities(plan->capabilities, plan->in_chroot != 0);
  set_limits(plan);
  system_call(SYS_umask, 022);

  // As root first: a user may be put into a directory that he could not enter by himself.
  const char* directory = at<char>(plan, plan->working_dir);
  const long entered = system_call(SYS_chdir, directory);
  if (plan->in_chroot != 0) restrict_files();
  // While still privileged: without privileges a filter needs no_new_privs, which breaks sudo.
  if (plan->filter.count != 0) install_filter(plan);
  if (plan->supervised.count != 0) install_supervised_filter(plan);
  if (plan->fixed_ids == 0)
    require(system_call(SYS_setresuid, plan->uid, plan->uid, plan->uid), Phase::set_user);
  set_capabilities(plan);
  if (plan->no_new_privileges != 0)
    require(system_call(SYS_prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), Phase::drop_capabilities);
  if (entered < 0) require(system_call(SYS_chdir, directory), Phase::change_directory);
  check_directory();
  execute(plan);
}

/// What init knows while the command runs.
struct Running {
  long command;
  bool interactive;  // signals from outside are for the command alone
  long builder;      // who may send them: 0 is from outside of the pid namespace
  bool in_chroot;
};

/// In a pid namespace only the builder is outside and so has no pid here; without one the kernel
/// says who has sent a signal. The step itself cannot make init kill the step. False: the step is
/// to end at once.
bool forward(const siginfo_t& info, const Running& step) noexcept {
  if (info.si_code != SI_USER || info.si_pid != step.builder) return true;
  if (step.in_chroot && info.si_signo == kEndSignal) return false;
  if (step.interactive)
    system_call(SYS_kill, step.command, info.si_signo);
  else if (info.si_signo == SIGTERM && step.in_chroot)
    ask_to_end(step.command);
  else if (info.si_signo == SIGTERM)
    system_call(SYS_kill, -1, SIGTERM);
  return true;
}

/// Reaps everything; returns the status of the command once it has ended.
int wait_for(const Running& step) noexcept {
  while (true) {
    siginfo_t info{};
    int status = 0;
    const long signal = system_call(SYS_rt_sigtimedwait, &kAllSignals, &info, 0L, kSignalSetBytes);
    if (signal > 0 && !forward(info, step)) {
      kill_descendants(step.command, status);
      return status;
    }
    long ended;
    while ((ended = system_call(SYS_wait4, -1, &status, WNOHANG, 0L)) > 0 || ended == -EINTR)
      if (ended == step.command) return status;
  }
}

/// Everything the command leaves comes to init, and when the builder dies it is init that ends the
/// step: nobody else would.
void collect_orphans() noexcept {
  require(system_call(SYS_prctl, PR_SET_CHILD_SUBREAPER, 1), Phase::start_init);
  require(system_call(SYS_prctl, PR_SET_PDEATHSIG, kEndSignal), Phase::start_init);
}

[[noreturn]] void init() noexcept {
  system_call(SYS_rt_sigprocmask, SIG_SETMASK, &kAllSignals, 0L, kSignalSetBytes);
  die_with_builder();
  close_inherited();
  system_call(SYS_prctl, PR_SET_DUMPABLE, 0);  // the command's exec makes itself dumpable again
  InitPlan* plan = map_plan();
  const bool in_chroot = plan->in_chroot != 0;
  if (in_chroot) {
    collect_orphans();
  } else {
    system_call(SYS_close, kRootFd);
    system_call(SYS_close, kFilesFd);
  }
  const long builder = in_chroot ? system_call(SYS_getppid) : 0;
  const long command = raw_system_call(SYS_clone, SIGCHLD, 0, 0, 0, 0);
  require(command, Phase::fork_command);
  if (command == 0) run_command(plan);
  for (int fd = 0; fd < 3; ++fd) system_call(SYS_close, fd);
  int status = wait_for({command, plan->interactive != 0, builder, in_chroot});
  if (in_chroot) kill_descendants(command, status);
  report(Phase::completed, status);
  leave(0);
}

}  // namespace
}  // namespace strake::sandbox

#ifdef STRAKE_INIT_FREESTANDING

extern "C" [[noreturn, gnu::used]] void strake_init() {
  strake::sandbox::init();
}

#if defined(__x86_64__)
__asm__(".globl _start\n_start:\n  xor %ebp, %ebp\n  and $-16, %rsp\n  call strake_init\n");
#else
__asm__(".globl _start\n_start:\n  mov x29, #0\n  mov x30, #0\n  b strake_init\n");
#endif

// The compiler may call these for copies and zero-initialisation, also without a library.
extern "C" void* memset(void* to, int byte, std::size_t count) {
  auto* bytes = static_cast<volatile unsigned char*>(to);
  for (std::size_t i = 0; i < count; ++i) bytes[i] = static_cast<unsigned char>(byte);
  return to;
}
extern "C" void* memcpy(void* to, const void* from, std::size_t count) {
  auto* target = static_cast<volatile unsigned char*>(to);
  const auto* source = static_cast<const unsigned char*>(from);
  for (std::size_t i = 0; i < count; ++i) target[i] = source[i];
  return to;
}

#else

int main() {
  strake::sandbox::init();
}

#endif
