#pragma once

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "layers/base/digest.h"
#include "layers/base/files.h"
#include "layers/base/rooted_directory.h"

namespace strake::test {

/// Files outside of every root, with everything that a wrong step could change in them, and the
/// traces a process leaves outside of its store: mounts, temporary files, children.
class Canary {
 public:
  /// `top` is a directory of the test's own; from now on TMPDIR is in it, so that what others on
  /// this machine do in /tmp does not count. The process should be in a mount namespace of its own.
  explicit Canary(std::filesystem::path top) : top_(std::move(top)) {
    namespace fs = std::filesystem;
    fs::create_directories(path() / "etc/sub");
    write("etc/passwd", "root:x:0:0");
    write("secret", "the canary's secret");
    fs::create_hard_link(path() / "secret", path() / "linked");
    fs::create_symlink("secret", path() / "link");
    ::mkfifo((path() / "fifo").c_str(), 0640);
    ::chmod((path() / "etc/sub").c_str(), 0711);
    ::setxattr((path() / "secret").c_str(), "user.note", "kept", 4, 0);
    fs::create_directory(top_ / "tmp");
    if (const char* before = std::getenv("TMPDIR")) temporary_before_ = before;
    ::setenv("TMPDIR", (top_ / "tmp").c_str(), 1);
    before_ = state();
  }
  ~Canary() {
    if (temporary_before_.empty())
      ::unsetenv("TMPDIR");
    else
      ::setenv("TMPDIR", temporary_before_.c_str(), 1);
  }
  Canary(const Canary&) = delete;
  Canary& operator=(const Canary&) = delete;

  std::filesystem::path path() const { return top_ / "outside"; }
  const std::string& before() const { return before_; }

  /// A line for each thing; equal to before() unless something got out.
  std::string state() const {
    std::string text = "mounts:\n" + base::read_file("/proc/self/mountinfo").value_or("");
    text += "temporary files:\n";
    for (const auto& entry : std::filesystem::directory_iterator(top_ / "tmp"))
      text += entry.path().native() + "\n";
    text += "children:\n" + children() + "files:\n";
    std::vector<std::string> lines = {line(path())};
    for (const auto& entry : std::filesystem::recursive_directory_iterator(path()))
      lines.push_back(line(entry.path()));
    std::sort(lines.begin(), lines.end());
    for (const std::string& each : lines) text += each + "\n";
    return text;
  }

 private:
  void write(const char* name, const char* text) const { std::ofstream(path() / name) << text; }

  static std::string children() {
    int status;
    const pid_t child = ::waitpid(-1, &status, WNOHANG | __WALL);
    if (child < 0 && errno == ECHILD) return "";
    return "process " + std::to_string(child) + "\n";
  }

  /// The time of change (ctime) tells what was put back too.
  static std::string line(const std::filesystem::path& file) {
    struct ::stat s {};
    if (::lstat(file.c_str(), &s) != 0) return file.native() + " is not there";
    std::string text = file.native();
    for (const auto number :
         {static_cast<long>(s.st_mode), static_cast<long>(s.st_uid), static_cast<long>(s.st_gid),
          static_cast<long>(s.st_size), static_cast<long>(s.st_nlink), s.st_mtim.tv_sec,
          s.st_mtim.tv_nsec, s.st_ctim.tv_sec, s.st_ctim.tv_nsec})
      text += " " + std::to_string(number);
    if (S_ISLNK(s.st_mode)) text += " -> " + std::filesystem::read_symlink(file).native();
    if (!S_ISREG(s.st_mode) && !S_ISDIR(s.st_mode)) return text;
    const base::FileDescriptor fd(::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NOATIME));
    if (!fd) return text;
    for (const auto& [name, value] : base::xattrs_of(fd.get(), file.native()))
      text += " " + name + "=" + value;
    if (S_ISREG(s.st_mode))
      text += " " + base::Digest::of(base::read_file(file).value_or("")).hex();
    return text;
  }

  std::filesystem::path top_;
  std::string temporary_before_;
  std::string before_;
};

}  // namespace strake::test
