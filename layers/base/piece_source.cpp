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
  if (reading_.joinable()) reading_.join();
  if (observing_.joinable()) observing_.join();
}

/// False if the stream ends with this piece.
bool ReadAhead::fill(Piece& piece) {
  piece.buffer.resize(kPieceBytes);
  piece.size_bytes = read_full(from_, piece.buffer);
  return piece.size_bytes == kPieceBytes;
}

std::span<const std::byte> ReadAhead::next_piece() {
  if (ring_.empty()) start();
  std::unique_lock lock(mutex_);
  if (given_ > released_) {
    ++released_;
    changed_.notify_all();
  }
  changed_.wait(lock, [this] {
    return filled_ > given_ || (ended_ && (error_ != nullptr || observed_ == filled_));
  });
  if (filled_ > given_) return ring_[given_++ % kPieces].bytes();
  if (error_ != nullptr) std::rethrow_exception(error_);
  return {};
}

/// Reads the first piece, and leaves the others, if there are any, to threads.
void ReadAhead::start() try {
  ring_.resize(kPieces);
  ended_ = !fill(ring_.front());
  filled_ = 1;
  if (!observe_ || ended_) observed_ = 1;
  if (observe_ && ended_) observe_(ring_.front().bytes());
  if (ended_) return;
  if (observe_) observing_ = std::thread([this] { observe_all(); });
  reading_ = std::thread([this] { read_all(); });
} catch (const std::system_error& error) {
  throw system_error(error.code().value(), "start", "reading thread");
}

void ReadAhead::read_all() {
  name_trace_thread(name_);
  std::unique_lock lock(mutex_);
  while (!ended_) {
    changed_.wait(lock, [this] { return has_room() || unwanted_; });
    if (unwanted_) return;
    Piece& piece = ring_[filled_ % kPieces];
    lock.unlock();
    std::exception_ptr error;
    bool more = false;
    try {
      more = fill(piece);
    } catch (...) {  // the edge of a thread: next_piece() throws it again
      error = std::current_exception();
    }
    lock.lock();
    error_ = error;
    ended_ = !more;
    if (!error && piece.size_bytes > 0) ++filled_;
    if (!observe_) observed_ = filled_;
    changed_.notify_all();
  }
}

void ReadAhead::observe_all() {
  name_trace_thread("hash");
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [this] { return observed_ < filled_ || ended_ || unwanted_; });
    if (observed_ == filled_ || unwanted_) return;
    const Piece& piece = ring_[observed_ % kPieces];
    lock.unlock();
    observe_(piece.bytes());
    lock.lock();
    ++observed_;
    changed_.notify_all();
  }
}

}  // namespace strake::base
