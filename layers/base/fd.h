#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>

namespace strake::base {

/// Sole owner of an open file descriptor; closes it on destruction.
class FileDescriptor {
 public:
  FileDescriptor() noexcept = default;
  explicit FileDescriptor(int fd) noexcept : fd_(fd) {}
  FileDescriptor(FileDescriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  FileDescriptor& operator=(FileDescriptor&& other) noexcept;
  ~FileDescriptor() { reset(); }

  int get() const noexcept { return fd_; }
  explicit operator bool() const noexcept { return fd_ >= 0; }
  int release() noexcept { return std::exchange(fd_, -1); }
  void reset() noexcept;
  FileDescriptor duplicate() const;  // close-on-exec; throws Error(system)

 private:
  int fd_ = -1;
};

struct Pipe {
  FileDescriptor read_end, write_end;
};

/// A close-on-exec pipe. Throws Error(system).
Pipe make_pipe();

/// Opens `name` in a directory for reading, without a trace in its access time if that is allowed:
/// to note a time for each of many files costs as much as reading them. Follows no symlink and
/// waits for no FIFO. `flags`: O_DIRECTORY, or none. Empty on failure; errno says why.
FileDescriptor open_for_reading(int directory, const char* name, int flags = 0) noexcept;

/// Opens /dev/null in place of standard streams that are closed, so that no file of ours gets their
/// numbers and is written to by a message. To be called first thing in main(). Throws
/// Error(system).
void ensure_standard_streams();

/// Reads until `buffer` is full or the end is reached; returns the bytes read. EINTR is retried.
/// `subject` names the file in the Error(system) thrown on failure.
std::size_t read_full(int fd, std::span<std::byte> buffer, std::string_view subject);

/// One read, EINTR retried; 0 at the end.
std::size_t read_some(int fd, std::span<std::byte> buffer, std::string_view subject);

/// Like read_full, at an offset; the file position is not used.
std::size_t pread_full(int fd, std::span<std::byte> buffer, std::uint64_t offset,
                       std::string_view subject);

/// Writes everything. EINTR and short writes are retried.
void write_full(int fd, std::span<const std::byte> bytes, std::string_view subject);

/// The same at an offset; the file position is not used.
void pwrite_full(int fd, std::span<const std::byte> bytes, std::uint64_t offset,
                 std::string_view subject);

/// The whole rest of `fd`. Throws Error(corrupt) if it is longer than `limit_bytes`.
std::string read_all(int fd, std::size_t limit_bytes, std::string_view subject);

inline std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}
inline std::string_view text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace strake::base
