#include "layers/base/piece_source.h"

#include <system_error>

#include "layers/base/error.h"
#include "layers/base/trace.h"

namespace strake::base {
namespace {

constexpr std::uint64_t kRoomWorthWaking = ReadAhead::kPieces / 4;

}  // namespace

ReadAhead::~ReadAhead() {
  {
    const std::lock_guard lock(mutex_);
    unwanted_ = true;
  }
  room_made_.notify_one();
  to_observe_.notify_one();
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
    tell_of_room();
  }
  to_give_.wait(lock, [this] {
    return filled_ > given_ || (ended_ && (error_ != nullptr || observed_ == filled_));
  });
  if (filled_ > given_) return ring_[given_++ % kPieces].bytes();
  if (error_ != nullptr) std::rethrow_exception(error_);
  return {};
}

/// The reading thread is not woken for a single piece: it would soon sleep again.
void ReadAhead::tell_of_room() {
  if (room() >= kRoomWorthWaking) room_made_.notify_one();
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
    if (room() == 0)
      room_made_.wait(lock, [this] { return room() >= kRoomWorthWaking || unwanted_; });
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
    to_observe_.notify_one();
    to_give_.notify_one();
  }
}

void ReadAhead::observe_all() {
  name_trace_thread("hash");
  std::unique_lock lock(mutex_);
  while (true) {
    to_observe_.wait(lock, [this] { return observed_ < filled_ || ended_ || unwanted_; });
    if (observed_ == filled_ || unwanted_) return;
    const Piece& piece = ring_[observed_ % kPieces];
    lock.unlock();
    observe_(piece.bytes());
    lock.lock();
    ++observed_;
    tell_of_room();
    if (ended_ && observed_ == filled_) to_give_.notify_one();
  }
}

}  // namespace strake::base
