#include "builder/sandbox/seccomp_profile.h"

#include <linux/filter.h>
#include <sched.h>
#include <seccomp.h>

// The SCMP_A macros of libseccomp are compound literals.
#ifdef __clang__
#pragma clang diagnostic ignored "-Wc99-extensions"
#endif
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <string>

#include "layers/base/error.h"
#include "layers/base/fd.h"

namespace strake::sandbox {
namespace {

static_assert(sizeof(FilterInstruction) == sizeof(struct sock_filter));

constexpr std::string_view kDenied[] = {
    // Mounts and namespaces.
    "mount", "umount", "umount2", "pivot_root", "fsopen", "fsmount", "fsconfig", "fspick",
    "move_mount", "open_tree", "open_tree_attr", "mount_setattr", "unshare", "setns",
    // Large kernel surfaces that no build needs.
    "bpf", "perf_event_open", "userfaultfd", "io_uring_setup", "io_uring_enter",
    "io_uring_register", "kcmp", "lookup_dcookie",
    // Other processes, files by handle, keys.
    "pidfd_getfd", "process_madvise", "open_by_handle_at", "keyctl", "add_key", "request_key",
    // The machine: kernel, modules, clock, swap, quota, accounting, ports, log, terminals.
    "kexec_load", "kexec_file_load", "reboot", "init_module", "finit_module", "delete_module",
    "swapon", "swapoff", "acct", "quotactl", "quotactl_fd", "nfsservctl", "settimeofday",
    "clock_settime", "clock_settime64", "stime", "iopl", "ioperm", "syslog", "vhangup",
    // Memory placement.
    "mbind", "set_mempolicy", "move_pages",
    // Long obsolete.
    "uselib", "ustat", "sysfs", "_sysctl"};

constexpr unsigned long kNewNamespaces = CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS |
                                         CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET;
constexpr unsigned kFamilyAlg = 38;    // AF_ALG: the kernel's crypto, a frequent source of holes
constexpr unsigned kFamilyVsock = 40;  // AF_VSOCK: reaches the hypervisor
constexpr unsigned kSocketcallSocket = 1;    // SYS_SOCKET of linux/net.h
constexpr unsigned kTerminalInput = 0x5412;  // TIOCSTI
constexpr unsigned kConsole = 0x541C;        // TIOCLINUX

struct Release {
  void operator()(void* filter) const noexcept { ::seccomp_release(filter); }
};
using Filter = std::unique_ptr<void, Release>;

void check(int result, std::string_view what) {
  if (result == 0) return;
  throw base::Error(base::ErrorCode::unsupported,
                    "cannot build the system call filter: " + std::string(what) + ": " +
                        base::system_error(-result, "add rule", what).what());
}

/// A rule that needs arguments which one of the architectures does not pass (i386's socketcall)
/// holds for the others.
template <typename... Comparisons>
void refuse(const Filter& filter, const char* call, int error, Comparisons... comparisons) {
  const int number = ::seccomp_syscall_resolve_name(call);
  if (number == __NR_SCMP_ERROR) return;  // newer than the library
  const int result = ::seccomp_rule_add(filter.get(), SCMP_ACT_ERRNO(static_cast<unsigned>(error)),
                                        number, sizeof...(comparisons), comparisons...);
  if (result != -EDOM && result != -EEXIST) check(result, call);
}

/// The kernel looks at the low half of an int argument only; so must the rule.
struct scmp_arg_cmp low_half(unsigned argument, std::uint32_t value) {
  return SCMP_CMP64(argument, SCMP_CMP_MASKED_EQ, 0xffffffffU, value);
}

void refuse_families(const Filter& filter) {
  for (const unsigned family : {kFamilyAlg, kFamilyVsock})
    refuse(filter, "socket", EPERM, low_half(0, family));
  // i386 can also ask for a socket through a call whose arguments lie in memory, out of reach for
  // a filter. Its C libraries have used socket() since Linux 4.3 has it.
  refuse(filter, "socketcall", EPERM, low_half(0, kSocketcallSocket));
}

/// Refuses `call` when bit `on` of its first argument is set and bit `off` is not.
void refuse_bits(const Filter& filter, const char* call, unsigned on, unsigned off) {
  const std::uint32_t set = 1U << on;
  refuse(filter, call, EPERM, SCMP_A0(SCMP_CMP_MASKED_EQ, set | 1U << off, set));
}

/// Harmless are PER_LINUX and PER_LINUX32, with and without UNAME26, and the query, which has all
/// bits set. A rule may compare an argument only once, so "none of the other bits, or all" becomes
/// a ring: if some of the other bits are set and some are not, one that is set is followed by one
/// that is not; if all of them are set, the two allowed ones must be too.
void refuse_personalities(const Filter& filter) {
  constexpr unsigned kLinux32 = 3, kUname26 = 17;
  std::vector<unsigned> others;
  for (unsigned bit = 0; bit < 32; ++bit)
    if (bit != kLinux32 && bit != kUname26) others.push_back(bit);
  for (std::size_t i = 0; i < others.size(); ++i)
    refuse_bits(filter, "personality", others[i], others[(i + 1) % others.size()]);
  refuse_bits(filter, "personality", others.front(), kLinux32);
  refuse_bits(filter, "personality", others.front(), kUname26);
}

std::vector<FilterInstruction> exported(const Filter& filter) {
  const base::FileDescriptor file(::memfd_create("filter", MFD_CLOEXEC));
  if (!file) throw base::system_error(errno, "create", "memory file");
  check(::seccomp_export_bpf(filter.get(), file.get()), "export");
  const off_t size_bytes = ::lseek(file.get(), 0, SEEK_CUR);
  std::vector<FilterInstruction> program(static_cast<std::size_t>(size_bytes) /
                                         sizeof(FilterInstruction));
  base::pread_full(file.get(), std::as_writable_bytes(std::span(program)), 0, "filter");
  return program;
}

std::vector<FilterInstruction> build() {
  const Filter filter(::seccomp_init(SCMP_ACT_ALLOW));
  if (!filter) check(-ENOMEM, "init");
  check(::seccomp_attr_set(filter.get(), SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_ERRNO(EPERM)),
        "architecture");
  // Images of 32 bits run natively too; they are under the same rules.
  if (::seccomp_arch_native() == SCMP_ARCH_X86_64)
    check(::seccomp_arch_add(filter.get(), SCMP_ARCH_X86), "i386");
  if (::seccomp_arch_native() == SCMP_ARCH_AARCH64)
    check(::seccomp_arch_add(filter.get(), SCMP_ARCH_ARM), "arm");

  for (const std::string_view call : kDenied) refuse(filter, call.data(), EPERM);
  refuse(filter, "clone3", ENOSYS);
  for (unsigned long flag = 1; flag <= kNewNamespaces; flag <<= 1)
    if ((kNewNamespaces & flag) != 0)
      refuse(filter, "clone", EPERM, SCMP_A0(SCMP_CMP_MASKED_EQ, flag, flag));
  refuse_families(filter);
  refuse_personalities(filter);
  for (const unsigned command : {kTerminalInput, kConsole})
    refuse(filter, "ioctl", EPERM, low_half(1, command));
  return exported(filter);
}

}  // namespace

std::span<const std::string_view> denied_system_calls() {
  return kDenied;
}

const std::vector<FilterInstruction>& seccomp_profile() {
  static const std::vector<FilterInstruction> program = build();
  return program;
}

}  // namespace strake::sandbox
