#include "layers/base/piece_source.h"

#include <atomic>
#include <functional>
#include <latch>

#include "tests/base/expect_error.h"

namespace strake::base {
namespace {

/// A source that does as the test says.
class ScriptedSource final : public ByteSource {
 public:
  explicit ScriptedSource(std::function<std::size_t(std::span<std::byte>)> read)
      : read_(std::move(read)) {}
  std::size_t read(std::span<std::byte> buffer) override { return read_(buffer); }

 private:
  std::function<std::size_t(std::span<std::byte>)> read_;
};

std::string varied_text(std::size_t size) {
  std::string text;
  for (std::size_t i = 0; text.size() < size; ++i) text += std::to_string(i * i) + ",";
  text.resize(size);
  return text;
}

std::string all_of(PieceSource& source) {
  std::string text;
  for (auto piece = source.next_piece(); !piece.empty(); piece = source.next_piece())
    text += text_of(piece);
  return text;
}

TEST(BufferedPieces, AreTheStreamInOrder) {
  const std::string text = varied_text(3 * kStreamBufferBytes + 17);
  StringSource source(text);
  BufferedPieces pieces(source);
  EXPECT_EQ(all_of(pieces), text);
  EXPECT_TRUE(pieces.next_piece().empty());
}

TEST(ReadAhead, GivesTheStreamInOrder) {
  for (const std::size_t size :
       {std::size_t{0}, std::size_t{1}, ReadAhead::kPieceBytes - 1, ReadAhead::kPieceBytes,
        ReadAhead::kPieceBytes + 1, 3 * ReadAhead::kPieces * ReadAhead::kPieceBytes + 5}) {
    const std::string text = varied_text(size);
    StringSource whole(text);
    ScriptedSource source([&](std::span<std::byte> buffer) {
      return whole.read(buffer.first(std::min<std::size_t>(buffer.size(), 70'000)));
    });
    ReadAhead ahead(source, "test");
    EXPECT_TRUE(all_of(ahead) == text) << size;
    EXPECT_TRUE(ahead.next_piece().empty());
  }
}

TEST(ReadAhead, TheObserverHasSeenEverythingBeforeTheEndIsTold) {
  for (const std::size_t size :
       {std::size_t{0}, std::size_t{5}, ReadAhead::kPieceBytes, 20 * ReadAhead::kPieceBytes + 5}) {
    const std::string text = varied_text(size);
    StringSource source(text);
    std::string seen;
    ReadAhead ahead(source, "test", [&](std::span<const std::byte> piece) {
      seen += text_of(piece);
      std::this_thread::yield();
    });
    EXPECT_TRUE(all_of(ahead) == text) << size;
    EXPECT_TRUE(seen == text) << size;
  }
}

TEST(ReadAhead, PiecesAreKeptUntilTheObserverHasSeenThem) {
  const std::string text = varied_text(20 * ReadAhead::kPieceBytes);
  StringSource source(text);
  std::string seen;
  std::latch last_wanted(1);
  ReadAhead ahead(source, "test", [&](std::span<const std::byte> piece) {
    last_wanted.wait();
    seen += text_of(piece);
  });
  for (std::size_t i = 0; i < ReadAhead::kPieces; ++i) ahead.next_piece();
  last_wanted.count_down();
  while (!ahead.next_piece().empty()) {
  }
  EXPECT_TRUE(seen == text);
}

TEST(ReadAhead, ReadsWhileNobodyAsksButNoFurtherThanItsRing) {
  std::atomic<std::size_t> pieces = 0;
  std::latch full(ReadAhead::kPieces);
  ScriptedSource source([&](std::span<std::byte> buffer) {
    if (++pieces <= ReadAhead::kPieces) full.count_down();
    return buffer.size();
  });
  ReadAhead ahead(source, "test");
  EXPECT_EQ(ahead.next_piece().size(), ReadAhead::kPieceBytes);
  full.wait();  // all but the first were read without being asked for
  EXPECT_EQ(pieces, ReadAhead::kPieces);
}

TEST(ReadAhead, WhatTheSourceThrowsComesBehindThePiecesBefore) {
  int pieces = 0;
  ScriptedSource source([&](std::span<std::byte> buffer) {
    if (pieces++ == 3) throw Error(ErrorCode::corrupt, "broken");
    return buffer.size();
  });
  ReadAhead ahead(source, "test");
  for (int i = 0; i < 3; ++i) EXPECT_EQ(ahead.next_piece().size(), ReadAhead::kPieceBytes);
  expect_error(ErrorCode::corrupt, [&] { ahead.next_piece(); });
}

TEST(ReadAhead, MayBeLeftInTheMiddle) {
  ScriptedSource source([](std::span<std::byte> buffer) { return buffer.size(); });
  ReadAhead ahead(source, "test");
  EXPECT_FALSE(ahead.next_piece().empty());
}

}  // namespace
}  // namespace strake::base
