// Runs inside a step: tries system calls that steps are refused and prints "name errno" for each.
// Linked statically, without the project's options.

#include <sched.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <initializer_list>

namespace {

void report(const char* name, long result) {
  std::printf("%s %d\n", name, result < 0 ? errno : 0);
}

#define TRY(name) report(#name, ::syscall(SYS_##name, 0, 0, 0, 0, 0, 0))

void try_unconditional() {
  TRY(mount);
  TRY(umount2);
  TRY(pivot_root);
  TRY(fsopen);
  TRY(fsmount);
  TRY(fsconfig);
  TRY(fspick);
  TRY(move_mount);
  TRY(open_tree);
  TRY(mount_setattr);
  TRY(unshare);  // with no flags: would succeed for anybody
  TRY(setns);
  TRY(bpf);
  TRY(perf_event_open);
  TRY(userfaultfd);
  TRY(io_uring_setup);
  TRY(io_uring_enter);
  TRY(io_uring_register);
  TRY(kcmp);
  TRY(pidfd_getfd);
  TRY(process_madvise);
  TRY(open_by_handle_at);
  TRY(keyctl);
  TRY(add_key);
  TRY(request_key);
  TRY(kexec_load);
  TRY(kexec_file_load);
  TRY(reboot);
  TRY(init_module);
  TRY(finit_module);
  TRY(delete_module);
  TRY(swapon);
  TRY(swapoff);
  TRY(acct);
  TRY(quotactl);
  TRY(settimeofday);
  TRY(clock_settime);
  TRY(syslog);
  TRY(vhangup);
  TRY(mbind);
  TRY(set_mempolicy);
  TRY(move_pages);
#ifdef SYS_iopl
  TRY(iopl);
  TRY(ioperm);
  TRY(uselib);
  TRY(ustat);
  TRY(sysfs);
#endif
}

void try_by_argument() {
  for (const unsigned long flag : {CLONE_NEWNS, CLONE_NEWUSER, CLONE_NEWNET, CLONE_NEWPID,
                                   CLONE_NEWIPC, CLONE_NEWUTS, CLONE_NEWCGROUP})
    report("clone", ::syscall(SYS_clone, flag, 0, 0, 0, 0));
  report("AF_ALG", ::socket(38, SOCK_STREAM, 0));
  report("AF_ALG-high", ::syscall(SYS_socket, 0x100000026, SOCK_STREAM, 0));
  report("AF_VSOCK", ::socket(40, SOCK_STREAM, 0));
  report("TIOCSTI", ::syscall(SYS_ioctl, 0, 0x5412, "x"));
  report("TIOCSTI-high", ::syscall(SYS_ioctl, 0, 0x100005412, "x"));
  report("TIOCLINUX", ::syscall(SYS_ioctl, 0, 0x541C, "x"));
  report("no-randomize", ::syscall(SYS_personality, 0x0040000));
  report("svr4", ::syscall(SYS_personality, 0x0001));
  report("almost-all", ::syscall(SYS_personality, 0xfffffff7));
}

void try_allowed() {
  errno = 0;
  std::printf("allowed:\n");
  report("query", ::syscall(SYS_personality, 0xffffffff));
  report("linux32", ::syscall(SYS_personality, 0x8));
  report("linux", ::syscall(SYS_personality, 0x0));
  report("AF_INET", ::socket(AF_INET, SOCK_STREAM, 0));
  report("clone3", ::syscall(SYS_clone3, nullptr, 0));
}

#ifdef __x86_64__
/// A system call of i386 from a 64-bit program.
long call_i386(std::uint32_t number, std::uint32_t a, std::uint32_t b) {
  long result;
  __asm__ volatile("int $0x80"
                   : "=a"(result)
                   : "a"(number), "b"(a), "c"(b), "d"(0)
                   : "memory", "r8", "r9", "r10", "r11");
  if (static_cast<int>(result) < 0) {
    errno = -static_cast<int>(result);
    return -1;
  }
  return result;
}

void try_other_tables() {
  void* low =
      ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
  auto* arguments = static_cast<std::uint32_t*>(low);
  arguments[0] = 38;
  arguments[1] = SOCK_STREAM;
  std::printf("i386:\n");
  report("mount", call_i386(21, 0, 0));
  report("unshare", call_i386(310, 0, 0));
  report("socketcall",
         call_i386(102, 1, static_cast<std::uint32_t>(reinterpret_cast<std::uintptr_t>(low))));
  report("AF_ALG", call_i386(359, 38, SOCK_STREAM));
  report("x32", ::syscall(0x40000000 | SYS_getpid));
  std::printf("i386-allowed:\n");
  report("getpid", call_i386(20, 0, 0));
}
#else
void try_other_tables() {}
#endif

}  // namespace

int main() {
  try_unconditional();
  try_by_argument();
  try_other_tables();
  try_allowed();
}
