// Runs inside of steps and tries what only a program of its own can; says what came of it.
// Linked statically, without the project's options.
//
//     inside escape PATH     chroot out of the root (the classic way), then read PATH
//     inside connect NAME    connect to a unix socket: a path, or "@" and an abstract name
//     inside ptrace PID      attach to a process
//     inside euid            whom a set-uid program runs as

#include <fcntl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace {

int escape(const char* path) {
  ::mkdir("below", 0755);
  if (::chroot("below") != 0) {
    std::printf("chroot %d\n", errno);
    return 0;
  }
  // The working directory is above the new root now: nothing stops it on its way up.
  for (int i = 0; i < 64; ++i)
    if (::chdir("..") != 0) break;
  if (::chroot(".") != 0) std::printf("chroot again %d\n", errno);
  std::printf("%s\n", ::open(path, O_RDONLY) >= 0 ? "escaped" : "inside");
  return 0;
}

int connect_to(const char* name) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, name, sizeof address.sun_path - 1);
  const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + std::strlen(name));
  if (name[0] == '@') address.sun_path[0] = '\0';
  const int socket = ::socket(AF_UNIX, SOCK_STREAM, 0);
  const int result = ::connect(socket, reinterpret_cast<sockaddr*>(&address), length);
  std::printf("connect %d\n", result < 0 ? errno : 0);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 3 && std::strcmp(argv[1], "escape") == 0) return escape(argv[2]);
  if (argc == 3 && std::strcmp(argv[1], "connect") == 0) return connect_to(argv[2]);
  if (argc == 3 && std::strcmp(argv[1], "ptrace") == 0)
    std::printf("ptrace %d\n", ::ptrace(PTRACE_ATTACH, std::atoi(argv[2]), 0, 0) < 0 ? errno : 0);
  if (argc == 2 && std::strcmp(argv[1], "euid") == 0)
    std::printf("euid %u\n", static_cast<unsigned>(::geteuid()));
  return 0;
}
