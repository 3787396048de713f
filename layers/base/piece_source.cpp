#include "layers/base/piece_source.h"

#include <system_error>

#include "layers/base/error.h"
#include "layers/base/trace.h"

namespace strake::base {

ReadAhead::~ReadAhead() {
  {
    const std::lock_guard lock(mutex_);
    unwanted_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
}

/// False if the stream ends with this piece.
bool ReadAhead::fill(Piece& piece) {
  piece.buffer.resize(kPieceBytes);
  piece.size_bytes = read_full(from_, piece.buffer);
  return piece.size_bytes == kPieceBytes;
}

std::span<const std::byte> ReadAhead::next_piece() {
  if (ring_.empty()) {
    ring_.resize(kPieces);
    ended_ = !fill(ring_.front());
    filled_ = 1;
    if (!ended_) start();
  }
  std::unique_lock lock(mutex_);
  if (given_ > released_) {
    ++released_;
    changed_.notify_one();
  }
  changed_.wait(lock, [this] { return filled_ > given_ || ended_; });
  if (filled_ == given_) {
    if (error_) std::rethrow_exception(error_);
    return {};
  }
  const Piece& piece = ring_[given_++ % kPieces];
  return std::span(piece.buffer).first(piece.size_bytes);
}

void ReadAhead::start() try {
  thread_ = std::thread([this] { read_all(1); });
} catch (const std::system_error& error) {
  throw system_error(error.code().value(), "start", "reading thread");
}

/// The reading thread: fills the pieces from `number` on.
void ReadAhead::read_all(std::uint64_t number) {
  name_trace_thread(name_);
  std::exception_ptr error;
  bool more = true;
  while (more) {
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [&] { return number - released_ < kPieces || unwanted_; });
      if (unwanted_) return;
    }
    try {
      more = fill(ring_[number % kPieces]);
    } catch (...) {  // the edge of a thread: next_piece() throws it again
      error = std::current_exception();
      more = false;
    }
    const std::lock_guard lock(mutex_);
    if (!error) filled_ = ++number;
    ended_ = !more;
    error_ = error;
    changed_.notify_one();
  }
}

}  // namespace strake::base
