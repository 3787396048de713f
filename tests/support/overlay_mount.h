#pragma once

#include <fcntl.h>
#include <linux/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <string>

#include "layers/base/error.h"
#include "layers/base/fd.h"

namespace strake::test {

/// A detached overlay of `lower` and a fresh upper, made by system calls alone.
class OverlayMount {
 public:
  /// `work` gets the directories "upper" and "work". The mount options are those of a build step.
  OverlayMount(const std::string& lower, const std::filesystem::path& work)
      : upper_path_(work / "upper") {
    std::filesystem::create_directories(upper_path_);
    std::filesystem::create_directories(work / "work");
    const base::FileDescriptor context(
        static_cast<int>(::syscall(SYS_fsopen, "overlay", FSOPEN_CLOEXEC)));
    if (!context) throw base::system_error(errno, "open", "overlay");
    set(context.get(), "lowerdir", lower);  // several: separated by ":"
    set(context.get(), "upperdir", upper_path_);
    set(context.get(), "workdir", work / "work");
    set(context.get(), "redirect_dir", "nofollow");
    set(context.get(), "metacopy", "off");
    set(context.get(), "index", "off");
    ::syscall(SYS_fsconfig, context.get(), FSCONFIG_SET_FLAG, "volatile", nullptr, 0);
    if (::syscall(SYS_fsconfig, context.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) != 0)
      throw base::system_error(errno, "create", "overlay");
    mount_ = base::FileDescriptor(
        static_cast<int>(::syscall(SYS_fsmount, context.get(), FSMOUNT_CLOEXEC, MOUNT_ATTR_NODEV)));
    if (!mount_) throw base::system_error(errno, "mount", "overlay");
    upper_ = base::FileDescriptor(::open(upper_path_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!upper_) throw base::system_error(errno, "open", upper_path_.native());
  }

  int fd() const noexcept { return mount_.get(); }
  int upper_fd() const noexcept { return upper_.get(); }
  const std::filesystem::path& upper() const noexcept { return upper_path_; }

 private:
  static void set(int context, const char* key, const std::string& value) {
    if (::syscall(SYS_fsconfig, context, FSCONFIG_SET_STRING, key, value.c_str(), 0) != 0)
      throw base::system_error(errno, "set", key);
  }

  std::filesystem::path upper_path_;
  base::FileDescriptor mount_, upper_;
};

}  // namespace strake::test
