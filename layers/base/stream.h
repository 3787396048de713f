#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "layers/base/digest.h"
#include "layers/base/fd.h"

namespace strake::base {

/// Pull side of a byte stream. read() returns 0 only at the end (or when asked for nothing).
struct ByteSource {
  virtual ~ByteSource() = default;
  virtual std::size_t read(std::span<std::byte> buffer) = 0;
};

/// Push side of a byte stream. What "finished" means is up to each sink; write() alone never
/// finishes it.
struct ByteSink {
  virtual ~ByteSink() = default;
  virtual void write(std::span<const std::byte> bytes) = 0;
};

inline constexpr std::size_t kStreamBufferBytes = 256 * 1024;

/// Moves everything from `from` to `to`; returns the number of bytes.
std::uint64_t copy(ByteSource& from, ByteSink& to);

/// Fills `buffer` from `from` as far as the stream goes; returns the number of bytes.
std::size_t read_full(ByteSource& from, std::span<std::byte> buffer);

/// All of `from` as text. Throws Error(corrupt) beyond `limit_bytes`; `subject` names the stream.
std::string read_all(ByteSource& from, std::size_t limit_bytes, std::string_view subject);

/// Counts and hashes what passes; forwards it when there is a next sink.
class HashingSink final : public ByteSink {
 public:
  explicit HashingSink(ByteSink* next = nullptr) : next_(next) {}
  void write(std::span<const std::byte> bytes) override;
  std::uint64_t size_bytes() const noexcept { return size_bytes_; }
  Digest finish() { return sha256_.finish(); }

 private:
  ByteSink* next_;
  Sha256 sha256_;
  std::uint64_t size_bytes_ = 0;
};

/// The same bytes to two sinks, `first` before `second`.
class TeeSink final : public ByteSink {
 public:
  TeeSink(ByteSink& first, ByteSink& second) : first_(first), second_(second) {}
  void write(std::span<const std::byte> bytes) override;

 private:
  ByteSink& first_;
  ByteSink& second_;
};

/// Passes `from` on and throws Error(corrupt) as soon as it is longer than `size_bytes`, or at its
/// end unless both size and digest are right. `subject` names the bytes in the message.
class VerifyingSource final : public ByteSource {
 public:
  VerifyingSource(std::unique_ptr<ByteSource> from, const Digest& digest, std::uint64_t size_bytes,
                  std::string subject);
  std::size_t read(std::span<std::byte> buffer) override;

 private:
  std::unique_ptr<ByteSource> from_;
  Digest want_;
  std::uint64_t want_bytes_;
  std::uint64_t seen_bytes_ = 0;
  Sha256 sha256_;
  std::string subject_;
  std::optional<Digest> end_digest_;  // known once the end was reached
};

class FileSource final : public ByteSource {
 public:
  FileSource(FileDescriptor file, std::string subject)
      : file_(std::move(file)), subject_(std::move(subject)) {}
  std::size_t read(std::span<std::byte> buffer) override;

 private:
  FileDescriptor file_;
  std::string subject_;
};

/// Writes to a descriptor that it does not own.
class FdSink final : public ByteSink {
 public:
  FdSink(int fd, std::string subject) : fd_(fd), subject_(std::move(subject)) {}
  void write(std::span<const std::byte> bytes) override;

 private:
  int fd_;
  std::string subject_;
};

class StringSource final : public ByteSource {
 public:
  /// The text from `position` on; nothing if that is behind its end.
  explicit StringSource(std::string text, std::uint64_t position = 0)
      : text_(std::move(text)), position_(std::min<std::uint64_t>(position, text_.size())) {}
  std::size_t read(std::span<std::byte> buffer) override;

 private:
  std::string text_;
  std::size_t position_;
};

class StringSink final : public ByteSink {
 public:
  void write(std::span<const std::byte> bytes) override { text.append(text_of(bytes)); }
  std::string text;
};

}  // namespace strake::base
