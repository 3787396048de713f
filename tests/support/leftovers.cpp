// Runs a test, and fails it if it leaves anything behind:
//
//     leftovers PROGRAM [ARGUMENTS]
//
// Temporary files (TMPDIR is a directory of the test's own), mounts of them, processes (this one is
// the reaper of whatever loses its parent), control groups and emulators of ours. The exit status
// is the test's own if there is nothing to say.

#include <dirent.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>
#include <string>
#include <thread>

namespace {

namespace fs = std::filesystem;

/// Lines that name something of a kind.
using Names = std::set<std::string>;

std::string command_of(const std::string& pid) {
  std::ifstream file("/proc/" + pid + "/cmdline");
  std::string command;
  std::getline(file, command);
  for (char& c : command)
    if (c == '\0') c = ' ';
  return pid + " " + command;
}

Names children() {
  Names found;
  const std::string own = std::to_string(::getpid());
  std::ifstream file("/proc/self/task/" + own + "/children");
  for (std::string pid; file >> pid;) found.insert(command_of(pid));
  return found;
}

Names mounts_of(const fs::path& directory) {
  Names found;
  std::ifstream file("/proc/self/mountinfo");
  for (std::string line; std::getline(file, line);)
    if (line.find(" " + directory.native()) != std::string::npos) found.insert(line);
  return found;
}

Names named_ours(const fs::path& directory) {
  Names found;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(directory, error))
    if (entry.path().filename().native().starts_with("strake")) found.insert(entry.path());
  return found;
}

/// Control groups of ours in which nobody is.
Names idle_groups() {
  Names found;
  std::error_code error;
  constexpr auto kSkip = fs::directory_options::skip_permission_denied;
  for (auto at = fs::recursive_directory_iterator("/sys/fs/cgroup", kSkip, error);
       at != fs::recursive_directory_iterator(); at.increment(error)) {
    if (error) break;
    if (at.depth() >= 4) at.disable_recursion_pending();
    if (!at->path().filename().native().starts_with("strake")) continue;
    std::ifstream file(at->path() / "cgroup.procs");
    if (std::string process; !std::getline(file, process)) found.insert(at->path());
  }
  return found;
}

Names files_in(const fs::path& directory) {
  Names found;
  for (const auto& entry : fs::directory_iterator(directory)) found.insert(entry.path());
  return found;
}

int tell(const char* what, const Names& left, const Names& before = {}) {
  int count = 0;
  for (const std::string& name : left) {
    if (before.contains(name)) continue;
    std::fprintf(stderr, "left behind: %s: %s\n", what, name.c_str());
    ++count;
  }
  return count;
}

/// Waits for `test`, and for orphans that end meanwhile.
int status_of(pid_t test) {
  int status = 0;
  for (pid_t ended; (ended = ::wait(&status)) != test;)
    if (ended < 0 && errno != EINTR) return 1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/// Orphans may be about to end: only what stays for a second is left behind.
Names lasting_children() {
  Names left;
  for (int i = 0; i < 100; ++i) {
    while (::waitpid(-1, nullptr, WNOHANG) > 0) {
    }
    left = children();
    if (left.empty()) break;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return left;
}

/// Those of tests that run at the same time come and go.
Names lasting_groups(const Names& before) {
  Names left = idle_groups();
  for (int i = 0; i < 20 && !left.empty(); ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    const Names now = idle_groups();
    std::erase_if(left, [&](const std::string& group) {
      return !now.contains(group) || before.contains(group);
    });
  }
  return left;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fprintf(stderr, "usage: leftovers PROGRAM [ARGUMENTS]\n");
    return 2;
  }
  const char* place = std::getenv("TMPDIR");
  std::string directory = std::string(place != nullptr ? place : "/tmp") + "/strake-test-XXXXXX";
  if (::mkdtemp(directory.data()) == nullptr || ::prctl(PR_SET_CHILD_SUBREAPER, 1) != 0) {
    std::perror("leftovers");
    return 2;
  }
  // Tests become other users, who look for files of theirs here.
  fs::permissions(directory, fs::perms(01777));
  ::setenv("TMPDIR", directory.c_str(), 1);
  const fs::path emulators = "/proc/sys/fs/binfmt_misc";
  const Names emulators_before = named_ours(emulators);

  const Names groups_before = idle_groups();

  const pid_t test = ::fork();
  if (test == 0) {
    ::execv(argv[1], argv + 1);
    std::perror(argv[1]);
    ::_exit(2);
  }
  const int status = status_of(test);
  const Names orphans = lasting_children();
  int left = tell("process", orphans);
  for (const std::string& orphan : orphans) ::kill(std::atoi(orphan.c_str()), SIGKILL);
  left += tell("mount", mounts_of(directory));
  left += tell("emulator", named_ours(emulators), emulators_before);
  left += tell("control group", lasting_groups(groups_before));
  left += tell("temporary file", files_in(directory));
  std::error_code ignored;
  fs::remove_all(directory, ignored);
  return status == 0 && left > 0 ? 1 : status;
}
