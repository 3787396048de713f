#include "layers/base/stream.h"

#include <array>

#include "tests/base/expect_error.h"

namespace strake::base {
namespace {

/// Hands out at most `piece` bytes a read.
class PiecewiseSource final : public ByteSource {
 public:
  PiecewiseSource(std::string text, std::size_t piece) : text_(std::move(text)), piece_(piece) {}
  std::size_t read(std::span<std::byte> buffer) override {
    return text_.read(buffer.first(std::min(buffer.size(), piece_)));
  }

 private:
  StringSource text_;
  std::size_t piece_;
};

std::string verify(const std::string& text, const Digest& digest, std::uint64_t size) {
  VerifyingSource source(std::make_unique<PiecewiseSource>(text, 3), digest, size, "the blob");
  return read_all(source, 1000, "the blob");
}

TEST(Copy, MovesEverythingInPieces) {
  const std::string text(1000, 'x');
  PiecewiseSource source(text, 7);
  StringSink sink;
  EXPECT_EQ(copy(source, sink), 1000U);
  EXPECT_EQ(sink.text, text);
}

TEST(ReadFull, FillsTheBufferOrStopsAtTheEnd) {
  PiecewiseSource source("0123456789", 3);
  std::array<std::byte, 8> buffer;
  EXPECT_EQ(read_full(source, buffer), 8U);
  EXPECT_EQ(text_of(buffer), "01234567");
  EXPECT_EQ(read_full(source, buffer), 2U);
  EXPECT_EQ(read_full(source, buffer), 0U);
}

TEST(ReadAllOfASource, StopsAtTheLimit) {
  PiecewiseSource exact("0123456789", 3);
  EXPECT_EQ(read_all(exact, 10, "text"), "0123456789");
  PiecewiseSource longer("0123456789", 3);
  expect_error(ErrorCode::corrupt, [&] { read_all(longer, 9, "text"); });
}

TEST(HashingSink, CountsHashesAndForwards) {
  StringSink next;
  HashingSink sink(&next);
  sink.write(bytes_of("ab"));
  sink.write(bytes_of("c"));
  EXPECT_EQ(sink.size_bytes(), 3U);
  EXPECT_EQ(sink.finish(), Digest::of("abc"));
  EXPECT_EQ(next.text, "abc");
}

TEST(TeeSink, WritesToBothInOrder) {
  struct Recorder final : ByteSink {
    Recorder(std::string& log_, char name_) : log(log_), name(name_) {}
    void write(std::span<const std::byte>) override { log += name; }
    std::string& log;
    char name;
  };
  std::string log;
  Recorder first(log, '1'), second(log, '2');
  TeeSink tee(first, second);
  tee.write(bytes_of("x"));
  tee.write(bytes_of("y"));
  EXPECT_EQ(log, "1212");
}

TEST(VerifyingSource, PassesTheRightBytesOn) {
  EXPECT_EQ(verify("content", Digest::of("content"), 7), "content");
  EXPECT_EQ(verify("", Digest::of(""), 0), "");
}

TEST(VerifyingSource, RefusesOtherSizes) {
  const Digest digest = Digest::of("content");
  EXPECT_EQ(expect_error(ErrorCode::corrupt, [&] { verify("content", digest, 8); }),
            "the blob has the wrong size: got 7 bytes, want 8");
  EXPECT_EQ(expect_error(ErrorCode::corrupt, [&] { verify("content", digest, 5); }),
            "the blob has the wrong size: got at least 6 bytes, want 5");
  expect_error(ErrorCode::corrupt, [&] { verify("content", digest, 0); });
  expect_error(ErrorCode::corrupt, [&] { verify("", digest, 7); });
}

TEST(VerifyingSource, RefusesOtherContent) {
  expect_error(ErrorCode::corrupt, [] { verify("c0ntent", Digest::of("content"), 7); });
  expect_error(ErrorCode::corrupt, [] { verify("", Digest::of("content"), 0); });
}

TEST(VerifyingSource, StaysRefusingWhenAskedAgain) {
  // Wrong once, the hash has been read out: the digest of nothing must not be what it compares
  // next.
  VerifyingSource source(std::make_unique<StringSource>("x"), Digest::of(""), 1, "the blob");
  std::array<std::byte, 4> buffer;
  EXPECT_EQ(source.read(buffer), 1U);
  for (int i = 0; i < 3; ++i) expect_error(ErrorCode::corrupt, [&] { source.read(buffer); });
}

TEST(VerifyingSource, TakesAnEmptyBufferForNoEnd) {
  VerifyingSource source(std::make_unique<StringSource>("x"), Digest::of("x"), 1, "the blob");
  EXPECT_EQ(source.read({}), 0U);
  EXPECT_EQ(read_all(source, 10, "the blob"), "x");
  std::array<std::byte, 4> buffer;
  EXPECT_EQ(source.read(buffer), 0U);
}

TEST(FileStreams, ReadAndWriteDescriptors) {
  Pipe pipe = make_pipe();
  FdSink sink(pipe.write_end.get(), "pipe");
  sink.write(bytes_of("hello"));
  pipe.write_end.reset();
  FileSource source(std::move(pipe.read_end), "pipe");
  EXPECT_EQ(read_all(source, 10, "pipe"), "hello");
}

}  // namespace
}  // namespace strake::base
