#include "layers/base/fd.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "layers/base/error.h"

namespace strake::base {

FileDescriptor& FileDescriptor::operator=(FileDescriptor&& other) noexcept {
  if (this != &other) {
    reset();
    fd_ = std::exchange(other.fd_, -1);
  }
  return *this;
}

void FileDescriptor::reset() noexcept {
  if (fd_ >= 0) ::close(std::exchange(fd_, -1));
}

FileDescriptor FileDescriptor::duplicate() const {
  const int fd = ::fcntl(fd_, F_DUPFD_CLOEXEC, 3);
  if (fd < 0) throw system_error(errno, "duplicate", "file descriptor");
  return FileDescriptor(fd);
}

FileDescriptor open_for_reading(int directory, const char* name, int flags) noexcept {
  flags |= O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
  FileDescriptor file(::openat(directory, name, flags | O_NOATIME));
  // Only its owner may read a file without a trace.
  if (!file && errno == EPERM) file = FileDescriptor(::openat(directory, name, flags));
  return file;
}

Pipe make_pipe() {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) throw system_error(errno, "create", "pipe");
  return {FileDescriptor(ends[0]), FileDescriptor(ends[1])};
}

void ensure_standard_streams() {
  while (true) {
    // open() takes the lowest free number: the closed streams in turn, then one above them.
    FileDescriptor null(::open("/dev/null", O_RDWR | O_CLOEXEC));
    if (!null) throw system_error(errno, "open", "/dev/null");
    if (null.get() > STDERR_FILENO) return;
    ::fcntl(null.get(), F_SETFD, 0);  // children have standard streams too
    null.release();
  }
}

std::size_t read_some(int fd, std::span<std::byte> buffer, std::string_view subject) {
  while (true) {
    const ssize_t count = ::read(fd, buffer.data(), buffer.size());
    if (count >= 0) return static_cast<std::size_t>(count);
    if (errno != EINTR) throw system_error(errno, "read", subject);
  }
}

std::size_t read_full(int fd, std::span<std::byte> buffer, std::string_view subject) {
  std::size_t done = 0;
  while (done < buffer.size()) {
    const std::size_t count = read_some(fd, buffer.subspan(done), subject);
    if (count == 0) break;
    done += count;
  }
  return done;
}

std::size_t pread_full(int fd, std::span<std::byte> buffer, std::uint64_t offset,
                       std::string_view subject) {
  std::size_t done = 0;
  while (done < buffer.size()) {
    const ssize_t count =
        ::pread(fd, buffer.data() + done, buffer.size() - done, static_cast<off_t>(offset + done));
    if (count == 0) break;
    if (count < 0) {
      if (errno == EINTR) continue;
      throw system_error(errno, "read", subject);
    }
    done += static_cast<std::size_t>(count);
  }
  return done;
}

void write_full(int fd, std::span<const std::byte> bytes, std::string_view subject) {
  while (!bytes.empty()) {
    const ssize_t count = ::write(fd, bytes.data(), bytes.size());
    if (count < 0) {
      if (errno == EINTR) continue;
      throw system_error(errno, "write", subject);
    }
    bytes = bytes.subspan(static_cast<std::size_t>(count));
  }
}

void pwrite_full(int fd, std::span<const std::byte> bytes, std::uint64_t offset,
                 std::string_view subject) {
  while (!bytes.empty()) {
    const ssize_t count = ::pwrite(fd, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (count < 0) {
      if (errno == EINTR) continue;
      throw system_error(errno, "write", subject);
    }
    bytes = bytes.subspan(static_cast<std::size_t>(count));
    offset += static_cast<std::size_t>(count);
  }
}

std::string read_all(int fd, std::size_t limit_bytes, std::string_view subject) {
  std::string text;
  std::size_t done = 0;
  while (true) {
    if (text.size() - done < 4096) text.resize(std::max<std::size_t>(text.size() * 2, 16384));
    const std::size_t count =
        read_some(fd, std::as_writable_bytes(std::span(text).subspan(done)), subject);
    if (count == 0) break;
    done += count;
    if (done > limit_bytes)
      throw Error(ErrorCode::corrupt, quoted(subject) + " is larger than the limit of " +
                                          std::to_string(limit_bytes) + " bytes");
  }
  text.resize(done);
  return text;
}

}  // namespace strake::base
