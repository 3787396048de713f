#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <span>
#include <stop_token>
#include <utility>
#include <vector>

#include "layers/base/digest.h"
#include "layers/base/fd.h"

namespace strake::base {

/// A file that one thread writes while others read what is there already: a blob that is sent while
/// it is made. The writer appends to the descriptor as it likes and tells of it here; readers use
/// offsets. Its end is one of two: finished, when all bytes are there and their digest is known, or
/// abandoned. Thread-safe; shared by the writer and its readers.
class GrowingFile {
 public:
  enum class State { growing, finished, abandoned };

  struct Progress {
    State state = State::growing;
    std::uint64_t size_bytes = 0;    // so far
    std::optional<Digest> digest{};  // of a finished file
  };

  /// Keeps a descriptor of its own: the file may lose its name, and be read on.
  explicit GrowingFile(FileDescriptor file) : file_(std::move(file)) {}

  int fd() const noexcept { return file_.get(); }

  // ---- The writer ----

  /// The first `size_bytes` are in the file, never to change. Never less than before.
  void grown_to(std::uint64_t size_bytes);
  /// No bytes come after the first `size_bytes`, whose digest is `digest`.
  void finish(std::uint64_t size_bytes, const Digest& digest);
  /// The bytes are of no use. Nothing happens to a file that has ended already.
  void abandon() noexcept;

  // ---- Readers ----

  Progress progress() const;
  /// Blocks until there are more than `offset` bytes, or the file has ended. Throws
  /// Error(cancelled).
  Progress wait_beyond(std::uint64_t offset, const std::stop_token& stop) const;
  /// Calls `reached` when there are more than `offset` bytes: at once, or once on the writer's
  /// thread, which it must not keep long. Never, if the file ends before.
  void when_beyond(std::uint64_t offset, std::function<void()> reached) const;
  /// Reads what is there at `offset` now; 0 if nothing is. Throws Error(system).
  std::size_t read_at(std::uint64_t offset, std::span<std::byte> buffer) const;

 private:
  const FileDescriptor file_;
  mutable std::mutex mutex_;
  mutable std::condition_variable_any changed_;
  Progress progress_;
  /// Who waits for how much, without a thread.
  mutable std::vector<std::pair<std::uint64_t, std::function<void()>>> waiting_;
};

}  // namespace strake::base
