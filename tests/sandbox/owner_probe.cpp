// Makes the system calls that its arguments name, in a step, and prints what they return:
//
//     owner_probe setresuid 1 2 3 getresuid exec /bin/id -u
//
// A word is a call, and takes the words behind it that it needs. Errors are printed as "-EPERM".

#include <fcntl.h>
#include <sys/fsuid.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <grp.h>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <string>
#include <thread>
#include <vector>

namespace {

class Words {
 public:
  explicit Words(char** next) : next_(next) {}
  bool more() const { return *next_ != nullptr; }
  const char* text() { return *next_ != nullptr ? *next_++ : ""; }
  unsigned number() { return static_cast<unsigned>(std::strtoll(text(), nullptr, 0)); }
  char** rest() { return next_; }

 private:
  char** next_;
};

void print(const char* call, long result) {
  if (result < 0)
    std::printf("%s -%s\n", call, ::strerrorname_np(errno));
  else
    std::printf("%s %ld\n", call, result);
}

void print_stat(const char* path, const struct stat& status) {
  std::printf("%s %u:%u %o %u,%u\n", path, status.st_uid, status.st_gid, status.st_mode,
              major(status.st_rdev), minor(status.st_rdev));
}

void look(const char* call, const char* path) {
  struct stat status {};
  struct statx extended {};
  const std::string name = call;
  long result = 0;
  if (name == "stat") result = ::stat(path, &status);
  if (name == "lstat") result = ::lstat(path, &status);
  if (name == "fstat") {
    const int file = ::open(path, O_RDONLY);
    result = ::fstat(file, &status);
    ::close(file);
  }
  if (name == "statx") {
    result = ::statx(AT_FDCWD, path, 0, STATX_BASIC_STATS, &extended);
    status.st_uid = extended.stx_uid;
    status.st_gid = extended.stx_gid;
    status.st_mode = extended.stx_mode;
    status.st_rdev = makedev(extended.stx_rdev_major, extended.stx_rdev_minor);
  }
  if (result != 0) return print(call, result);
  print_stat(path, status);
}

void print_groups() {
  std::vector<gid_t> groups(static_cast<std::size_t>(::getgroups(0, nullptr)));
  ::getgroups(static_cast<int>(groups.size()), groups.data());
  std::printf("groups");
  for (const gid_t group : groups) std::printf(" %u", group);
  std::printf("\n");
}

void print_ids() {
  uid_t ruid, euid, suid;
  gid_t rgid, egid, sgid;
  if (::getresuid(&ruid, &euid, &suid) != 0 || ::getresgid(&rgid, &egid, &sgid) != 0)
    return print("ids", -1);
  std::printf("ids %u %u %u %u %u %u\n", ruid, euid, suid, rgid, egid, sgid);
}

void open_file(const char* path, int flags) {
  const int file = ::open(path, flags, 0666);
  print("open", file < 0 ? -1 : 0);
  if (file >= 0 && ::write(file, "x", 1) == 1) ::close(file);
}

void run(Words& words) {
  const char* call = words.text();
  const std::string name = call;
  if (name == "setuid") return print(call, ::setuid(words.number()));
  if (name == "setgid") return print(call, ::setgid(words.number()));
  if (name == "setfsuid") return print(call, ::setfsuid(words.number()));
  if (name == "setfsgid") return print(call, ::setfsgid(words.number()));
  if (name == "seteuid") return print(call, ::seteuid(words.number()));
  if (name == "setresuid") {
    const unsigned real = words.number(), effective = words.number();
    return print(call, ::setresuid(real, effective, words.number()));
  }
  if (name == "setresgid") {
    const unsigned real = words.number(), effective = words.number();
    return print(call, ::setresgid(real, effective, words.number()));
  }
  if (name == "setgroups") {
    std::vector<gid_t> groups(words.number());
    for (gid_t& group : groups) group = words.number();
    return print(call, ::setgroups(groups.size(), groups.data()));
  }
  if (name == "ids") return print_ids();
  if (name == "groups") return print_groups();
  if (name == "umask") return print(call, static_cast<long>(::umask(words.number())));
  if (name == "chown" || name == "lchown") {
    const char* path = words.text();
    const unsigned uid = words.number(), gid = words.number();
    return print(call, name == "chown" ? ::chown(path, uid, gid) : ::lchown(path, uid, gid));
  }
  if (name == "stat" || name == "lstat" || name == "fstat" || name == "statx")
    return look(call, words.text());
  if (name == "create") return open_file(words.text(), O_WRONLY | O_CREAT);
  if (name == "new") return open_file(words.text(), O_WRONLY | O_CREAT | O_EXCL);
  if (name == "unnamed") {
    const char* directory = words.text();
    const int file = ::open(directory, O_TMPFILE | O_WRONLY, 0600);
    const std::string path = "/proc/self/fd/" + std::to_string(file);
    return print(call, ::linkat(AT_FDCWD, path.c_str(), AT_FDCWD, words.text(), AT_SYMLINK_FOLLOW));
  }
  if (name == "mkdir") return print(call, ::mkdir(words.text(), 0777));
  if (name == "fifo") return print(call, ::mkfifo(words.text(), 0666));
  if (name == "device") return print(call, ::mknod(words.text(), S_IFCHR | 0666, makedev(1, 3)));
  if (name == "symlink") return print(call, ::symlink("target", words.text()));
  if (name == "attributes") {
    char names[256] = {};
    const ssize_t size = ::listxattr(words.text(), names, sizeof names);
    return print(call, size);
  }
  if (name == "reset-limits") {  // as PAM does
    struct rlimit limit {};
    ::getrlimit(RLIMIT_RTTIME, &limit);
    print("equal", limit.rlim_cur == limit.rlim_max ? 1 : 0);
    limit.rlim_cur = limit.rlim_max = RLIM_INFINITY;
    return print(call, ::setrlimit(RLIMIT_RTTIME, &limit));
  }
  if (name == "thread") {
    std::thread([&] { run(words); }).join();
    return;
  }
  if (name == "fork") {
    if (::fork() == 0) return;  // the child does the rest
    int status;
    ::wait(&status);
    std::_Exit(WEXITSTATUS(status));
  }
  if (name == "exec") {
    char** arguments = words.rest();
    ::execv(arguments[0], arguments);
    print(call, -1);
    std::exit(1);
  }
  std::printf("unknown call %s\n", call);
  std::exit(2);
}

}  // namespace

int main(int, char** argv) {
  std::setvbuf(stdout, nullptr, _IONBF, 0);
  Words words(argv + 1);
  while (words.more()) run(words);
}
