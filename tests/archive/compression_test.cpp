#include "layers/archive/compression.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <random>

#include "layers/archive/gzip.h"
#include "layers/base/digest.h"
#include "layers/base/error.h"
#include "tests/archive/run_tool.h"

namespace strake::layers {
namespace {

using testing::HasSubstr;

std::string noise(std::size_t size, unsigned seed = 1) {
  std::mt19937 random(seed);
  std::string text(size, '\0');
  for (char& c : text) c = static_cast<char>(random());
  return text;
}

std::string prose(std::size_t size) {
  std::mt19937 random(2);
  std::string text;
  while (text.size() < size) {
    for (auto i = random() % 9; i > 0; --i) text += static_cast<char>('a' + random() % 20);
    text += random() % 11 == 0 ? '\n' : ' ';
  }
  text.resize(size);
  return text;
}

std::string machine_code(std::size_t size) {
  std::mt19937 random(3);
  std::string text;
  while (text.size() < size) {
    text += "\x48\x89\xe5\xff";
    text += static_cast<char>(random() % 64);
    text += static_cast<char>(0xf0 + random() % 16);
  }
  text.resize(size);
  return text;
}

/// All kinds of blocks, and an end that fills none.
std::string mixed() {
  return prose(2 << 20) + noise(1 << 20) + machine_code(1 << 20) + std::string(2 << 20, '\0') +
         prose(12345);
}

std::string compressed(std::string_view text, oci::Compression how, std::optional<int> level = {},
                       std::size_t threads = 2, std::size_t piece = 1 << 30) {
  base::WorkerPool pool(threads);
  base::StringSink out;
  const auto sink = make_compressor(how, level, out, pool);
  while (!text.empty()) {
    sink->write(base::bytes_of(text.substr(0, piece)));
    text.remove_prefix(std::min(text.size(), piece));
  }
  sink->finish();
  return std::move(out.text);
}

std::string decompressed(std::string bytes, ArchiveCompression how, const Limits& limits = {}) {
  const auto source =
      make_decompressor(std::make_unique<base::StringSource>(std::move(bytes)), how, limits);
  base::StringSink out;
  base::copy(*source, out);
  return std::move(out.text);
}

std::string gzip_member(std::string_view text) {
  std::string member(gzip_member_bound(text.size()), 'x');
  member.resize(
      write_gzip_member(base::bytes_of(text), {}, std::as_writable_bytes(std::span(member))));
  return member;
}

/// The message of the Error(corrupt) of decompressing; "" if there is none.
std::string refusal(const std::string& bytes, ArchiveCompression how, const Limits& limits = {}) {
  try {
    decompressed(bytes, how, limits);
    return "";
  } catch (const base::Error& error) {
    EXPECT_EQ(error.code(), base::ErrorCode::corrupt);
    return error.what();
  }
}

/// `text` as the program `tool` compresses it; "" if there is no such program.
std::string by_tool(const std::string& tool, std::string_view text) {
  const test::ToolResult result = test::run_tool(tool, text);
  return result.status == 0 ? result.output : "";
}

class Roundtrip : public testing::TestWithParam<oci::Compression> {};

TEST_P(Roundtrip, GivesBackWhatWasWritten) {
  for (const std::string& text : {std::string(), std::string("x"), prose(1 << 20), mixed()})
    EXPECT_EQ(decompressed(compressed(text, GetParam()), archive_compression(GetParam())) == text,
              true)
        << text.size();
}

TEST_P(Roundtrip, BytesDoNotDependOnThreadsOrPieces) {
  const std::string text = mixed();
  const std::string one = compressed(text, GetParam(), {}, 1);
  EXPECT_TRUE(compressed(text, GetParam(), {}, 4) == one);
  EXPECT_TRUE(compressed(text, GetParam(), {}, 4, 77'777) == one);
}

TEST_P(Roundtrip, EveryLevelIsReadBack) {
  const std::string text = prose(100'000) + noise(5'000);
  for (const int level : {1, 3, 6, 9, 12})
    EXPECT_TRUE(
        decompressed(compressed(text, GetParam(), level), archive_compression(GetParam())) == text);
}

TEST_P(Roundtrip, NoiseGrowsByLessThanOnePerMille) {
  EXPECT_LT(compressed(noise(8 << 20), GetParam()).size(), (8 << 20) * 1.001);
}

INSTANTIATE_TEST_SUITE_P(Compression, Roundtrip,
                         testing::Values(oci::Compression::none, oci::Compression::gzip,
                                         oci::Compression::zstd),
                         [](const auto& row) {
                           return std::string(name_of(archive_compression(row.param)));
                         });

TEST(Compression, ToolsAcceptWhatWeMake) {
  const std::string text = mixed();
  for (const auto& [how, tool] :
       {std::pair(oci::Compression::gzip, "gzip"), std::pair(oci::Compression::zstd, "zstd")}) {
    const std::string bytes = compressed(text, how);
    const test::ToolResult checked = test::run_tool(std::string(tool) + " -t", bytes);
    if (checked.status == 127) GTEST_SKIP() << "no " << tool;
    EXPECT_EQ(checked.status, 0) << checked.output;
    EXPECT_TRUE(test::run_tool(std::string(tool) + " -dc", bytes).output == text) << tool;
  }
}

TEST(Compression, ReadsWhatToolsMake) {
  const std::string text = prose(700'000) + noise(100'000);
  for (const auto& [how, tool] : {std::pair(ArchiveCompression::gzip, "gzip -9c"),
                                  std::pair(ArchiveCompression::zstd, "zstd -qc"),
                                  std::pair(ArchiveCompression::bzip2, "bzip2 -c"),
                                  std::pair(ArchiveCompression::xz, "xz -c")}) {
    const std::string bytes = by_tool(tool, text);
    if (bytes.empty()) continue;
    EXPECT_EQ(sniff(base::bytes_of(bytes)), how) << tool;
    EXPECT_TRUE(decompressed(bytes, how) == text) << tool;
    EXPECT_TRUE(decompressed(bytes + bytes, how) == text + text) << tool;
    for (const std::size_t size :
         {std::size_t{0}, std::size_t{3}, std::size_t{11}, bytes.size() / 2, bytes.size() - 1})
      EXPECT_NE(refusal(bytes.substr(0, size), how), "") << tool << " " << size;
    std::string flipped = bytes;
    flipped[bytes.size() / 2] ^= 1;
    EXPECT_NE(refusal(flipped, how), "") << tool;
    EXPECT_NE(refusal(bytes + "garbage", how), "") << tool;
  }
}

TEST(Compression, GzipHeadersWithNamesAreRead) {
  const test::ToolResult result = test::run_tool(
      "cat > /dev/null; d=$(mktemp -d) && printf text > $d/name && gzip -c $d/name; rm -r $d", "");
  ASSERT_EQ(result.status, 0);
  EXPECT_EQ(decompressed(result.output, ArchiveCompression::gzip), "text");
}

TEST(Compression, AThousandSmallMembersAreOneStream) {
  const std::string member = gzip_member("0123456789");
  std::string chain, want;
  for (int i = 0; i < 1000; ++i) {
    chain += member;
    want += "0123456789";
  }
  EXPECT_EQ(decompressed(chain, ArchiveCompression::gzip), want);
}

TEST(Compression, GzipIsTruncatedUnlessItsLastMemberIsWhole) {
  const std::string bytes = compressed(prose(2 << 20), oci::Compression::gzip);
  for (std::size_t cut = 1; cut < 40; ++cut)
    EXPECT_NE(refusal(bytes.substr(0, bytes.size() - cut), ArchiveCompression::gzip), "") << cut;
  for (std::size_t size = 0; size < bytes.size(); size += 20'011) {
    const std::string message = refusal(bytes.substr(0, size), ArchiveCompression::gzip);
    EXPECT_THAT(message, HasSubstr("gzip stream is corrupt")) << size;
  }
}

TEST(Compression, GzipMayBePaddedWithZerosOnly) {
  const std::string bytes = compressed("text", oci::Compression::gzip);
  EXPECT_EQ(decompressed(bytes + std::string(100'000, '\0'), ArchiveCompression::gzip), "text");
  EXPECT_THAT(refusal(bytes + "x", ArchiveCompression::gzip), HasSubstr("gzip"));
  EXPECT_THAT(refusal(bytes + std::string(10, '\0') + bytes, ArchiveCompression::gzip),
              HasSubstr("garbage"));
}

TEST(Compression, GzipChecksumIsVerified) {
  std::string bytes = compressed("some text", oci::Compression::gzip);
  bytes[bytes.size() - 8] ^= 1;
  EXPECT_THAT(refusal(bytes, ArchiveCompression::gzip), HasSubstr("checksum"));
  bytes[bytes.size() - 8] ^= 1;
  bytes[bytes.size() - 1] ^= 1;  // the length
  EXPECT_NE(refusal(bytes, ArchiveCompression::gzip), "");
}

TEST(Compression, GzipMembersHaveNoTimeAndNoName) {
  EXPECT_EQ(gzip_member(""),
            std::string_view("\x1f\x8b\x08\0\0\0\0\0\0\xff"  // header
                             "\x01\0\0\xff\xff"              // an empty stored block
                             "\0\0\0\0\0\0\0\0",             // checksum and size
                             23));
}

TEST(Compression, GzipLevelZeroStores) {
  const std::string text = prose(100'000);
  const std::string bytes = compressed(text, oci::Compression::gzip, 0);
  EXPECT_GT(bytes.size(), text.size());
  EXPECT_EQ(decompressed(bytes, ArchiveCompression::gzip), text);
}

TEST(Compression, EffortFollowsTheContent) {
  const auto effort = [](const std::string& text) { return gzip_effort(base::bytes_of(text)); };
  EXPECT_EQ(effort(noise(1 << 20)), GzipEffort::store);
  EXPECT_EQ(effort(noise(700'000) + machine_code(300'000)), GzipEffort::fast);
  EXPECT_EQ(effort(machine_code(1 << 20)), GzipEffort::medium);
  EXPECT_EQ(effort(prose(1 << 20)), GzipEffort::strong);
  EXPECT_EQ(effort(std::string(1 << 20, '\0')), GzipEffort::strong);
  EXPECT_EQ(effort(""), GzipEffort::strong);
  // Files of a few kilobytes and tar's padding after each: what is in them counts.
  const auto padded = [](const auto& file) {
    std::string block;
    while (block.size() < 1 << 20) block += file(1500) + std::string(8692, '\0');
    return block;
  };
  EXPECT_EQ(effort(padded(prose)), GzipEffort::strong);
  EXPECT_EQ(effort(padded(machine_code)), GzipEffort::medium);
}

TEST(Compression, SkippableZstdFramesAreSkipped) {
  const std::string frame = compressed("text", oci::Compression::zstd);
  const std::string skippable("\x53\x2a\x4d\x18\x04\0\0\0four", 12);
  EXPECT_EQ(sniff(base::bytes_of(skippable)), ArchiveCompression::zstd);
  std::string many;
  for (int i = 0; i < 10'000; ++i) many += skippable;
  EXPECT_EQ(decompressed(many + frame + skippable + frame, ArchiveCompression::zstd), "texttext");
}

TEST(Compression, ZstdWindowIsLimited) {
  const std::string text = noise(300'000);
  const std::string frame = by_tool("zstd -qc --long=28", text);
  if (frame.empty()) GTEST_SKIP() << "no zstd";
  // Streamed input: the frame names the window instead of a size.
  const std::string streamed = by_tool("cat | zstd -qc --long=28 --no-content-size", text);
  EXPECT_THAT(refusal(streamed, ArchiveCompression::zstd), HasSubstr("memory"));
  const std::string allowed = by_tool("cat | zstd -qc --long=27 --no-content-size", text);
  EXPECT_TRUE(decompressed(allowed, ArchiveCompression::zstd) == text);
}

TEST(Compression, XzMemoryIsLimited) {
  const std::string bytes = by_tool("xz -9c", prose(100'000));
  if (bytes.empty()) GTEST_SKIP() << "no xz";
  Limits limits;
  limits.xz_memory_bytes = 32 << 20;
  EXPECT_THAT(refusal(bytes, ArchiveCompression::xz, limits), HasSubstr("memory"));
}

TEST(Compression, BombsAreStopped) {
  const std::string bomb = compressed(std::string(200 << 20, '\0'), oci::Compression::zstd);
  EXPECT_THAT(refusal(bomb, ArchiveCompression::zstd), HasSubstr("bomb"));
  // The first 16 MiB may be as dense as they like.
  const std::string dense = compressed(std::string(16 << 20, '\0'), oci::Compression::zstd);
  EXPECT_EQ(decompressed(dense, ArchiveCompression::zstd).size(), 16U << 20);
}

TEST(Compression, DecompressedSizeIsLimited) {
  const std::string bytes = compressed(std::string(1000, 'x'), oci::Compression::gzip);
  Limits limits;
  limits.uncompressed_bytes = 1001;
  EXPECT_EQ(refusal(bytes, ArchiveCompression::gzip, limits), "");
  limits.uncompressed_bytes = 1000;
  EXPECT_EQ(refusal(bytes, ArchiveCompression::gzip, limits), "");
  limits.uncompressed_bytes = 999;
  EXPECT_THAT(refusal(bytes, ArchiveCompression::gzip, limits), HasSubstr("limit"));
  EXPECT_THAT(refusal(std::string(1000, 'x'), ArchiveCompression::none, limits),
              HasSubstr("limit"));
}

TEST(Compression, RefusesLevelsOutOfRange) {
  for (const int level : {-1, 13})
    EXPECT_THROW(compressed("x", oci::Compression::gzip, level), base::Error) << level;
  for (const int level : {0, 23})
    EXPECT_THROW(compressed("x", oci::Compression::zstd, level), base::Error) << level;
}

TEST(Compression, SniffsNothingInPlainBytes) {
  for (const std::string_view text :
       {"", "\x1f", "\x1f\x8b", "BZh", "text", "BZh0...", "PK\x03\x04"})
    EXPECT_EQ(sniff(base::bytes_of(text)), ArchiveCompression::none) << text;
}

// ---- the sink's edges -------------------------------------------------------------

struct FailingSink final : base::ByteSink {
  void write(std::span<const std::byte>) override {
    throw base::Error(base::ErrorCode::system, "the disk is full");
  }
};

TEST(BlockCompressor, ErrorsOfTheOutputReachTheWriter) {
  base::WorkerPool pool(2);
  FailingSink out;
  const auto sink = make_compressor(oci::Compression::gzip, {}, out, pool);
  sink->write(base::bytes_of("x"));
  EXPECT_THROW(sink->finish(), base::Error);
}

TEST(BlockCompressor, CanBeDroppedInTheMiddle) {
  base::WorkerPool pool(2);
  base::StringSink out;
  const auto sink = make_compressor(oci::Compression::gzip, {}, out, pool);
  sink->write(base::bytes_of(prose(3 << 20)));
}

/// More of them than may have two blocks in memory at once.
TEST(BlockCompressor, ManyAtATimeMakeTheSameBytes) {
  base::WorkerPool pool(1);
  const std::string text = mixed();
  std::array<base::StringSink, 12> outputs;
  std::vector<std::unique_ptr<CompressingSink>> sinks;
  for (base::StringSink& out : outputs)
    sinks.push_back(make_compressor(oci::Compression::gzip, {}, out, pool));
  for (std::size_t at = 0; at < text.size(); at += 700'000)
    for (const auto& sink : sinks)
      sink->write(base::bytes_of(std::string_view(text).substr(at, 700'000)));
  for (const auto& sink : sinks) sink->finish();
  const std::string want = compressed(text, oci::Compression::gzip);
  for (const base::StringSink& out : outputs) EXPECT_TRUE(out.text == want);
}

TEST(BlockCompressor, WorksInsideAJobOfAFullPool) {
  base::WorkerPool pool(2);
  const std::string text = prose(6 << 20);
  const auto job = [&] {
    base::StringSink out;
    const auto sink = make_compressor(oci::Compression::gzip, 1, out, pool);
    sink->write(base::bytes_of(text));
    sink->finish();
    return std::move(out.text);
  };
  auto first = pool.submit(job), second = pool.submit(job), third = pool.submit(job);
  const std::string bytes = first.get();
  EXPECT_TRUE(second.get() == bytes);
  EXPECT_TRUE(third.get() == bytes);
}

}  // namespace
}  // namespace strake::layers
