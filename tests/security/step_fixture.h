#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "builder/sandbox/sandbox.h"
#include "layers/base/error.h"
#include "layers/base/files.h"
#include "tests/support/canary.h"
#include "tests/support/overlay_mount.h"
#include "tests/support/rung.h"

namespace strake::test {

namespace fs = std::filesystem;
using sandbox::Isolation;
using sandbox::Spec;

/// Hostile steps in a hostile busybox image, on the rung that this process is on, beside a canary.
class RungStep : public testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "needs root, of a user namespace at least";
    if (!fs::exists("/bin/busybox")) GTEST_SKIP() << "needs the package busybox-static";
    // What others on this machine mount must not count. (Where it cannot be, no mounts can.)
    static const bool alone = ::unshare(CLONE_NEWNS) == 0 &&
                              ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0;
    static_cast<void>(alone);
    sandbox_ = sandbox::make_sandbox();
    fs::permissions(top(), fs::perms(0755));
    for (const char* name : {"bin", "etc", "proc", "sys", "dev", "tmp"})
      fs::create_directories(image() / name);
    install("busybox", "/bin/busybox");
    for (const char* applet :
         {"sh",    "true",  "cat",    "ls",       "id",   "echo", "sleep", "rm",   "mv",
          "touch", "mkdir", "grep",   "readlink", "kill", "dd",   "mknod", "pwd",  "wc",
          "head",  "mount", "umount", "setsid",   "ln",   "tty",  "find",  "chmod"})
      fs::create_symlink("busybox", image() / "bin" / applet);
    canary_.emplace(top());
  }
  void TearDown() override {
    if (!canary_) return;
    sandbox_.reset();
    EXPECT_EQ(canary_->state(), canary_->before());
    canary_.reset();
  }

  const fs::path& top() const { return directory_.path(); }
  fs::path image() const { return top() / "image"; }
  fs::path outside() const { return canary_->path(); }
  static bool on_chroot() { return rung() == Isolation::chroot; }

  void install(const std::string& name, const fs::path& from, mode_t mode = 0755) const {
    fs::copy_file(from, image() / "bin" / name);
    ::chmod((image() / "bin" / name).c_str(), mode);
  }
  void write(const fs::path& below_image, const std::string& content, mode_t mode = 0644) const {
    fs::create_directories((image() / below_image).parent_path());
    std::ofstream(image() / below_image) << content;
    ::chmod((image() / below_image).c_str(), mode);
  }
  void link(const std::string& target, const fs::path& below_image) const {
    fs::remove_all(image() / below_image);
    fs::create_directories((image() / below_image).parent_path());
    fs::create_symlink(target, image() / below_image);
  }

  /// A fresh root over the image: an overlay, or a copy where nothing can be mounted.
  Spec spec(std::vector<std::string> argv) {
    const fs::path place = top() / ("root" + std::to_string(++roots_));
    Spec spec;
    if (on_chroot()) {
      fs::copy(image(), place, fs::copy_options::recursive | fs::copy_options::copy_symlinks);
      copy_ = base::FileDescriptor(::open(place.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
      spec.rootfs_fd = copy_.get();
      root_ = place;
    } else {
      overlay_.emplace(image(), place);
      spec.rootfs_fd = overlay_->fd();
      spec.upper_fd = overlay_->upper_fd();
      root_ = overlay_->upper();
    }
    spec.argv = std::move(argv);
    spec.env = {"PATH=/bin"};
    return spec;
  }
  Spec shell(const std::string& script) { return spec({"/bin/sh", "-c", script + " 2>&1"}); }
  /// Where the changes of the last step are.
  const fs::path& root() const { return root_; }

  struct Result {
    sandbox::ExitStatus status;
    std::string output;
    std::string refusal;  // why it did not start
  };
  Result run(const Spec& spec) {
    base::StringSink output;
    Result result;
    try {
      result.status = sandbox_->run(spec, output, {});
    } catch (const base::Error& error) {
      result.refusal = error.what();
    }
    result.output = std::move(output.text);
    return result;
  }
  /// What a script says; it must have run.
  std::string output_of(const std::string& script) {
    const Result result = run(shell("{ " + script + "; }"));
    EXPECT_EQ(result.refusal, "");
    EXPECT_EQ(result.status.explanation, "");
    return result.output;
  }

  /// Processes of this machine with `text` in their command line.
  static int processes(const std::string& text) {
    int count = 0;
    std::error_code error;
    for (const auto& process : fs::directory_iterator("/proc")) {
      const base::FileDescriptor file(
          ::open((process.path() / "cmdline").c_str(), O_RDONLY | O_CLOEXEC));
      char command[4096];
      const ssize_t size = file ? ::read(file.get(), command, sizeof command) : 0;
      if (size > 0 &&
          std::string(command, static_cast<std::size_t>(size)).find(text) != std::string::npos)
        ++count;
    }
    return count;
  }

  std::unique_ptr<sandbox::Sandbox> sandbox_;

 private:
  base::TempDirectory directory_{fs::temp_directory_path(), "strake-security-"};
  std::optional<Canary> canary_;
  std::optional<OverlayMount> overlay_;
  base::FileDescriptor copy_;
  fs::path root_;
  int roots_ = 0;
};

}  // namespace strake::test
