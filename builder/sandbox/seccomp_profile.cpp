#include "builder/sandbox/seccomp_profile.h"

#include <linux/capability.h>
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
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include "layers/base/error.h"
#include "layers/base/fd.h"

namespace strake::sandbox {
namespace {

static_assert(sizeof(FilterInstruction) == sizeof(struct sock_filter));

constexpr int kNever = -1;

/// A system call that steps are refused, unless they have a capability that it is the point of.
struct Denied {
  std::string_view name;
  int unless = kNever;
};

constexpr Denied kDenied[] = {
    // Mounts and namespaces.
    {"mount", CAP_SYS_ADMIN},
    {"umount", CAP_SYS_ADMIN},
    {"umount2", CAP_SYS_ADMIN},
    {"pivot_root"},
    {"fsopen", CAP_SYS_ADMIN},
    {"fsmount", CAP_SYS_ADMIN},
    {"fsconfig", CAP_SYS_ADMIN},
    {"fspick", CAP_SYS_ADMIN},
    {"move_mount", CAP_SYS_ADMIN},
    {"open_tree", CAP_SYS_ADMIN},
    {"open_tree_attr", CAP_SYS_ADMIN},
    {"mount_setattr", CAP_SYS_ADMIN},
    {"unshare", CAP_SYS_ADMIN},
    {"setns", CAP_SYS_ADMIN},
    // Large kernel surfaces that no build needs.
    {"bpf", CAP_BPF},
    {"perf_event_open", CAP_PERFMON},
    {"userfaultfd"},
    {"io_uring_setup"},
    {"io_uring_enter"},
    {"io_uring_register"},
    {"kcmp", CAP_SYS_PTRACE},
    {"lookup_dcookie"},
    // Other processes, files by handle, keys.
    {"pidfd_getfd", CAP_SYS_PTRACE},
    {"process_madvise", CAP_SYS_PTRACE},
    {"open_by_handle_at", CAP_DAC_READ_SEARCH},
    {"keyctl"},
    {"add_key"},
    {"request_key"},
    // The machine: kernel, modules, clock, swap, quota, accounting, ports, log, terminals.
    {"kexec_load", CAP_SYS_BOOT},
    {"kexec_file_load", CAP_SYS_BOOT},
    {"reboot", CAP_SYS_BOOT},
    {"init_module", CAP_SYS_MODULE},
    {"finit_module", CAP_SYS_MODULE},
    {"delete_module", CAP_SYS_MODULE},
    {"swapon"},
    {"swapoff"},
    {"acct", CAP_SYS_PACCT},
    {"quotactl", CAP_SYS_ADMIN},
    {"quotactl_fd", CAP_SYS_ADMIN},
    {"nfsservctl"},
    {"settimeofday", CAP_SYS_TIME},
    {"clock_settime", CAP_SYS_TIME},
    {"clock_settime64", CAP_SYS_TIME},
    {"stime", CAP_SYS_TIME},
    {"iopl", CAP_SYS_RAWIO},
    {"ioperm", CAP_SYS_RAWIO},
    {"syslog", CAP_SYSLOG},
    {"vhangup", CAP_SYS_TTY_CONFIG},
    // Memory placement.
    {"mbind", CAP_SYS_NICE},
    {"set_mempolicy", CAP_SYS_NICE},
    {"move_pages", CAP_SYS_NICE},
    // Long obsolete.
    {"uselib"},
    {"ustat"},
    {"sysfs"},
    {"_sysctl"}};

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

/// clone3's flags cannot be looked at; libc falls back to clone.
void refuse_namespaces(const Filter& filter) {
  refuse(filter, "clone3", ENOSYS);
  for (unsigned long flag = 1; flag <= kNewNamespaces; flag <<= 1)
    if ((kNewNamespaces & flag) != 0)
      refuse(filter, "clone", EPERM, SCMP_A0(SCMP_CMP_MASKED_EQ, flag, flag));
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

bool is_denied(const Denied& call, CapabilitySet granted) {
  return call.unless == kNever || !has_capability(granted, call.unless);
}

std::vector<FilterInstruction> build(CapabilitySet granted, Neighbours neighbours) {
  const Filter filter(::seccomp_init(SCMP_ACT_ALLOW));
  if (!filter) check(-ENOMEM, "init");
  check(::seccomp_attr_set(filter.get(), SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_ERRNO(EPERM)),
        "architecture");
  // Images of 32 bits run natively too; they are under the same rules.
  if (::seccomp_arch_native() == SCMP_ARCH_X86_64)
    check(::seccomp_arch_add(filter.get(), SCMP_ARCH_X86), "i386");
  if (::seccomp_arch_native() == SCMP_ARCH_AARCH64)
    check(::seccomp_arch_add(filter.get(), SCMP_ARCH_ARM), "arm");

  for (const Denied& call : kDenied)
    if (is_denied(call, granted)) refuse(filter, call.name.data(), EPERM);
  if (neighbours == Neighbours::visible)
    for (const char* call : {"ptrace", "process_vm_readv", "process_vm_writev"})
      refuse(filter, call, EPERM);
  if (!has_capability(granted, CAP_SYS_ADMIN)) refuse_namespaces(filter);
  refuse_families(filter);
  refuse_personalities(filter);
  for (const unsigned command : {kTerminalInput, kConsole})
    refuse(filter, "ioctl", EPERM, low_half(1, command));
  return exported(filter);
}

}  // namespace

std::span<const std::string_view> denied_system_calls() {
  static const std::vector<std::string_view> names = [] {
    std::vector<std::string_view> all;
    for (const Denied& call : kDenied)
      if (is_denied(call, step_capabilities())) all.push_back(call.name);
    return all;
  }();
  return names;
}

const std::vector<FilterInstruction>& seccomp_profile(CapabilitySet granted,
                                                      Neighbours neighbours) {
  using Kind = std::pair<CapabilitySet, Neighbours>;
  static std::mutex mutex;
  static std::map<Kind, std::vector<FilterInstruction>> programs;  // addresses stay
  const std::lock_guard lock(mutex);
  std::vector<FilterInstruction>& program = programs[{granted, neighbours}];
  if (program.empty()) program = build(granted, neighbours);
  return program;
}

}  // namespace strake::sandbox
