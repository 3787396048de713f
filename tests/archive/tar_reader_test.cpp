#include "layers/archive/tar_reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <random>

#include "layers/base/digest.h"
#include "layers/base/error.h"
#include "tests/archive/run_tool.h"
#include "tests/support/tar_builder.h"

namespace strake::layers {
namespace {

using test::TarBuilder;
using test::TarFields;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Pair;

struct Read {
  TarEntry entry;
  std::string data;
};

std::string all_of(base::ByteSource& source) {
  base::StringSink sink;
  base::copy(source, sink);
  return std::move(sink.text);
}

std::vector<Read> read_tar(std::string tar, const Limits& limits = {}) {
  base::StringSource source(std::move(tar));
  TarReader reader(source, limits);
  std::vector<Read> entries;
  while (std::optional<TarEntry> entry = reader.next())
    entries.push_back({std::move(*entry), all_of(reader.data())});
  return entries;
}

std::vector<std::string> paths_of(const std::vector<Read>& entries) {
  std::vector<std::string> paths;
  for (const Read& read : entries) paths.push_back(read.entry.path);
  return paths;
}

TarEntry single(const TarBuilder& tar, const Limits& limits = {}) {
  std::vector<Read> entries = read_tar(tar.str(), limits);
  EXPECT_EQ(entries.size(), 1U);
  return entries.at(0).entry;
}

/// The message of the Error(corrupt) that reading `tar` throws, with its context; "" if it is fine.
std::string refusal(const std::string& tar, const Limits& limits = {}) {
  try {
    read_tar(tar, limits);
    return "";
  } catch (const base::Error& error) {
    EXPECT_EQ(error.code(), base::ErrorCode::corrupt) << error.what();
    std::string text = error.what();
    for (const std::string& context : error.context()) text += " | " + context;
    return text;
  }
}
std::string refusal(const TarBuilder& tar, const Limits& limits = {}) {
  return refusal(tar.str(), limits);
}

TEST(TarReader, ReportsEveryTypeWithItsAttributes) {
  const auto read = read_tar(TarBuilder()
                                 .directory("d", {.mode = 01777, .uid = 1, .gid = 2, .mtime = 3})
                                 .file("d/f", "text", {.mode = 04755})
                                 .symlink("d/s", "../etc/passwd")
                                 .hardlink("d/h", "./d/f")
                                 .character_device("null", 1, 3)
                                 .block_device("sda", 8, 0)
                                 .fifo("p")
                                 .str());
  ASSERT_THAT(paths_of(read), ElementsAre("d", "d/f", "d/s", "d/h", "null", "sda", "p"));
  EXPECT_EQ(read[0].entry.type, EntryType::directory);
  EXPECT_EQ(read[0].entry.mode, 01777U);
  EXPECT_EQ(read[0].entry.uid, 1U);
  EXPECT_EQ(read[0].entry.gid, 2U);
  EXPECT_EQ(read[0].entry.mtime.tv_sec, 3);
  EXPECT_EQ(read[1].entry.type, EntryType::file);
  EXPECT_EQ(read[1].entry.mode, 04755U);
  EXPECT_EQ(read[1].entry.size_bytes, 4U);
  EXPECT_EQ(read[1].data, "text");
  EXPECT_EQ(read[2].entry.type, EntryType::symlink);
  EXPECT_EQ(read[2].entry.link_target, "../etc/passwd");
  EXPECT_EQ(read[3].entry.type, EntryType::hardlink);
  EXPECT_EQ(read[3].entry.link_target, "d/f");
  EXPECT_EQ(read[4].entry.type, EntryType::character_device);
  EXPECT_EQ(read[4].entry.device_major, 1U);
  EXPECT_EQ(read[4].entry.device_minor, 3U);
  EXPECT_EQ(read[5].entry.type, EntryType::block_device);
  EXPECT_EQ(read[6].entry.type, EntryType::fifo);
}

TEST(TarReader, SkipsDataThatNobodyRead) {
  base::StringSource source(TarBuilder()
                                .file("a", std::string(1'000'000, 'a'))
                                .file("b", std::string(1000, 'b'))
                                .file("c", "c")
                                .str());
  TarReader reader(source);
  std::array<std::byte, 100> some{};
  reader.next();
  reader.next();
  EXPECT_EQ(reader.data().read(some), some.size());
  EXPECT_EQ(reader.next()->path, "c");
  EXPECT_EQ(all_of(reader.data()), "c");
  EXPECT_EQ(reader.next(), std::nullopt);
  EXPECT_EQ(reader.next(), std::nullopt);
}

/// Hands a tar out in pieces of `size` bytes, each in a place of its own.
class SmallPieces final : public base::PieceSource {
 public:
  SmallPieces(std::string text, std::size_t size) : text_(std::move(text)), size_(size) {}
  std::span<const std::byte> next_piece() override {
    piece_ = text_.substr(0, size_);
    text_.erase(0, size_);
    return base::bytes_of(piece_);
  }

 private:
  std::string text_, piece_;
  std::size_t size_;
};

TEST(TarReader, ReadsTheSameHoweverTheTarIsCutIntoPieces) {
  const std::string big(5'000, 'x'), long_name(300, 'n');
  const std::string tar = TarBuilder()
                              .directory("d")
                              .file("d/big", big)
                              .gnu_long_name("d/" + long_name.substr(0, 200))
                              .file("short", "text")
                              .pax({{"path", "d/p"}})
                              .file("q", "")
                              .file("last", "end")
                              .str();
  const std::vector<Read> whole = read_tar(tar);
  ASSERT_EQ(whole.size(), 5U);
  for (const std::size_t size : {1, 7, 511, 512, 513, 1000, 4096}) {
    SmallPieces source(tar, size);
    TarReader reader(source);
    std::size_t count = 0;
    while (const std::optional<TarEntry> entry = reader.next()) {
      ASSERT_LT(count, whole.size());
      EXPECT_EQ(entry->path, whole[count].entry.path) << size;
      std::string data;
      // Both ways of reading, one after the other.
      std::array<std::byte, 100> beginning;
      data += base::text_of(std::span(beginning).first(base::read_full(reader.data(), beginning)));
      for (auto piece = reader.next_data(); !piece.empty(); piece = reader.next_data())
        data += base::text_of(piece);
      EXPECT_EQ(data, whole[count].data) << size;
      ++count;
    }
    EXPECT_EQ(count, whole.size());
  }
}

TEST(TarReader, EmptyArchiveHasNoEntries) {
  EXPECT_TRUE(read_tar(TarBuilder().str()).empty());
  EXPECT_TRUE(read_tar(std::string(512, '\0')).empty());
}

TEST(TarReader, NormalisesPaths) {
  EXPECT_EQ(single(TarBuilder().file("/etc//./x")).path, "etc/x");
  EXPECT_EQ(single(TarBuilder().file("././x")).path, "x");
  EXPECT_EQ(single(TarBuilder().directory("a/b/.")).path, "a/b");
  EXPECT_EQ(single(TarBuilder().file("a..b/..c")).path, "a..b/..c");
}

TEST(TarReader, ReportsTheRootDirectoryAsDot) {
  EXPECT_EQ(single(TarBuilder().directory(".")).path, ".");
  EXPECT_EQ(single(TarBuilder().directory("")).path, ".");
}

TEST(TarReader, RefusesParentComponents) {
  for (const char* path :
       {"../../etc/x", "/../../etc/x", "a/../../x", "./.././.././x", "..", "a/.."})
    EXPECT_THAT(refusal(TarBuilder().file(path)), HasSubstr("\"..\"")) << path;
  EXPECT_THAT(refusal(TarBuilder().hardlink("a", "../b")), HasSubstr("\"..\""));
}

// As ADD reads the archives of users: up, but never above the root.
TEST(TarReader, ParentComponentsCanBeClamped) {
  Limits limits;
  limits.clamp_parent_components = true;
  const std::pair<const char*, const char*> paths[] = {
      {"../../etc/x", "etc/x"}, {"/../x", "x"},       {"a/../x", "x"},         {"a/b/../x", "a/x"},
      {"a/../../x", "x"},       {"a/b/../../x", "x"}, {"./.././a/./../x", "x"}};
  for (const auto& [path, clamped] : paths)
    EXPECT_EQ(single(TarBuilder().file(path), limits).path, clamped) << path;
  EXPECT_EQ(
      read_tar(TarBuilder().file("x").hardlink("l", "a/../x").str(), limits)[1].entry.link_target,
      "x");
  EXPECT_EQ(single(TarBuilder().directory("a/.."), limits).path, ".");
  EXPECT_THROW(read_tar(TarBuilder().file("a/..").str(), limits), base::Error);
}

TEST(TarReader, RefusesRootEntryThatIsNoDirectory) {
  for (const char* path : {".", "./."}) {
    EXPECT_THAT(refusal(TarBuilder().file(path)), HasSubstr("root entry")) << path;
    EXPECT_THAT(refusal(TarBuilder().symlink(path, "x")), HasSubstr("root entry")) << path;
    EXPECT_THAT(refusal(TarBuilder().hardlink(path, "x")), HasSubstr("root entry")) << path;
    EXPECT_THAT(refusal(TarBuilder().character_device(path, 1, 3)), HasSubstr("root entry"))
        << path;
  }
  EXPECT_NE(refusal(TarBuilder().symlink("/", "x")), "");
}

TEST(TarReader, KeepsNamesByteForByte) {
  const std::string odd = "\xff\xfe \x1b[31m\n:\\ .";
  EXPECT_EQ(single(TarBuilder().file(odd)).path, odd);
  EXPECT_EQ(single(TarBuilder().pax({{"path", odd}}).file("x")).path, odd);
  EXPECT_EQ(single(TarBuilder().pax({{"path", "gr\xc3\xbc\xc3\x9f"}}).file("x")).path,
            "gr\xc3\xbc\xc3\x9f");
  EXPECT_EQ(single(TarBuilder().pax({{"linkpath", odd}}).symlink("x", "y")).link_target, odd);
  EXPECT_EQ(single(TarBuilder().gnu_long_name(odd).file("x")).path, odd);
}

TEST(TarReader, UnderstandsGnuLongNames) {
  const std::string path = std::string(200, 'a') + "/" + std::string(200, 'b');
  const TarEntry entry =
      single(TarBuilder().gnu_long_link(path + "x").gnu_long_name(path).symlink("short", "short"));
  EXPECT_EQ(entry.path, path);
  EXPECT_EQ(entry.link_target, path + "x");
}

TEST(TarReader, PaxOverridesTheHeader) {
  const TarEntry entry = single(TarBuilder()
                                    .pax({{"path", "new"},
                                          {"uid", "3000000"},
                                          {"gid", "4294967294"},
                                          {"mtime", "5.25"},
                                          {"size", "3"}})
                                    .entry('0', "old", "", "abc", {}));
  EXPECT_EQ(entry.path, "new");
  EXPECT_EQ(entry.uid, 3000000U);
  EXPECT_EQ(entry.gid, 4294967294U);
  EXPECT_EQ(entry.mtime.tv_sec, 5);
  EXPECT_EQ(entry.mtime.tv_nsec, 250'000'000);
}

// CVE-2025-62518: with the header's size of 0 the content would be parsed as entries.
TEST(TarReader, PaxSizeDecidesWhereTheNextHeaderIs) {
  const std::string inner = TarBuilder().file("smuggled").unterminated();
  const auto read = read_tar(TarBuilder()
                                 .pax({{"size", std::to_string(inner.size())}})
                                 .raw(TarBuilder::header('0', "outer", "", 0, {}))
                                 .raw(inner)
                                 .file("after")
                                 .str());
  EXPECT_THAT(paths_of(read), ElementsAre("outer", "after"));
  EXPECT_EQ(read[0].data, inner);
}

TEST(TarReader, GlobalPaxHeadersAreSkipped) {
  EXPECT_THAT(
      paths_of(read_tar(TarBuilder().global_pax({{"comment", "0123"}}).file("a").file("b").str())),
      ElementsAre("a", "b"));
}

TEST(TarReader, RefusesNumbersOutOfRange) {
  const auto with = [](TarFields fields) { return TarBuilder().file("f", "", std::move(fields)); };
  EXPECT_NE(refusal(with({.raw_size = TarBuilder::base256(-1, 12)})), "");
  EXPECT_NE(
      refusal(with({.raw_size = std::string("\x80\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff", 12)})),
      "");
  EXPECT_THAT(refusal(with({.raw_uid = TarBuilder::base256(-1, 8)})), HasSubstr("user id"));
  EXPECT_THAT(refusal(with({.raw_uid = TarBuilder::base256(0xffffffff, 8)})), HasSubstr("user id"));
  EXPECT_THAT(refusal(with({.raw_gid = TarBuilder::base256(0x100000000, 8)})),
              HasSubstr("group id"));
  EXPECT_EQ(single(with({.raw_uid = TarBuilder::base256(0xfffffffe, 8)})).uid, 0xfffffffeU);
  EXPECT_NE(refusal(TarBuilder().pax({{"size", "-1"}}).file("f")), "");
  EXPECT_NE(refusal(TarBuilder().pax({{"size", "99999999999999999999"}}).file("f")), "");
  EXPECT_NE(refusal(TarBuilder().pax({{"uid", "-5"}}).file("f")), "");
  EXPECT_NE(refusal(TarBuilder().character_device("d", 4096, 0)), "");
  EXPECT_NE(refusal(TarBuilder().character_device("d", 1, 1 << 20)), "");
  EXPECT_EQ(refusal(TarBuilder().character_device("d", 4095, (1 << 20) - 1)), "");
}

TEST(TarReader, ClampsTimes) {
  const auto mtime = [](std::int64_t value) {
    return single(TarBuilder().file("f", "", {.raw_mtime = TarBuilder::base256(value, 12)}))
        .mtime.tv_sec;
  };
  EXPECT_EQ(mtime(-1), 0);
  EXPECT_EQ(mtime(std::numeric_limits<std::int64_t>::min()), 0);
  EXPECT_EQ(mtime((std::int64_t{1} << 33) - 1), (std::int64_t{1} << 33) - 1);
  EXPECT_EQ(mtime(std::int64_t{1} << 33), (std::int64_t{1} << 33) - 1);
  EXPECT_EQ(single(TarBuilder().pax({{"mtime", "-7.5"}}).file("f")).mtime.tv_sec, 0);
}

TEST(TarReader, RefusesDataOnAnythingButFiles) {
  EXPECT_NE(refusal(TarBuilder().entry('5', "d/", "", "data", {})), "");
  EXPECT_NE(refusal(TarBuilder().entry('2', "s", "t", "data", {})), "");
  EXPECT_NE(refusal(TarBuilder().pax({{"mtime", "1"}}).entry('1', "h", "t", "data", {})), "");
  EXPECT_NE(refusal(TarBuilder().entry('6', "p", "", "data", {})), "");
}

TEST(TarReader, RefusesUnknownTypesAndLinksWithoutTarget) {
  EXPECT_THAT(refusal(TarBuilder().entry('M', "f", "", "", {})), HasSubstr("unknown type"));
  EXPECT_THAT(refusal(TarBuilder().entry('Z', "f", "", "", {})), HasSubstr("unknown type"));
  EXPECT_THAT(refusal(TarBuilder().symlink("s", "")), HasSubstr("no target"));
  EXPECT_THAT(refusal(TarBuilder().hardlink("h", "")), HasSubstr("no target"));
}

TEST(TarReader, OldDirectoriesAreKnownByTheirSlash) {
  EXPECT_EQ(
      single(TarBuilder().entry('\0', "d/", "", "", {.raw_magic = std::string(8, '\0')})).type,
      EntryType::directory);
}

TEST(TarReader, TellsOverlayWhiteoutsApart) {
  EXPECT_TRUE(single(TarBuilder().character_device("gone", 0, 0)).is_overlay_whiteout());
  EXPECT_FALSE(single(TarBuilder().character_device("null", 1, 3)).is_overlay_whiteout());
  EXPECT_FALSE(single(TarBuilder().block_device("gone", 0, 0)).is_overlay_whiteout());
}

std::string capability(int revision, std::size_t size) {
  std::string value(size, '\0');
  value[3] = static_cast<char>(revision);
  value[0] = 1;  // effective
  return value;
}

TEST(TarReader, KeepsOnlyHarmlessXattrs) {
  base::StringSource source(TarBuilder()
                                .pax({{"SCHILY.xattr.user.b", std::string("\0\n=", 3)},
                                      {"SCHILY.xattr.user.a", ""},
                                      {"SCHILY.xattr.security.capability", capability(2, 20)},
                                      {"SCHILY.xattr.trusted.overlay.opaque", "y"},
                                      {"SCHILY.xattr.user.overlay.redirect", "/x"},
                                      {"SCHILY.xattr.user.overlay.overlay.opaque", "y"},
                                      {"SCHILY.xattr.trusted.md5", "y"},
                                      {"SCHILY.xattr.security.selinux", "label"},
                                      {"SCHILY.xattr.security.ima", "x"},
                                      {"SCHILY.xattr.system.posix_acl_access", "x"}})
                                .file("f")
                                .str());
  TarReader reader(source);
  EXPECT_THAT(reader.next()->xattrs,
              ElementsAre(Pair("security.capability", capability(2, 20)), Pair("user.a", ""),
                          Pair("user.b", std::string("\0\n=", 3))));
  EXPECT_EQ(reader.dropped_xattrs(), 7U);
}

TEST(TarReader, KeepsOnlyWellFormedCapabilities) {
  const auto kept = [](const std::string& value) {
    return single(TarBuilder().pax({{"SCHILY.xattr.security.capability", value}}).file("f"))
        .xattrs.size();
  };
  EXPECT_EQ(kept(capability(2, 20)), 1U);
  EXPECT_EQ(kept(capability(3, 24)), 1U);
  EXPECT_EQ(kept(capability(1, 12)), 0U);
  EXPECT_EQ(kept(capability(2, 19)), 0U);
  EXPECT_EQ(kept(capability(2, 24)), 0U);
  EXPECT_EQ(kept(capability(3, 20)), 0U);
  EXPECT_EQ(kept(capability(4, 24)), 0U);
  EXPECT_EQ(kept(std::string(65536, 'x')), 0U);
  EXPECT_EQ(kept("abc"), 0U);
}

TEST(TarReader, LimitsXattrs) {
  const auto with = [](std::size_t count, std::size_t size) {
    TarBuilder::Records records;
    for (std::size_t i = 0; i < count; ++i)
      records.emplace_back("SCHILY.xattr.user.n" + std::to_string(i), std::string(size, 'v'));
    return TarBuilder().pax(records).file("f");
  };
  EXPECT_EQ(refusal(with(63, 1)), "");
  EXPECT_EQ(refusal(with(64, 1)), "");
  EXPECT_THAT(refusal(with(65, 1)), HasSubstr("too many extended attributes"));
  EXPECT_EQ(refusal(with(1, 65535)), "");
  EXPECT_EQ(refusal(with(1, 65536)), "");
  EXPECT_THAT(refusal(with(1, 65537)), HasSubstr("too long"));
}

TEST(TarReader, LimitsPaths) {
  const auto named = [](const std::string& path) {
    return refusal(TarBuilder().pax({{"path", path}}).file("x"));
  };
  EXPECT_EQ(named(std::string(254, 'n')), "");
  EXPECT_EQ(named(std::string(255, 'n')), "");
  EXPECT_THAT(named(std::string(256, 'n')), HasSubstr("too long"));
  const auto deep = [](std::size_t size) {
    std::string path;
    while (path.size() + 3 <= size) path += "d/";
    return path + std::string(size - path.size(), 'f');
  };
  EXPECT_EQ(named(deep(4094)), "");
  EXPECT_EQ(named(deep(4095)), "");
  EXPECT_THAT(named(deep(4096)), HasSubstr("too long"));
  EXPECT_EQ(refusal(TarBuilder().pax({{"linkpath", std::string(4095, 't')}}).symlink("s", "t")),
            "");
  EXPECT_THAT(refusal(TarBuilder().pax({{"linkpath", std::string(4096, 't')}}).symlink("s", "t")),
              HasSubstr("too long"));
}

TEST(TarReader, LimitsPaxHeaders) {
  // The first record fills the header up to the wanted size.
  const auto sized = [](std::size_t size) {
    const std::string digits = std::to_string(size);
    std::string record = digits + " comment=";
    record += std::string(size - record.size() - 1, 'c') + "\n";
    return TarBuilder().pax_text(record).file("f");
  };
  EXPECT_EQ(refusal(sized((1 << 20) - 1)), "");
  EXPECT_EQ(refusal(sized(1 << 20)), "");
  EXPECT_NE(refusal(sized((1 << 20) + 1)), "");

  const auto records = [](std::size_t count) {
    return TarBuilder().pax(TarBuilder::Records(count, {"comment", "c"})).file("f");
  };
  EXPECT_EQ(refusal(records(9'999)), "");
  EXPECT_EQ(refusal(records(10'000)), "");
  EXPECT_THAT(refusal(records(10'001)), HasSubstr("records"));
}

TEST(TarReader, RefusesMalformedPaxHeaders) {
  for (const std::string& text :
       {std::string("0 a=b\n"), std::string("99 a=b\n"), std::string("7 a=b\n"),
        std::string("5 a=b\n"), std::string("99999999999999999999999 a=b\n"),
        std::string("-6 a=b\n"), std::string("a=b\n"), std::string("6 abc\n"),
        std::string("6 =bc\n"), std::string("6 a=bc"), std::string("12 path=a\0b\n", 12),
        std::string("16 linkpath=a\0b\n", 16)})
    EXPECT_NE(refusal(TarBuilder().pax_text(text).file("f")), "") << base::quoted(text);
  EXPECT_EQ(refusal(TarBuilder().pax_text("6 a=b\n").file("f")), "");
}

TEST(TarReader, RefusesHeadersThatNoEntryFollows) {
  EXPECT_NE(refusal(TarBuilder().pax({{"path", "x"}})), "");
  EXPECT_NE(refusal(TarBuilder().gnu_long_name("x")), "");
}

TEST(TarReader, RefusesEndlessChainsOfExtendedHeaders) {
  TarBuilder tar;
  for (int i = 0; i < 20'000; ++i) tar.pax({{"comment", "c"}});
  EXPECT_NE(refusal(tar.file("f")), "");
}

TEST(TarReader, LimitsEntriesAndBytes) {
  const auto files = [](int count) {
    TarBuilder tar;
    for (int i = 0; i < count; ++i) tar.file("f" + std::to_string(i));
    return tar;
  };
  Limits limits;
  limits.entries = 10;
  EXPECT_EQ(refusal(files(9), limits), "");
  EXPECT_EQ(refusal(files(10), limits), "");
  EXPECT_THAT(refusal(files(11), limits), HasSubstr("entries"));

  limits = {};
  limits.uncompressed_bytes = 512 + 1024 + 1024;
  EXPECT_EQ(refusal(TarBuilder().file("f", std::string(1024, 'x')), limits), "");
  EXPECT_THAT(refusal(TarBuilder().file("f", std::string(1025, 'x')), limits),
              HasSubstr("larger than the limit"));
}

TEST(TarReader, RefusesWrongChecksum) {
  EXPECT_NE(refusal(TarBuilder().file("f", "", {.raw_checksum = std::string("0000001\0", 8)})), "");
  EXPECT_NE(
      refusal(TarBuilder().file("g").file("f", "", {.raw_checksum = std::string("0000001\0", 8)})),
      "");
}

TEST(TarReader, RefusesTruncationAtEveryBlock) {
  const TarBuilder tar =
      TarBuilder()
          .directory("d")
          .pax({{"mtime", "1.5"}, {"SCHILY.xattr.user.a", std::string(600, 'x')}})
          .file("d/f", std::string(1500, 'x'))
          .gnu_long_name(std::string(200, 'n'))
          .symlink("s", "t");
  const std::string whole = tar.unterminated();
  for (std::size_t size = 0; size <= whole.size(); size += 512)
    EXPECT_NE(refusal(whole.substr(0, size)), "") << size;
  for (std::size_t size = 100; size <= whole.size(); size += 512)
    EXPECT_NE(refusal(whole.substr(0, size)), "") << size;
  EXPECT_EQ(refusal(whole + std::string(512, '\0')), "");
}

TEST(TarReader, DrainReachesGarbageBehindTheEnd) {
  const std::string tar = TarBuilder().file("f", "x").str() + std::string(9000, '\0') +
                          TarBuilder().file("not-part-of-it").str() + "garbage";
  struct Hashing final : base::ByteSource {
    explicit Hashing(std::string text) : from(std::move(text)) {}
    std::size_t read(std::span<std::byte> buffer) override {
      const std::size_t count = from.read(buffer);
      sha256.update(buffer.first(count));
      return count;
    }
    base::StringSource from;
    base::Sha256 sha256;
  } source(tar);
  TarReader reader(source);
  EXPECT_EQ(reader.next()->path, "f");
  EXPECT_EQ(reader.next(), std::nullopt);
  reader.drain_to_end();
  EXPECT_EQ(source.sha256.finish(), base::Digest::of(tar));
}

TEST(TarReader, ErrorsOfTheSourcePassThrough) {
  struct Failing final : base::ByteSource {
    explicit Failing(std::string text) : from(std::move(text)) {}
    std::size_t read(std::span<std::byte> buffer) override {
      if (const std::size_t count = from.read(buffer)) return count;
      throw base::Error(base::ErrorCode::unavailable, "the line is dead");
    }
    base::StringSource from;
  };
  for (const std::size_t size : {0U, 512U, 700U, 1024U}) {
    Failing source(TarBuilder().file("f", std::string(600, 'x')).file("g").str().substr(0, size));
    TarReader reader(source);
    try {
      while (reader.next()) {
      }
      FAIL() << size;
    } catch (const base::Error& error) {
      EXPECT_EQ(error.code(), base::ErrorCode::unavailable) << size;
    }
  }
}

// ---- sparse files ---------------------------------------------------------------

/// GNU 1.0: the map is text in front of the data, padded to whole blocks.
TarBuilder gnu_sparse_1_0(const std::string& map, const std::string& stored,
                          const std::string& real_size) {
  std::string data = map;
  data.append((512 - data.size() % 512) % 512, '\0');
  return TarBuilder()
      .pax({{"GNU.sparse.major", "1"},
            {"GNU.sparse.minor", "0"},
            {"GNU.sparse.name", "sparse"},
            {"GNU.sparse.realsize", real_size}})
      .file("GNUSparseFile.0/sparse", data + stored)
      .file("after", "x");
}

TEST(TarReader, FillsHolesOfSparseFiles) {
  const auto read = read_tar(gnu_sparse_1_0("2\n1000\n5\n3000\n2\n", "hello!!", "4000").str());
  ASSERT_THAT(paths_of(read), ElementsAre("sparse", "after"));
  EXPECT_EQ(read[0].entry.size_bytes, 4000U);
  EXPECT_EQ(read[0].data, std::string(1000, '\0') + "hello" + std::string(1995, '\0') + "!!" +
                              std::string(998, '\0'));
  EXPECT_EQ(read[1].data, "x");
}

TEST(TarReader, SkipsSparseFilesReadInPart) {
  base::StringSource source(gnu_sparse_1_0("2\n1000\n5\n3000\n2\n", "hello!!", "4000").str());
  TarReader reader(source);
  reader.next();
  std::array<std::byte, 1002> some{};
  EXPECT_EQ(base::read_full(reader.data(), some), some.size());
  EXPECT_EQ(reader.next()->path, "after");
}

TEST(TarReader, RefusesInconsistentSparseMaps) {
  EXPECT_NE(refusal(gnu_sparse_1_0("2\n100\n5\n50\n2\n", "hello!!", "4000")), "");  // overlap
  EXPECT_NE(refusal(gnu_sparse_1_0("1\n-5\n5\n", "hello", "4000")), "");            // negative
  EXPECT_NE(refusal(gnu_sparse_1_0("1\n5000\n5\n", "hello", "4000")), "");          // past the end
  EXPECT_NE(refusal(gnu_sparse_1_0("10000000\n0\n1\n", "h", "4000")), "");          // endless
  EXPECT_NE(refusal(gnu_sparse_1_0("1\n0\n5\n", "hello", "9223372036854775807")), "");  // 2^63 - 1
  EXPECT_NE(refusal(gnu_sparse_1_0("1\n0\n5\n", "hello", "99999999999999999999")), "");
}

TEST(TarReader, HolesCountAgainstTheSizeLimit) {
  Limits limits;
  limits.uncompressed_bytes = 1 << 20;
  EXPECT_EQ(refusal(gnu_sparse_1_0("1\n0\n5\n", "hello", "1048576"), limits), "");
  EXPECT_THAT(refusal(gnu_sparse_1_0("1\n0\n5\n", "hello", "1048577"), limits), HasSubstr("limit"));
}

TEST(TarReader, ReadsEveryFormatOfGnuTar) {
  const std::string make =
      "cat > /dev/null; d=$(mktemp -d) && cd $d && mkdir dir && printf text > dir/f && "
      "truncate -s 300000 sparse && for i in 50000 120000 150000 200000 250000 299995; do "
      "printf hello | dd of=sparse bs=1 seek=$i conv=notrunc status=none; done && "
      "ln dir/f hard && ln -s dir/f soft && tar --sort=name ";
  const std::string tail = " -cf - dir hard soft sparse; status=$?; cd / && rm -r $d; exit $status";
  std::string content(300'000, '\0');
  for (const std::size_t at : {50'000, 120'000, 150'000, 200'000, 250'000, 299'995})
    content.replace(at, 5, "hello");

  for (const char* format :
       {"--format=v7", "--format=oldgnu", "--format=gnu", "--format=ustar", "--format=posix",
        "--format=gnu --sparse", "--format=posix --sparse --sparse-version=0.0",
        "--format=posix --sparse --sparse-version=0.1",
        "--format=posix --sparse --sparse-version=1.0"}) {
    const test::ToolResult made = test::run_tool("( " + make + format + tail + " )", "");
    if (made.status == 127) GTEST_SKIP() << "no GNU tar";
    ASSERT_EQ(made.status, 0) << format;
    const auto read = read_tar(made.output);
    ASSERT_THAT(paths_of(read), ElementsAre("dir", "dir/f", "hard", "soft", "sparse")) << format;
    EXPECT_EQ(read[0].entry.type, EntryType::directory) << format;
    EXPECT_EQ(read[1].data, "text") << format;
    EXPECT_EQ(read[2].entry.link_target, "dir/f") << format;
    EXPECT_EQ(read[3].entry.link_target, "dir/f") << format;
    EXPECT_TRUE(read[4].data == content) << format;
  }
}

TEST(TarReader, NamesTheEntryInErrors) {
  EXPECT_THAT(
      refusal(TarBuilder().file("usr/bin/x\x1b[0m", "", {.raw_uid = TarBuilder::base256(-1, 8)})),
      HasSubstr("usr/bin/x\\"));
}

TEST(TarReader, RandomDamageIsReadOrRefusedAndNothingElse) {
  const std::string whole = TarBuilder()
                                .pax({{"path", "a/b"}, {"SCHILY.xattr.user.x", "y"}})
                                .file("f", "some data")
                                .gnu_long_name(std::string(150, 'n'))
                                .hardlink("h", "a/b")
                                .str() +
                            gnu_sparse_1_0("2\n1000\n5\n3000\n2\n", "hello!!", "4000").str();
  std::mt19937 random(1);
  for (int i = 0; i < 3'000; ++i) {
    std::string tar = whole;
    const std::size_t block = random() % (tar.size() / 512) * 512;
    for (auto changes = 1 + random() % 4; changes > 0; --changes)
      tar[block + random() % 512] = static_cast<char>(random());
    std::string header = tar.substr(block, 512);
    TarBuilder::seal(header);  // else the checksum alone would refuse nearly all of them
    if (random() % 2 == 0) tar.replace(block, 512, header);
    refusal(tar);  // throws nothing but Error(corrupt)
  }
}

TEST(TarReader, ManyBrokenTarsLeaveNothingBehind) {
  for (int i = 0; i < 2'000; ++i)
    EXPECT_NE(refusal(TarBuilder().file("ok", "data").file("../bad")), "");
}

}  // namespace
}  // namespace strake::layers
