#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "builder/sandbox/capabilities.h"
#include "builder/sandbox/root_sandbox.h"
#include "layers/base/files.h"
#include "tests/support/overlay_mount.h"

namespace strake::sandbox {

namespace fs = std::filesystem;

/// Steps in a busybox image on a real overlay. Skipped without root and busybox-static.
class StepTest : public testing::Test {
 protected:
  static constexpr const char* kBusybox = "/bin/busybox";
  static constexpr const char* kPath = "PATH=/usr/bin:/bin";

  void SetUp() override {
    if (!has_capability(own_capabilities(), 21)) GTEST_SKIP() << "needs CAP_SYS_ADMIN";
    if (!fs::exists(kBusybox)) GTEST_SKIP() << "needs the package busybox-static";
    leave_the_hosts_mounts();
    temporary_ = base::TempDirectory(fs::temp_directory_path(), "strake-sandbox-");
    fs::create_directories(image() / "bin");
    install("busybox", kBusybox);
    for (const char* applet : {"sh",       "true", "false", "cat",    "ls",       "id",     "echo",
                               "sleep",    "rm",   "mv",    "touch",  "mkdir",    "stat",   "grep",
                               "readlink", "kill", "dd",    "mknod",  "hostname", "pwd",    "env",
                               "chmod",    "wc",   "head",  "mount",  "umount",   "ulimit", "tty",
                               "yes",      "find", "ip",    "setsid", "uname",    "sort",   "test",
                               "rmdir",    "ln",   "df",    "chown",  "nslookup", "nproc",  "tail"})
      fs::create_symlink("busybox", image() / "bin" / applet);
    sandbox_ = std::make_unique<RootSandbox>();
  }

  /// Tests compare the list of mounts before and after; other programs' mounts must not show in it.
  static void leave_the_hosts_mounts() {
    static const bool left = [] {
      return ::unshare(CLONE_NEWNS) == 0 &&
             ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0;
    }();
    ASSERT_TRUE(left);
  }

  fs::path image() const { return temporary_.path() / "image"; }
  const fs::path& temporary() const { return temporary_.path(); }

  /// Copies a program of the host to /bin/<name> of the image.
  void install(const std::string& name, const fs::path& from) const {
    fs::copy_file(from, image() / "bin" / name);
    fs::permissions(image() / "bin" / name, fs::perms(0755));
  }
  void write(const fs::path& below_image, const std::string& content, unsigned mode = 0644) const {
    fs::create_directories((image() / below_image).parent_path());
    std::ofstream(image() / below_image) << content;
    fs::permissions(image() / below_image, fs::perms(mode));
  }
  /// The directories that most images have.
  void make_usual_directories() const {
    for (const char* name : {"etc", "proc", "sys", "dev", "tmp", "run", "root"})
      fs::create_directories(image() / name);
  }

  /// A fresh overlay over the image; each step gets its own.
  test::OverlayMount& new_root() {
    root_ = std::make_unique<test::OverlayMount>(image(),
                                                 temporary() / ("step" + std::to_string(++steps_)));
    return *root_;
  }
  const fs::path& upper() const { return root_->upper(); }

  Spec spec(std::vector<std::string> argv) {
    Spec result;
    result.rootfs_fd = new_root().fd();
    result.upper_fd = root_->upper_fd();
    result.argv = std::move(argv);
    result.env = {kPath};
    return result;
  }
  Spec shell(const std::string& script) { return spec({"/bin/sh", "-c", script}); }

  struct Result {
    ExitStatus status;
    std::string output;
  };
  Result run(const Spec& spec, std::stop_token stop = {}) {
    base::StringSink output;
    Result result;
    result.status = sandbox_->run(spec, output, stop);
    result.output = std::move(output.text);
    return result;
  }
  /// Output of a script that must succeed.
  std::string output_of(const std::string& script) {
    const Result result = run(shell(script));
    EXPECT_EQ(result.status.code, 0) << result.output << result.status.explanation;
    return result.output;
  }

  /// Paths below the upper directory, sorted.
  std::set<std::string> changes() const {
    std::set<std::string> paths;
    for (const auto& entry : fs::recursive_directory_iterator(upper()))
      paths.insert(entry.path().lexically_relative(upper()));
    return paths;
  }

  std::unique_ptr<RootSandbox> sandbox_;

 private:
  base::TempDirectory temporary_;
  std::unique_ptr<test::OverlayMount> root_;
  int steps_ = 0;
};

}  // namespace strake::sandbox
