#include "layers/archive/tar_writer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "layers/archive/tar_reader.h"
#include "layers/base/digest.h"
#include "layers/base/error.h"
#include "tests/archive/run_tool.h"
#include "tests/support/tar_builder.h"

namespace strake::layers {
namespace {

using test::TarBuilder;
using testing::HasSubstr;
using testing::Pair;

std::string tar_of(const TarEntry& entry, std::string data = "", TarWriter::Options options = {}) {
  base::StringSink sink;
  TarWriter writer(sink, options);
  base::StringSource source(std::move(data));
  writer.add(entry, source);
  writer.finish();
  EXPECT_EQ(writer.size_bytes(), sink.text.size());
  return std::move(sink.text);
}

TarEntry read_back(const std::string& tar) {
  base::StringSource source(tar);
  TarReader reader(source);
  std::optional<TarEntry> entry = reader.next();
  EXPECT_TRUE(entry.has_value());
  EXPECT_FALSE(reader.next().has_value());
  return entry.value_or(TarEntry());
}

TEST(TarWriter, PlainFileIsOneUstarHeaderAndItsData) {
  EXPECT_EQ(
      tar_of({.path = "d/f", .mode = 0640, .uid = 1, .gid = 2, .size_bytes = 4, .mtime = {5, 999}},
             "text"),
      TarBuilder().file("d/f", "text", {.mode = 0640, .uid = 1, .gid = 2, .mtime = 5}).str());
}

TEST(TarWriter, EveryTypeHasItsFlag) {
  base::StringSink sink;
  TarWriter writer(sink);
  writer.add({.path = "d", .type = EntryType::directory, .mode = 0755});
  writer.add({.path = "s", .type = EntryType::symlink, .mode = 0777, .link_target = "t"});
  writer.add({.path = "h", .type = EntryType::hardlink, .link_target = "d/f"});
  writer.add(
      {.path = "c", .type = EntryType::character_device, .device_major = 1, .device_minor = 3});
  writer.add({.path = "b", .type = EntryType::block_device, .device_major = 8});
  writer.add({.path = "p", .type = EntryType::fifo});
  writer.finish();
  EXPECT_EQ(sink.text, TarBuilder()
                           .directory("d")
                           .symlink("s", "t")
                           .hardlink("h", "d/f")
                           .character_device("c", 1, 3)
                           .block_device("b", 8, 0)
                           .fifo("p")
                           .str());
}

TEST(TarWriter, EmptyArchiveIsTwoZeroBlocks) {
  base::StringSink sink;
  TarWriter(sink).finish();
  EXPECT_EQ(sink.text, std::string(1024, '\0'));
}

TEST(TarWriter, BytesNeverChange) {
  base::StringSink sink;
  TarWriter writer(sink);
  writer.add({.path = "etc", .type = EntryType::directory, .mode = 0755, .mtime = {1700000000, 0}});
  writer.begin({.path = "etc/" + std::string(120, 'n'),
                .uid = 5'000'000,
                .size_bytes = 3,
                .xattrs = {{"user.a", std::string("\0b", 2)}}});
  writer.write(base::bytes_of("abc"));
  writer.finish();
  EXPECT_EQ(base::Digest::of(sink.text).hex(),
            "fde6413483bc1df5ec10578442ecb40663d1db0fefbd78d517a3c0e8d67071f8");
}

TEST(TarWriter, CutsLongPathsIntoPrefixAndName) {
  const std::string path = std::string(150, 'p') + "/" + std::string(99, 'n');
  const std::string tar = tar_of({.path = path});
  EXPECT_EQ(tar.size(), 3 * 512U);
  EXPECT_EQ(read_back(tar).path, path);
}

TEST(TarWriter, SaysInPaxWhatUstarCannot) {
  for (const std::string& path :
       {std::string(101, 'n'), std::string(156, 'p') + "/n", "p/" + std::string(101, 'n'),
        std::string("gr\xc3\xbcn"), std::string("\xff\xfe"),
        std::string(255, 'a') + "/" + std::string(255, 'b')}) {
    const std::string tar = tar_of({.path = path});
    EXPECT_EQ(tar.at(156), 'x');
    EXPECT_EQ(read_back(tar).path, path);
    const TarEntry directory = read_back(tar_of({.path = path, .type = EntryType::directory}));
    EXPECT_EQ(directory.path, path);
    EXPECT_EQ(directory.type, EntryType::directory);
  }
  const TarEntry odd = {.path = "x",
                        .type = EntryType::symlink,
                        .mode = 07777,
                        .uid = 0xfffffffe,
                        .gid = 2097152,
                        .link_target = std::string(4000, 't')};
  const TarEntry back = read_back(tar_of(odd));
  EXPECT_EQ(back.uid, odd.uid);
  EXPECT_EQ(back.gid, odd.gid);
  EXPECT_EQ(back.mode, odd.mode);
  EXPECT_EQ(back.link_target, odd.link_target);
}

TEST(TarWriter, IdsAndNamesAtTheUstarBoundaryNeedNoPax) {
  EXPECT_EQ(tar_of({.path = std::string(100, 'n'), .uid = 2097151, .gid = 2097151}).size(),
            3 * 512U);
  EXPECT_GT(tar_of({.path = std::string(100, 'n'), .uid = 2097152}).size(), 3 * 512U);
}

TEST(TarWriter, KeepsXattrsByteForByte) {
  const std::vector<base::Xattr> xattrs = {{"user.a", std::string("\0\n= \xff", 5)},
                                           {"user.b", std::string(5000, 'b')}};
  EXPECT_EQ(read_back(tar_of({.path = "f", .xattrs = xattrs})).xattrs, xattrs);
}

TEST(TarWriter, SizesOf8GiBAndMoreGoToPax) {
  struct CountingSink final : base::ByteSink {
    void write(std::span<const std::byte> bytes) override {
      if (first.empty())
        first = base::text_of(bytes.first(std::min<std::size_t>(bytes.size(), 2048)));
      size += bytes.size();
    }
    std::string first;
    std::uint64_t size = 0;
  } sink;
  constexpr std::uint64_t kSize = std::uint64_t{8} << 30;
  TarWriter writer(sink);
  writer.begin({.path = "huge", .size_bytes = kSize});
  const std::vector<std::byte> piece(64 << 20);
  for (std::uint64_t done = 0; done < kSize; done += piece.size()) writer.write(piece);
  writer.finish();
  EXPECT_EQ(sink.size, 3 * 512 + kSize + 1024);
  EXPECT_THAT(sink.first, HasSubstr("19 size=8589934592\n"));
}

TEST(TarWriter, ClampsTimes) {
  EXPECT_EQ(
      read_back(tar_of({.path = "f", .mtime = {200, 0}}, "", {.clamp_mtime = 100})).mtime.tv_sec,
      100);
  EXPECT_EQ(
      read_back(tar_of({.path = "f", .mtime = {50, 0}}, "", {.clamp_mtime = 100})).mtime.tv_sec,
      50);
  EXPECT_EQ(read_back(tar_of({.path = "f", .mtime = {-50, 0}})).mtime.tv_sec, 0);
}

TEST(TarWriter, RefusesDataOfAnotherSize) {
  EXPECT_THROW(tar_of({.path = "f", .size_bytes = 4}, "abc"), base::Error);
  EXPECT_THROW(tar_of({.path = "f", .size_bytes = 4}, "abcde"), base::Error);
  EXPECT_THROW(tar_of({.path = "f", .size_bytes = 0}, "a"), base::Error);

  base::StringSink sink;
  TarWriter writer(sink);
  writer.begin({.path = "f", .size_bytes = 4});
  EXPECT_THROW(writer.write(base::bytes_of("abcde")), base::Error);
  writer.write(base::bytes_of("abc"));
  EXPECT_THROW(writer.add({.path = "g"}), base::Error);
  EXPECT_THROW(writer.finish(), base::Error);
}

TEST(TarWriter, RefusesWhatATarCannotHold) {
  const auto refused = [](const TarEntry& entry) {
    try {
      tar_of(entry);
      return false;
    } catch (const base::Error& error) {
      return error.code() == base::ErrorCode::invalid_input;
    }
  };
  EXPECT_TRUE(refused({.path = ""}));
  EXPECT_TRUE(refused({.path = std::string("a\0b", 3)}));
  EXPECT_TRUE(refused({.path = "s", .type = EntryType::symlink}));
  EXPECT_TRUE(refused({.path = "f", .link_target = "t"}));
  EXPECT_TRUE(refused({.path = "d", .type = EntryType::directory, .size_bytes = 1}));
  EXPECT_TRUE(refused({.path = "f", .xattrs = {{"user.a=b", ""}}}));
}

TEST(TarWriter, SmallFilesShareAWrite) {
  struct CountingSink final : base::ByteSink {
    void write(std::span<const std::byte>) override { ++calls; }
    int calls = 0;
  } sink;
  TarWriter writer(sink);
  for (int i = 0; i < 100; ++i) {
    base::StringSource data("0123456789");
    writer.add({.path = "f" + std::to_string(i), .size_bytes = 10}, data);
  }
  writer.finish();
  EXPECT_EQ(sink.calls, 1);
}

TEST(TarWriter, GnuTarReadsWhatWeWrite) {
  base::StringSink sink;
  TarWriter writer(sink);
  const std::string deep = std::string(200, 'a') + "/" + std::string(200, 'b');
  writer.add({.path = "d", .type = EntryType::directory, .mode = 01755, .mtime = {1700000000, 0}});
  writer.begin({.path = deep, .mode = 04711, .uid = 3'000'000, .gid = 7, .size_bytes = 600});
  writer.write(std::vector<std::byte>(600));
  writer.add({.path = "l", .type = EntryType::symlink, .mode = 0777, .link_target = "d"});
  writer.add({.path = "h", .type = EntryType::hardlink, .link_target = deep});
  writer.add(
      {.path = "null", .type = EntryType::character_device, .device_major = 1, .device_minor = 3});
  writer.finish();
  const test::ToolResult listing =
      test::run_tool("TZ=UTC tar --warning=all --numeric-owner -tvf -", sink.text);
  if (listing.status == 127) GTEST_SKIP() << "no tar";
  EXPECT_EQ(listing.status, 0);
  EXPECT_THAT(listing.output, HasSubstr("drwxr-xr-t 0/0               0 2023-11-14 22:13 d/\n"));
  EXPECT_THAT(listing.output,
              HasSubstr("-rws--x--x 3000000/7       600 1970-01-01 00:00 " + deep + "\n"));
  EXPECT_THAT(listing.output, HasSubstr("l -> d\n"));
  EXPECT_THAT(listing.output, HasSubstr("h link to " + deep + "\n"));
  EXPECT_THAT(listing.output, HasSubstr("1,3 1970-01-01 00:00 null\n"));
  EXPECT_THAT(listing.output, testing::Not(HasSubstr("tar:")));
}

}  // namespace
}  // namespace strake::layers
