#include "tests/support/rung.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <string>

#include "layers/base/error.h"
#include "layers/base/fd.h"
#include "layers/base/stream.h"
#include "tests/support/call_filter.h"

namespace strake::test {
namespace {

using sandbox::Isolation;

constexpr uid_t kNobody = 65534;
constexpr std::uint64_t kContainerCapabilities = 0xa80425fb;  // docker's default
constexpr unsigned kNamespaceFlags = 0x7e020000;              // CLONE_NEW*

Isolation taken = Isolation::root;

[[noreturn]] void impossible(const std::string& why) {
  std::printf("SKIP: %s\n", why.c_str());
  std::exit(77);
}

void require(bool worked, const char* what) {
  if (!worked) impossible(base::system_error(errno, "do", what).what());
}

void become_nobody() {
  require(::setgroups(0, nullptr) == 0, "setgroups");
  require(::setresgid(kNobody, kNobody, kNobody) == 0, "setresgid");
  require(::setresuid(kNobody, kNobody, kNobody) == 0, "setresuid");
  // A change of ids makes a process undumpable, and its /proc files root's.
  require(::prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) == 0, "prctl");
}

/// The machine's own files stay as they are: these lie over them, for this process alone.
void give_a_range() {
  require(::unshare(CLONE_NEWNS) == 0, "unshare");
  require(::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0, "mount");
  for (const char* file : {"/etc/subuid", "/etc/subgid"}) {
    char source[] = "/tmp/strake-ids-XXXXXX";
    const base::FileDescriptor ids(::mkstemp(source));
    require(static_cast<bool>(ids), "mkstemp");
    base::write_full(ids.get(), base::bytes_of("nobody:1000000:65536\n"), source);
    const bool readable = ::fchmod(ids.get(), 0644) == 0;
    const bool bound = ::mount(source, file, nullptr, MS_BIND, nullptr) == 0;
    ::unlink(source);
    require(readable && bound, "bind of /etc/subuid (install uidmap)");
  }
}

void become_a_container() {
  for (int capability = 0; capability < 64; ++capability)
    if ((kContainerCapabilities >> capability & 1) == 0)
      ::prctl(PR_CAPBSET_DROP, capability, 0, 0, 0);
  const __user_cap_data_struct set{static_cast<unsigned>(kContainerCapabilities),
                                   static_cast<unsigned>(kContainerCapabilities), 0};
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  const __user_cap_data_struct sets[2] = {set, {}};
  CallFilter filter;
  for (const long call :
       {SYS_mount, SYS_umount2, SYS_pivot_root, SYS_setns, SYS_fsopen, SYS_fsconfig, SYS_fsmount,
        SYS_fspick, SYS_open_tree, SYS_move_mount, SYS_mount_setattr})
    filter.refuse(call, EPERM);
  filter.refuse(SYS_clone3, ENOSYS)
      .refuse_flags(SYS_unshare, kNamespaceFlags, EPERM)
      .refuse_flags(SYS_clone, kNamespaceFlags, EPERM);
  require(filter.install(), "seccomp");
  require(::syscall(SYS_capset, &header, sets) == 0, "capset");
}

}  // namespace

void take_rung() {
  const char* name = std::getenv("STRAKE_TEST_RUNG");
  if (name == nullptr || *name == '\0') return;
  if (::geteuid() != 0) impossible("needs root, to take any rung");
  try {
    taken = sandbox::parse_isolation(name).value();
    if (taken == Isolation::user_range) give_a_range();
    if (taken == Isolation::user_range || taken == Isolation::user_one) become_nobody();
    if (taken == Isolation::chroot) become_a_container();
    sandbox::enter_isolation(taken);
  } catch (const base::Error& error) {
    impossible(error.what());
  }
}

sandbox::Isolation rung() {
  return taken;
}

}  // namespace strake::test
