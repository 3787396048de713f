#include "builder/sandbox/owners/calls.h"

#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include <cstddef>
#include <span>

#include "builder/sandbox/id_map.h"

namespace strake::sandbox {
namespace {

struct KnownCall {
  int number;
  Call call;
};

#if defined(__x86_64__)
constexpr std::uint32_t kNative = AUDIT_ARCH_X86_64;
#elif defined(__aarch64__)
constexpr std::uint32_t kNative = AUDIT_ARCH_AARCH64;
#elif defined(__riscv) && __riscv_xlen == 64
constexpr std::uint32_t kNative = AUDIT_ARCH_RISCV64;
#elif defined(__powerpc64__)
constexpr std::uint32_t kNative = AUDIT_ARCH_PPC64LE;
#elif defined(__s390x__)
constexpr std::uint32_t kNative = AUDIT_ARCH_S390X;
#else
#error "the audit name of this architecture is not known here"
#endif

constexpr KnownCall kNativeCalls[] = {
#ifdef SYS_chown  // the generic table has only the calls that end in "at"
    {SYS_chown, Call::chown},
    {SYS_lchown, Call::lchown},
    {SYS_stat, Call::stat},
    {SYS_lstat, Call::lstat},
    {SYS_open, Call::open},
    {SYS_creat, Call::creat},
    {SYS_mkdir, Call::mkdir},
    {SYS_symlink, Call::symlink},
    {SYS_mknod, Call::mknod},
#endif
    {SYS_fchown, Call::fchown},
    {SYS_fchownat, Call::fchownat},
    {SYS_fstat, Call::fstat},
    {SYS_newfstatat, Call::newfstatat},
    {SYS_statx, Call::statx},
    {SYS_listxattr, Call::listxattr},
    {SYS_llistxattr, Call::llistxattr},
    {SYS_flistxattr, Call::flistxattr},
    {SYS_openat, Call::openat},
    {SYS_openat2, Call::openat2},
    {SYS_mkdirat, Call::mkdirat},
    {SYS_symlinkat, Call::symlinkat},
    {SYS_mknodat, Call::mknodat},
    {SYS_getuid, Call::getuid},
    {SYS_geteuid, Call::geteuid},
    {SYS_getgid, Call::getgid},
    {SYS_getegid, Call::getegid},
    {SYS_getresuid, Call::getresuid},
    {SYS_getresgid, Call::getresgid},
    {SYS_getgroups, Call::getgroups},
    {SYS_setuid, Call::setuid},
    {SYS_setgid, Call::setgid},
    {SYS_setreuid, Call::setreuid},
    {SYS_setregid, Call::setregid},
    {SYS_setresuid, Call::setresuid},
    {SYS_setresgid, Call::setresgid},
    {SYS_setfsuid, Call::setfsuid},
    {SYS_setfsgid, Call::setfsgid},
    {SYS_setgroups, Call::setgroups},
    {SYS_execve, Call::execve},
    {SYS_execveat, Call::execveat},
    {SYS_chroot, Call::chroot},
    {SYS_prlimit64, Call::prlimit},
#ifdef SYS_setrlimit
    {SYS_setrlimit, Call::setrlimit},
    {SYS_getrlimit, Call::getrlimit},
#endif
};

#if defined(__x86_64__)
/// asm/unistd_32.h, which cannot be included beside the native one.
constexpr KnownCall kI386Calls[] = {
    {212, Call::chown},      {198, Call::lchown},     {207, Call::fchown},
    {298, Call::fchownat},   {383, Call::statx},      {232, Call::listxattr},
    {233, Call::llistxattr}, {234, Call::flistxattr}, {5, Call::open},
    {295, Call::openat},     {437, Call::openat2},    {8, Call::creat},
    {39, Call::mkdir},       {296, Call::mkdirat},    {83, Call::symlink},
    {304, Call::symlinkat},  {14, Call::mknod},       {297, Call::mknodat},
    {199, Call::getuid},     {201, Call::geteuid},    {200, Call::getgid},
    {202, Call::getegid},    {209, Call::getresuid},  {211, Call::getresgid},
    {205, Call::getgroups},  {213, Call::setuid},     {214, Call::setgid},
    {203, Call::setreuid},   {204, Call::setregid},   {208, Call::setresuid},
    {210, Call::setresgid},  {215, Call::setfsuid},   {216, Call::setfsgid},
    {206, Call::setgroups},  {11, Call::execve},      {358, Call::execveat},
    {61, Call::chroot},      {340, Call::prlimit},    {75, Call::setrlimit},
};
#endif

struct Architecture {
  std::uint32_t name;
  std::span<const KnownCall> calls;
};

constexpr Architecture kArchitectures[] = {
    {kNative, kNativeCalls},
#if defined(__x86_64__)
    {AUDIT_ARCH_I386, kI386Calls},
#endif
};

constexpr std::uint32_t kMakesFile = O_CREAT | (O_TMPFILE & ~O_DIRECTORY);

/// Some calls are only sent when the lower half of an argument has one of some bits, or is a value.
struct Condition {
  int argument;
  unsigned comparison;
  std::uint32_t k;
};

std::optional<Condition> condition_of(Call call) {
  switch (call) {
    case Call::open:
      return Condition{1, BPF_JSET, kMakesFile};
    case Call::openat:
      return Condition{2, BPF_JSET, kMakesFile};
    case Call::prlimit:
      return Condition{1, BPF_JEQ, RLIMIT_RTTIME};
    case Call::setrlimit:
    case Call::getrlimit:
      return Condition{0, BPF_JEQ, RLIMIT_RTTIME};
    default:
      return std::nullopt;
  }
}

bool concerns(Supervision supervision, Call call) {
  return supervision == Supervision::owners || call == Call::mknod || call == Call::mknodat ||
         call == Call::chroot;
}

FilterInstruction statement(unsigned code, std::uint32_t k) {
  return {static_cast<std::uint16_t>(code), 0, 0, k};
}
FilterInstruction unless(unsigned comparison, std::uint32_t k, std::uint8_t skip) {
  return {static_cast<std::uint16_t>(BPF_JMP | comparison | BPF_K), 0, skip, k};
}
FilterInstruction load(std::size_t offset) {
  return statement(BPF_LD | BPF_W | BPF_ABS, static_cast<std::uint32_t>(offset));
}
/// The lower half of an argument, which is all of an int.
FilterInstruction load_argument(int index) {
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
  constexpr std::size_t kLower = sizeof(std::uint32_t);
#else
  constexpr std::size_t kLower = 0;
#endif
  return load(offsetof(struct seccomp_data, args) + static_cast<std::size_t>(index) * 8 + kLower);
}

}  // namespace

Supervision needed_supervision() {
  constexpr std::uint64_t kAllIds = 0xffffffff;
  const std::uint64_t users = count_ids(own_user_map()), groups = count_ids(own_group_map());
  if (users <= 1 || groups <= 1) return Supervision::owners;
  return users < kAllIds ? Supervision::devices : Supervision::none;
}

std::optional<Call> find_call(std::uint32_t architecture, int number) noexcept {
  for (const Architecture& known : kArchitectures) {
    if (known.name != architecture) continue;
    for (const KnownCall& call : known.calls)
      if (call.number == number) return call.call;
  }
  return std::nullopt;
}

std::vector<FilterInstruction> supervision_filter(Supervision supervision) {
  const FilterInstruction allow = statement(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
  const FilterInstruction send = statement(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF);
  std::vector<FilterInstruction> program{load(offsetof(struct seccomp_data, arch))};
  for (const Architecture& architecture : kArchitectures) {
    std::vector<FilterInstruction> calls{load(offsetof(struct seccomp_data, nr))};
    for (const auto& [number, call] : architecture.calls) {
      if (!concerns(supervision, call)) continue;
      const auto k = static_cast<std::uint32_t>(number);
      if (const std::optional<Condition> condition = condition_of(call)) {
        calls.push_back(unless(BPF_JEQ, k, 4));
        calls.push_back(load_argument(condition->argument));
        calls.push_back(unless(condition->comparison, condition->k, 1));
        calls.push_back(send);
        calls.push_back(allow);
      } else {
        calls.push_back(unless(BPF_JEQ, k, 1));
        calls.push_back(send);
      }
    }
    calls.push_back(allow);
    program.push_back(unless(BPF_JEQ, architecture.name, static_cast<std::uint8_t>(calls.size())));
    program.insert(program.end(), calls.begin(), calls.end());
  }
  program.push_back(allow);
  return program;
}

}  // namespace strake::sandbox
