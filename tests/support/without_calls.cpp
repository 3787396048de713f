// Runs a program on a kernel that lacks system calls, or in a container that refuses them:
//
//     without_calls ENOSYS|EPERM fsopen,openat2 PROGRAM [ARGUMENTS]
//
// The filter holds for everything the program starts.

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>

#include "tests/support/call_filter.h"

namespace {

struct Call {
  std::string_view name;
  long number;
};
constexpr Call kCalls[] = {
    {"clone3", SYS_clone3},       {"close_range", SYS_close_range},
    {"fsopen", SYS_fsopen},       {"fsconfig", SYS_fsconfig},
    {"fsmount", SYS_fsmount},     {"landlock", SYS_landlock_create_ruleset},
    {"open_tree", SYS_open_tree}, {"move_mount", SYS_move_mount},
    {"openat2", SYS_openat2},     {"mount_setattr", SYS_mount_setattr},
    {"statx", SYS_statx},         {"copy_file_range", SYS_copy_file_range},
};

long number_of(std::string_view name) {
  for (const Call& call : kCalls)
    if (call.name == name) return call.number;
  std::fprintf(stderr, "without_calls: unknown call %s\n", std::string(name).c_str());
  std::exit(2);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 4) {
    std::fprintf(stderr, "usage: without_calls ENOSYS|EPERM CALL[,CALL] PROGRAM [ARGUMENTS]\n");
    return 2;
  }
  const int error = std::string_view(argv[1]) == "ENOSYS" ? ENOSYS : EPERM;
  strake::test::CallFilter filter;
  for (std::string_view calls = argv[2]; !calls.empty();) {
    const std::string_view name = calls.substr(0, calls.find(','));
    filter.refuse(number_of(name), error);
    calls.remove_prefix(std::min(calls.size(), name.size() + 1));
  }
  if (!filter.install()) {
    std::perror("without_calls: seccomp");
    return 77;
  }
  ::execv(argv[3], argv + 3);
  std::perror(argv[3]);
  return 2;
}
