#pragma once

#include <algorithm>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <mutex>
#include <span>
#include <thread>
#include <utility>
#include <vector>

#include "layers/base/stream.h"

namespace strake::base {

/// A stream whose bytes are already in memory: they are handed out where they lie.
struct PieceSource {
  virtual ~PieceSource() = default;
  /// The next bytes, of any number; none at the end. Valid until the next call.
  virtual std::span<const std::byte> next_piece() = 0;
};

/// The pieces of a ByteSource, read by whoever asks for them.
class BufferedPieces final : public PieceSource {
 public:
  explicit BufferedPieces(ByteSource& from) : from_(from), buffer_(kStreamBufferBytes) {}
  std::span<const std::byte> next_piece() override {
    return std::span(buffer_).first(from_.read(buffer_));
  }

 private:
  ByteSource& from_;
  std::vector<std::byte> buffer_;
};

/// The pieces of a ByteSource, read by a thread of its own before they are asked for: so that what
/// makes the bytes and what uses them run at the same time. A third one may look at all of them on
/// the way (hash them), in a thread of its own too. A stream of less than a piece costs no thread.
/// What `from` throws comes out of next_piece() in place of the piece it was to be.
class ReadAhead final : public PieceSource {
 public:
  static constexpr std::size_t kPieceBytes = kStreamBufferBytes;
  /// Of which one is in use, and one is being filled. The others are what the threads may be apart
  /// before one waits: so many that they seldom do, each time being a sleep and a wake-up.
  static constexpr std::size_t kPieces = 12;

  /// Is given each piece, in order; must not throw.
  using Observer = std::function<void(std::span<const std::byte>)>;

  /// `name` is what the reading thread is called in a profile, a literal. Until the object is
  /// destroyed `from` is nobody else's.
  ReadAhead(ByteSource& from, const char* name, Observer observe = {})
      : from_(from), name_(name), observe_(std::move(observe)) {}
  /// Waits for the read that is under way.
  ~ReadAhead() override;

  /// The observer has seen all of the stream when its end is told.
  std::span<const std::byte> next_piece() override;

 private:
  struct Piece {
    std::vector<std::byte> buffer;
    std::size_t size_bytes = 0;

    std::span<const std::byte> bytes() const { return std::span(buffer).first(size_bytes); }
  };

  bool fill(Piece& piece);
  void start();
  void read_all();
  void observe_all();
  std::uint64_t room() const { return kPieces - (filled_ - std::min(released_, observed_)); }
  void tell_of_room();

  ByteSource& from_;
  const char* name_;
  const Observer observe_;
  std::vector<Piece> ring_;
  std::mutex mutex_;  // guards what follows
  // Each has one waiting for it: the reading thread, the observing one, the caller.
  std::condition_variable room_made_, to_observe_, to_give_;
  std::uint64_t filled_ = 0;    // pieces so far
  std::uint64_t observed_ = 0;  // of these; the first ones, as below
  std::uint64_t given_ = 0;     // to the reader
  std::uint64_t released_ = 0;  // by the reader
  bool ended_ = false;          // no more are filled
  bool unwanted_ = false;       // none need be
  std::exception_ptr error_;    // why it ended
  std::thread reading_, observing_;
};

}  // namespace strake::base
