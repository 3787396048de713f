#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "layers/base/fd.h"

namespace strake::sandbox {

/// The paths of a step, seen from a thread of the builder: the thread's root is made that of the
/// step, so that the kernel follows symlinks and ".." as it does for the step, and its working
/// directory is that of its own descriptors in /proc, so that "7" is the path of descriptor 7.
///
/// Whoever made this object can no longer use any other path. One thread, for as long as it lives.
class StepPaths {
 public:
  /// Takes the calling thread's root, working directory and umask apart from those of the other
  /// threads. Throws Error(system).
  StepPaths();

  /// Sees to it that the root is that of `thread`. Returns 0 or errno.
  int enter_root_of(pid_t thread) noexcept;
  /// A process of the step has changed its root, so they may differ from now on.
  void roots_may_differ() noexcept { roots_may_differ_ = true; }

  int proc() const noexcept { return proc_.get(); }

 private:
  base::FileDescriptor proc_, own_descriptors_;
  bool has_root_ = false;
  bool roots_may_differ_ = false;
};

/// The path of a descriptor of the thread that has StepPaths.
class DescriptorName {
 public:
  explicit DescriptorName(int fd) noexcept;
  explicit DescriptorName(const base::FileDescriptor& file) noexcept : DescriptorName(file.get()) {}
  const char* c_str() const noexcept { return text_; }

 private:
  char text_[16];
};

enum class LastSymlink { follow, keep };

/// A thread of the step that waits in a system call. Calls return 0 or errno.
class StepThread {
 public:
  StepThread(const StepPaths& paths, pid_t thread) : paths_(paths), id_(thread) {}

  pid_t id() const noexcept { return id_; }

  int read(std::uint64_t address, std::span<std::byte> to) const noexcept;
  int write(std::uint64_t address, std::span<const std::byte> from) const noexcept;
  /// A string that ends within PATH_MAX bytes, else ENAMETOOLONG.
  int read_path(std::uint64_t address, std::string& path) const;

  /// O_PATH descriptors. `directory` is a descriptor of the process, or AT_FDCWD.
  int open_descriptor(int descriptor, base::FileDescriptor& file) const noexcept;
  int open(int directory, const std::string& path, LastSymlink symlink,
           base::FileDescriptor& file) const;
  /// For what open() cannot, since it would go through /proc/self: /dev/stdout, /dev/fd/3.
  int open_own_descriptor(int directory, const std::string& path, base::FileDescriptor& file) const;
  /// The directory that `path` names something in, and that name: EINVAL if it is "." or "..", or
  /// not there.
  int open_parent(int directory, const std::string& path, base::FileDescriptor& parent,
                  std::string& name) const;

  /// Makes the umask of the process that of this thread.
  void take_umask() const;
  bool has_no_new_privileges() const;
  /// Whether its real effective user is 0, for the kernel.
  bool is_root() const noexcept;

 private:
  int open_own(const char* what, base::FileDescriptor& file) const noexcept;
  int open_start(int directory, const std::string& path, base::FileDescriptor& start) const;
  std::string status_field(const char* name) const;

  const StepPaths& paths_;
  pid_t id_;
};

/// openat of an O_PATH descriptor by a path as a step may give it. Returns 0 or errno.
int open_path(int start, const char* path, int flags, base::FileDescriptor& file) noexcept;

}  // namespace strake::sandbox
