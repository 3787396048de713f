#include "layers/snapshot/entry_copier.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "layers/base/error.h"
#include "layers/base/rooted_directory.h"

namespace strake::layers {
using base::FileDescriptor;
using base::system_error;

namespace {

constexpr off_t kSmallBytes = 64 * 1024;

TarEntry entry_of(int from, const std::string& name, const struct ::stat& status,
                  const std::string& path) {
  TarEntry entry;
  entry.path = path;
  entry.mode = status.st_mode & 07777;
  entry.uid = status.st_uid;
  entry.gid = status.st_gid;
  entry.mtime = status.st_mtim;
  entry.device_major = gnu_dev_major(status.st_rdev);
  entry.device_minor = gnu_dev_minor(status.st_rdev);
  switch (status.st_mode & S_IFMT) {
    case S_IFLNK: {
      entry.type = EntryType::symlink;
      std::array<char, 4096> target;  // no file system has longer ones
      const ssize_t size = ::readlinkat(from, name.c_str(), target.data(), target.size());
      if (size < 0) throw system_error(errno, "read link", path);
      entry.link_target.assign(target.data(), static_cast<std::size_t>(size));
      break;
    }
    case S_IFIFO:
      entry.type = EntryType::fifo;
      break;
    case S_IFBLK:
      entry.type = EntryType::block_device;
      break;
    default:
      entry.type = EntryType::character_device;
  }
  return entry;
}

/// Attributes that belong to the file, also those that stand for what it cannot have here.
bool is_copied(const base::Xattr& xattr) {
  return xattr.first == kOwnerXattr || is_layer_xattr(xattr.first, xattr.second);
}

void copy_xattrs(int from, int to, const std::string& path) {
  for (const base::Xattr& xattr : base::xattrs_of(from, path))
    if (is_copied(xattr) &&
        ::fsetxattr(to, xattr.first.c_str(), xattr.second.data(), xattr.second.size(), 0) != 0)
      throw system_error(errno, "set attribute " + base::quoted(xattr.first) + " of", path);
}

/// For directories that were there before.
void remove_xattrs(int file, const std::string& path) {
  for (const base::Xattr& xattr : base::xattrs_of(file, path))
    if (is_copied(xattr)) ::fremovexattr(file, xattr.first.c_str());
}

/// Owner before attributes and mode: changing it takes capabilities and setuid bits away.
void set_metadata(int from, int to, const struct ::stat& status, const std::string& path) {
  if (::fchown(to, status.st_uid, status.st_gid) != 0)
    throw system_error(errno, "change the owner of", path);
  copy_xattrs(from, to, path);
  if (::fchmod(to, status.st_mode & 07777) != 0)
    throw system_error(errno, "change the mode of", path);
  const struct timespec times[2] = {{0, UTIME_OMIT}, status.st_mtim};
  if (::futimens(to, times) != 0) throw system_error(errno, "set the time of", path);
}

}  // namespace

bool EntryCopier::copy(int from, int to, const std::string& name, const struct ::stat& status,
                       const std::string& path) {
  if (S_ISREG(status.st_mode)) return copy_file(from, to, name, status, path);
  if (S_ISSOCK(status.st_mode)) {
    // Only its name matters: nobody listens.
    if (::mknodat(to, name.c_str(), S_IFSOCK | (status.st_mode & 07777), 0) == 0) return true;
    if (errno == EEXIST) return false;
    throw system_error(errno, "create socket", path);
  }
  const TarEntry entry = entry_of(from, name, status, path);
  const int error = maker_.create_other(to, name, entry);
  if (error == EEXIST) return false;
  if (error != 0) throw system_error(error, "create", path);
  maker_.set_other_metadata(to, name, entry);
  return true;
}

void EntryCopier::copy_directory_metadata(int from, int to, const std::string& path) {
  struct ::stat status;
  if (::fstat(from, &status) != 0) throw system_error(errno, "look at", path);
  remove_xattrs(to, path);
  set_metadata(from, to, status, path);
}

bool EntryCopier::copy_file(int from, int to, const std::string& name, const struct ::stat& status,
                            const std::string& path) {
  const FileDescriptor target = maker_.create_file(to, name);
  if (!target) {
    if (errno == EEXIST) return false;
    throw system_error(errno, "create", path);
  }
  const FileDescriptor source(
      ::openat(from, name.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  if (!source) throw system_error(errno, "open", path);
  if (status.st_size > 0) copy_content(source.get(), target.get(), status, path);
  set_metadata(source.get(), target.get(), status, path);
  return true;
}

void EntryCopier::copy_content(int from, int to, const struct ::stat& status,
                               const std::string& path) {
  if (clones_.load(std::memory_order_relaxed)) {
    if (::ioctl(to, FICLONE, from) == 0) return;
    clones_ = false;
  }
  constexpr off_t kBlockBytes = 512;  // of st_blocks
  if (status.st_blocks * kBlockBytes >= status.st_size)
    return copy_range(from, to, 0, status.st_size, path);
  if (::ftruncate(to, status.st_size) != 0) throw system_error(errno, "make room for", path);
  for (off_t end = 0; end < status.st_size;) {
    const off_t begin = ::lseek(from, end, SEEK_DATA);
    if (begin < 0 && errno == ENXIO) return;  // nothing but a hole
    if (begin < 0) return copy_range(from, to, end, status.st_size, path);
    end = ::lseek(from, begin, SEEK_HOLE);
    if (end < 0) end = status.st_size;
    copy_range(from, to, begin, end, path);
  }
}

void EntryCopier::copy_range(int from, int to, off_t begin, off_t end, const std::string& path) {
  // A small file is read and written faster than the kernel sets up a copy.
  if (end - begin > kSmallBytes && copies_range_.load(std::memory_order_relaxed) &&
      copy_range_in_kernel(from, to, begin, end, path))
    return;
  std::array<std::byte, kSmallBytes> buffer;
  while (begin < end) {
    const auto piece = std::span(buffer).first(
        std::min<std::size_t>(buffer.size(), static_cast<std::size_t>(end - begin)));
    const std::size_t count =
        base::pread_full(from, piece, static_cast<std::uint64_t>(begin), path);
    if (count == 0) return;  // shorter than it was
    if (begin > 0 && ::lseek(to, begin, SEEK_SET) < 0) throw system_error(errno, "write", path);
    base::write_full(to, piece.first(count), path);
    begin += static_cast<off_t>(count);
  }
}

/// Moves `begin` up to where it came; false if somebody else must go on from there.
bool EntryCopier::copy_range_in_kernel(int from, int to, off_t& begin, off_t end,
                                       const std::string& path) {
  off_t into = begin;
  while (begin < end) {
    const ssize_t count =
        ::copy_file_range(from, &begin, to, &into, static_cast<std::size_t>(end - begin), 0);
    if (count == 0) return true;  // shorter than it was
    if (count > 0 || errno == EINTR) continue;
    if (errno == ENOSPC || errno == EIO || errno == EDQUOT) throw system_error(errno, "copy", path);
    copies_range_ = false;
    return false;
  }
  return true;
}

}  // namespace strake::layers
