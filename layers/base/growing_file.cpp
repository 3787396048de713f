#include "layers/base/growing_file.h"

#include <algorithm>

#include "layers/base/error.h"

namespace strake::base {

void GrowingFile::grown_to(std::uint64_t size_bytes) {
  std::vector<std::function<void()>> reached;
  {
    const std::lock_guard lock(mutex_);
    progress_.size_bytes = std::max(progress_.size_bytes, size_bytes);
    std::erase_if(waiting_, [&](auto& waiting) {
      if (waiting.first >= progress_.size_bytes) return false;
      reached.push_back(std::move(waiting.second));
      return true;
    });
  }
  changed_.notify_all();
  for (const auto& call : reached) call();
}

void GrowingFile::finish(std::uint64_t size_bytes, const Digest& digest) {
  {
    const std::lock_guard lock(mutex_);
    if (progress_.state != State::growing) return;
    progress_ = {State::finished, size_bytes, digest};
  }
  changed_.notify_all();
}

void GrowingFile::abandon() noexcept {
  {
    const std::lock_guard lock(mutex_);
    if (progress_.state != State::growing) return;
    progress_.state = State::abandoned;
  }
  changed_.notify_all();
}

GrowingFile::Progress GrowingFile::progress() const {
  const std::lock_guard lock(mutex_);
  return progress_;
}

GrowingFile::Progress GrowingFile::wait_beyond(std::uint64_t offset,
                                               const std::stop_token& stop) const {
  std::unique_lock lock(mutex_);
  const bool came = changed_.wait(lock, stop, [&] {
    return progress_.size_bytes > offset || progress_.state != State::growing;
  });
  if (!came) throw Error(ErrorCode::cancelled, "cancelled");
  return progress_;
}

void GrowingFile::when_beyond(std::uint64_t offset, std::function<void()> reached) const {
  {
    const std::lock_guard lock(mutex_);
    if (progress_.size_bytes <= offset) {
      if (progress_.state == State::growing) waiting_.emplace_back(offset, std::move(reached));
      return;
    }
  }
  reached();
}

std::size_t GrowingFile::read_at(std::uint64_t offset, std::span<std::byte> buffer) const {
  const std::uint64_t size_bytes = progress().size_bytes;
  if (offset >= size_bytes) return 0;
  const std::uint64_t there = std::min<std::uint64_t>(buffer.size(), size_bytes - offset);
  return pread_full(file_.get(), buffer.first(there), offset, "a growing file");
}

}  // namespace strake::base
