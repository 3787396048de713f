#pragma once

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <span>
#include <vector>

namespace strake::test {

/// What a place around the builder refuses: old kernels (ENOSYS), seccomp profiles of containers
/// (EPERM, or ENOSYS).
class CallFilter {
 public:
  CallFilter& refuse(long number, int error) {
    compare(static_cast<unsigned>(number), 0, 1);
    give(error);
    return *this;
  }
  /// clone and unshare with any of these flags in their first argument.
  CallFilter& refuse_flags(long number, unsigned flags, int error) {
    compare(static_cast<unsigned>(number), 0, 4);
    load(offsetof(seccomp_data, args));
    program_.push_back(BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, flags, 0, 1));
    give(error);
    load(offsetof(seccomp_data, nr));
    return *this;
  }

  /// For this process and its children from now on; false with errno.
  bool install() const {
    std::vector<sock_filter> whole = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, arch)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, kNative, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr))};
    whole.insert(whole.end(), program_.begin(), program_.end());
    whole.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
    const sock_fprog filter{static_cast<unsigned short>(whole.size()), whole.data()};
    if (::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &filter) == 0) return true;
    // Without privileges a filter costs set-uid programs.
    return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           ::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &filter) == 0;
  }

 private:
#if defined(__aarch64__)
  static constexpr unsigned kNative = AUDIT_ARCH_AARCH64;
#else
  static constexpr unsigned kNative = AUDIT_ARCH_X86_64;
#endif

  void load(std::size_t offset) {
    program_.push_back(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, static_cast<unsigned>(offset)));
  }
  void compare(unsigned value, unsigned char if_equal, unsigned char if_not) {
    program_.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, if_equal, if_not));
  }
  void give(int error) {
    program_.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | static_cast<unsigned>(error)));
  }

  std::vector<sock_filter> program_;
};

}  // namespace strake::test
