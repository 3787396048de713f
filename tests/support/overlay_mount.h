#pragma once

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <sstream>
#include <string>
#include <thread>

#include "layers/base/error.h"
#include "layers/base/fd.h"
#include "layers/base/files.h"

namespace strake::test {

/// A detached overlay of `lower` and a fresh upper, made by system calls alone. The mount options
/// are those of a build step; in a user namespace the marks are user.* attributes.
class OverlayMount {
 public:
  /// `work` gets the directories "upper" and "work".
  OverlayMount(const std::string& lower, const std::filesystem::path& work)
      : upper_path_(work / "upper") {
    std::filesystem::create_directories(upper_path_);
    std::filesystem::create_directories(work / "work");
    const bool machine =
        base::read_file("/proc/self/uid_map").value_or("").find("4294967295") != std::string::npos;
    const std::string options = "lowerdir=" + lower /* several: separated by ":" */ +
                                ",upperdir=" + upper_path_.native() +
                                ",workdir=" + (work / "work").native() +
                                (machine ? ",redirect_dir=nofollow,metacopy=off,index=off,volatile"
                                         : ",userxattr,volatile");
    if (!mount_by_context(options)) {
      int error = 0;
      std::thread([&] { error = mount_in_namespace(options, work); }).join();
      if (error != 0) throw base::system_error(error, "mount", "overlay");
    }
    upper_ = base::FileDescriptor(::open(upper_path_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!upper_) throw base::system_error(errno, "open", upper_path_.native());
  }

  int fd() const noexcept { return mount_.get(); }
  int upper_fd() const noexcept { return upper_.get(); }
  const std::filesystem::path& upper() const noexcept { return upper_path_; }

 private:
  bool mount_by_context(const std::string& options) {
    const base::FileDescriptor context(::fsopen("overlay", FSOPEN_CLOEXEC));
    if (!context) return false;
    std::istringstream words(options);
    for (std::string word; std::getline(words, word, ',');) {
      const std::size_t equals = word.find('=');
      const std::string key = word.substr(0, equals);
      if (equals == word.npos
              ? ::fsconfig(context.get(), FSCONFIG_SET_FLAG, key.c_str(), nullptr, 0)
              : ::fsconfig(context.get(), FSCONFIG_SET_STRING, key.c_str(),
                           word.substr(equals + 1).c_str(), 0))
        return false;
    }
    if (::fsconfig(context.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) != 0) return false;
    mount_ = base::FileDescriptor(::fsmount(context.get(), FSMOUNT_CLOEXEC, MOUNT_ATTR_NODEV));
    return static_cast<bool>(mount_);
  }

  /// Where tests take the calls away that do it without. The namespace ends with its thread.
  int mount_in_namespace(const std::string& options, const std::filesystem::path& place) {
    if (::unshare(CLONE_FS | CLONE_NEWNS) != 0 ||
        ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
        ::mount("overlay", place.c_str(), "overlay", MS_NODEV, options.c_str()) != 0)
      return errno;
    mount_ =
        base::FileDescriptor(::open_tree(AT_FDCWD, place.c_str(), OPEN_TREE_CLONE | O_CLOEXEC));
    return mount_ ? 0 : errno;
  }

  std::filesystem::path upper_path_;
  base::FileDescriptor mount_, upper_;
};

}  // namespace strake::test
