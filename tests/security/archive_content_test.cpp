// Tars whose entries, attributes and numbers want to be more than files of a layer.

#include <gmock/gmock.h>
#include <sys/resource.h>

#include <cstdlib>

#include "layers/archive/compression.h"
#include "layers/base/worker_pool.h"
#include "tests/security/archive_fixture.h"
#include "tests/support/rung.h"

namespace strake {
namespace {

namespace fs = std::filesystem;
using layers::MountStack;
using layers::Writable;
using sandbox::Isolation;
using test::TarBuilder;
using testing::HasSubstr;

class ArchiveContent : public test::ArchiveCase {
 protected:
  /// A layer with files that another one would like to hide or to show.
  base::DiffId lower() const {
    return unpack(TarBuilder().file("d/kept", "kept").file("secret/key", "key").str()).diff_id;
  }
  std::size_t stored_trees() const {
    std::size_t count = 0;
    for (const base::DiffId& layer : layers().list())
      if (fs::exists(layers().tree_path(layer))) ++count;
    return count;
  }
  bool overlay() const { return test::rung() != Isolation::chroot; }
};

// Case A08: nothing of a layer is loaded or executed by its unpacking: libraries of character sets
// and names, and decompressors, stand where they would be looked for after a change of the root.
TEST_F(ArchiveContent, IsNeverLoadedOrExecuted) {
  TarBuilder tar;
  const std::string trap = "#!/bin/sh\necho trapped >" + outside().native() + "/secret\n";
  for (const char* program : {"usr/bin/xz", "usr/bin/unpigz", "usr/bin/zstd", "bin/sh"})
    tar.file(program, trap, {.mode = 0755});
  for (const char* library : {"gconv/gconv-modules", "gconv/UTF-16.so", "libnss_files.so.2"})
    tar.file(std::string("usr/lib/x86_64-linux-gnu/") + library, trap, {.mode = 0755});
  tar.pax({{"path", "caf\xc3\xa9"}}).file("x").file("latin\xe9");
  ::setenv("PATH", (layers().tree_path(diff_id_of(tar.str())) / "usr/bin").c_str(), 1);
  const fs::path tree = tree_of(tar.str());
  ::setenv("PATH", "/usr/bin:/bin", 1);
  EXPECT_TRUE(fs::exists(tree / "latin\xe9"));
  const std::string maps = base::read_file("/proc/self/maps").value();
  EXPECT_EQ(maps.find(top().native()), std::string::npos);
}

// Case A13: a layer's own entries survive its whiteouts, whatever the order.
TEST_F(ArchiveContent, WhiteoutsHideOnlyWhatIsBelow) {
  if (!overlay()) GTEST_SKIP() << "the chroot rung merges trees by itself";
  const base::DiffId below = lower();
  const auto merged = [&](const TarBuilder& tar) {
    const std::vector<base::DiffId> both = {below, unpack(tar.str()).diff_id};
    const MountStack stack(store(), layers(), both, Writable::no);
    std::string names;
    for (const std::string& name : stack.root().list("d")) names += name + " ";
    return names;
  };
  const char* opaque = "d/.wh..wh..opq";
  EXPECT_EQ(merged(TarBuilder().file("d/.wh.new").file("d/new")), "kept new ");
  EXPECT_EQ(merged(TarBuilder().file("d/new").file("d/.wh.new")), "kept new ");
  EXPECT_EQ(merged(TarBuilder().file("d/.wh.kept").file("d/kept", "own")), "kept ");
  EXPECT_EQ(merged(TarBuilder().file("d/.wh.kept")), "");
  EXPECT_EQ(merged(TarBuilder().file("d/new").file(opaque)), "new ");
  EXPECT_EQ(merged(TarBuilder().file(opaque).file("d/new")), "new ");
  EXPECT_EQ(merged(TarBuilder().file("d/.wh.never")), "kept ");
  EXPECT_EQ(merged(TarBuilder().file(".wh.d").file("d/new")), "new ");
}

// Case A15: a device 0:0 is no way to hide files of lower layers.
// Case A16: nor are the attributes of overlayfs, to hide files or to show them elsewhere.
TEST_F(ArchiveContent, OfOverlayfsIsDropped) {
  const auto record = [](const std::string& name, const char* value) {
    return std::pair<std::string, std::string>("SCHILY.xattr." + name, value);
  };
  TarBuilder tar;
  tar.character_device("secret/key", 0, 0).character_device("d/kept", 0, 0);
  TarBuilder::Records records;
  for (const std::string space : {"trusted.overlay.", "user.overlay.", "user.overlay.overlay."})
    for (const char* name : {"redirect", "metacopy", "origin", "impure", "nlink", "protattr",
                             "whiteout", "whiteouts", "uuid", "upper"})
      records.push_back(record(space + name, "/secret"));
  records.push_back(record("trusted.overlay.opaque", "y"));
  records.push_back(record("user.overlay.opaque", "y"));
  tar.pax(records).directory("d");
  const std::vector<base::DiffId> both = {lower(), unpack(tar.str()).diff_id};
  const auto xattrs =
      base::xattrs_of(test::open_directory(layers().tree_path(both[1]) / "d").get(), "d");
  for (const auto& [name, value] : xattrs) EXPECT_EQ(name.find("overlay"), std::string::npos);
  if (!overlay()) return;
  const MountStack merged(store(), layers(), both, Writable::yes);
  EXPECT_EQ(merged.root().list("d"), std::vector<std::string>{"kept"});
  EXPECT_EQ(merged.root().list("secret"), std::vector<std::string>{"key"});
  merged.root().remove_tree("d");
  EXPECT_EQ(merged.root().list(""), std::vector<std::string>{"secret"});
}

// Case A17: capabilities only where they are well-formed; what is set-uid in the store is out of
// everybody else's reach.
// Case A18: attributes of the machine's security modules, and more or longer ones than any file
// needs.
TEST_F(ArchiveContent, HasOnlyHarmlessAttributes) {
  const std::string good("\x01\0\0\x02\0\x04\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 20);
  const auto with = [](const std::string& name, const std::string& value) {
    return TarBuilder()
        .pax({{"SCHILY.xattr." + name, value}})
        .file("f", "x", {.mode = 04755})
        .str();
  };
  const auto names = [&](const std::string& tar) {
    std::string all;
    const base::FileDescriptor file(::open((tree_of(tar) / "f").c_str(), O_RDONLY | O_CLOEXEC));
    for (const auto& [name, value] : base::xattrs_of(file.get(), "f"))
      if (name != "user.strake.owner") all += name + " ";
    return all;
  };
  EXPECT_EQ(names(with("user.note", "x")), "user.note ");
  if (test::rung() == Isolation::root) {
    EXPECT_EQ(names(with("security.capability", good)), "security.capability ");
  }
  EXPECT_EQ(names(with("security.capability", good.substr(0, 11))), "");
  EXPECT_EQ(names(with("security.capability", std::string(60000, '\1'))), "");
  for (const char* name : {"security.selinux", "security.ima", "system.posix_acl_access",
                           "trusted.x", "user.strake.owner"})
    EXPECT_EQ(names(with(name, "0:0 04755")), "") << name;
  EXPECT_THAT(refusal(with("user.long", std::string(70000, 'x'))), HasSubstr("f"));
  TarBuilder::Records many;
  for (int i = 0; i < 100; ++i) many.emplace_back("SCHILY.xattr.user.n" + std::to_string(i), "x");
  EXPECT_NE(refusal(TarBuilder().pax(many).file("many").str()), "");
  EXPECT_EQ(test::stat_of(root()).st_mode & 0777, 0700U);
}

// Case A19: devices are made or recorded, and open nothing; sockets are left out.
TEST_F(ArchiveContent, OfDevicesOpensNothing) {
  const std::string tar =
      TarBuilder().character_device("log", 1, 11).block_device("b", 7, 0).fifo("p").str();
  const std::vector<base::DiffId> layer = {unpack(tar).diff_id};
  EXPECT_TRUE(S_ISFIFO(test::stat_of(layers().tree_path(layer[0]) / "p").st_mode));
  if (!overlay()) return;
  const MountStack stack(store(), layers(), layer, Writable::no);
  for (const char* node : {"log", "b"}) {
    const base::FileDescriptor opened(
        ::openat(stack.root().fd(), node, O_RDONLY | O_NONBLOCK | O_CLOEXEC));
    char byte;
    EXPECT_LE(opened ? ::read(opened.get(), &byte, 1) : -1, 0) << node;
  }
}

// Case A20: maps of holes that do not add up, and files that are nothing but holes.
// Case A21: extended headers that are too large, or lie about their length.
// Case A23: numbers out of range.
// Case A24: archives that end early, or were changed.
TEST_F(ArchiveContent, ThatLiesIsRefused) {
  const auto sparse = [](const char* real_size, const char* map) {
    return TarBuilder()
        .pax({{"GNU.sparse.major", "0"},
              {"GNU.sparse.minor", "1"},
              {"GNU.sparse.name", "f"},
              {"GNU.sparse.size", real_size},
              {"GNU.sparse.map", map}})
        .file("f", std::string(512, 'x'))
        .str();
  };
  const auto field = [](test::TarFields fields) {
    return TarBuilder().file("f", "", fields).str();
  };
  const std::string whole = TarBuilder().file("f", std::string(2000, 'x')).file("g").str();
  const std::pair<const char*, std::string> lies[] = {
      {"holes", sparse("9223372036854775807", "0,512")},
      {"beyond the end", sparse("100", "0,512")},
      {"overlap", sparse("10000", "0,300,100,212")},
      {"negative", sparse("10000", "-5,512")},
      {"too long pax", TarBuilder().pax({{"comment", std::string(2 << 20, 'x')}}).file("f").str()},
      {"length 0", TarBuilder().pax_text("0 path=x\n").file("f").str()},
      {"length lies", TarBuilder().pax_text("99 path=x\n").file("f").str()},
      {"no newline", TarBuilder().pax_text("9 path=xy").file("f").str()},
      {"zero byte", TarBuilder().pax({{"path", std::string("a\0b", 3)}}).file("f").str()},
      {"negative size", field({.raw_size = TarBuilder::base256(-1, 12)})},
      {"huge size", field({.raw_size = TarBuilder::base256(INT64_MAX, 12)})},
      {"huge uid", field({.raw_uid = TarBuilder::base256(1L << 32, 8)})},
      {"negative uid", field({.raw_uid = TarBuilder::base256(-2, 8)})},
      {"checksum", field({.raw_checksum = "000000"})},
      {"header alone", whole.substr(0, 512)},
      {"half a file", whole.substr(0, 1536)},
      {"long component", TarBuilder().pax({{"path", std::string(300, 'x')}}).file("f").str()},
  };
  for (const auto& [what, tar] : lies) {
    EXPECT_NE(refusal(tar), "") << what;
    EXPECT_NE(context_refusal(tar), "") << what;
  }
}

// Case A22: the size of the extended header decides where the next entry is.
TEST_F(ArchiveContent, InAFileIsNoEntry) {
  const std::string inner = TarBuilder().file("smuggled", "evil").unterminated();
  const std::string tar = TarBuilder()
                              .pax({{"size", std::to_string(inner.size())}})
                              .raw(TarBuilder::header('0', "f", "", 0, {}))
                              .raw(inner)
                              .file("after", "x")
                              .str();
  const fs::path tree = tree_of(tar);
  EXPECT_FALSE(fs::exists(tree / "smuggled"));
  EXPECT_EQ(test::read_file(tree / "f"), inner);
  EXPECT_TRUE(fs::exists(tree / "after"));
}

// Case A25: one path very often, as everything in turn: the last one counts.
TEST_F(ArchiveContent, OfOnePathIsTheLastOfIt) {
  TarBuilder tar;
  for (int i = 0; i < 300; ++i)
    tar.file("x", "1").directory("x").file("x/y").symlink("x", "/etc").fifo("x");
  tar.file("x", "last");
  EXPECT_EQ(test::read_file(tree_of(tar.str()) / "x"), "last");
}

// Case A26: names are bytes; in messages they are quoted.
TEST_F(ArchiveContent, KeepsNamesAndQuotesThem) {
  const std::string odd[] = {std::string(255, 'n'),
                             "new\nline",
                             "\x1b[2J",
                             "\xff\xfe",
                             "dot.",
                             "c:\\x",
                             "blank ",
                             "\xe2\x80\xae"
                             "txt"};
  TarBuilder tar;
  for (const std::string& name : odd) tar.pax({{"path", name}}).file("x");
  const fs::path tree = tree_of(tar.str());
  for (const std::string& name : odd) EXPECT_TRUE(fs::exists(tree / name)) << base::quoted(name);
  const std::string why = refusal(
      TarBuilder().pax({{"path", "\x1b[2Jx"}, {"linkpath", "\x1b]52;c"}}).hardlink("x", "y").str());
  EXPECT_THAT(why, HasSubstr("\\x1b"));
  EXPECT_EQ(why.find('\x1b'), std::string::npos);
}

// Case A27: what grows more than any honest archive does.
TEST_F(ArchiveContent, ThatExplodesIsRefused) {
  base::StringSink bomb;
  base::WorkerPool pool(1);
  const auto compressor = layers::make_compressor(oci::Compression::zstd, std::nullopt, bomb, pool);
  const std::string block(1 << 20, '\0');
  compressor->write(base::bytes_of(TarBuilder::header('0', "f", "", 1 << 30, {})));
  for (int i = 0; i < 256; ++i) compressor->write(base::bytes_of(block));
  compressor->finish();
  EXPECT_NE(context_refusal(bomb.text), "");
}

// Case A28: what is compressed otherwise than its media type says.
TEST_F(ArchiveContent, IsCompressedAsItSays) {
  using layers::ArchiveCompression;
  const std::string plain = TarBuilder().file("f", "x").str();
  base::StringSink zstd;
  base::WorkerPool pool(1);
  const auto compressor = layers::make_compressor(oci::Compression::zstd, std::nullopt, zstd, pool);
  compressor->write(base::bytes_of(plain));
  compressor->finish();
  for (const auto& form :
       {std::pair(plain, ArchiveCompression::gzip), std::pair(plain, ArchiveCompression::zstd),
        std::pair(zstd.text, ArchiveCompression::gzip),
        std::pair(zstd.text, ArchiveCompression::none)}) {
    EXPECT_NE(refusal_of([&] {
                const auto tar = layers::make_decompressor(
                    std::make_unique<base::StringSource>(form.first), form.second);
                layers().unpack(*tar, diff_id_of(plain));
              }),
              "");
    EXPECT_EQ(stored_trees(), 0U);
  }
}

// Case A29: thousands of broken layers in one process cost neither descriptors nor memory.
TEST_F(ArchiveContent, ThatIsBrokenLeavesNothing) {
  const auto descriptors = [] {
    return std::distance(fs::directory_iterator("/proc/self/fd"), fs::directory_iterator());
  };
  const auto peak_kilobytes = [] {
    rusage usage{};
    ::getrusage(RUSAGE_SELF, &usage);
    return usage.ru_maxrss;
  };
  const auto broken = [](int i) {
    return TarBuilder().file("d/" + std::to_string(i), "x").hardlink("l", "none").str();
  };
  for (int i = 0; i < 20; ++i) refusal(broken(i));
  const auto open = descriptors();
  const long memory = peak_kilobytes();
  for (int i = 20; i < 100; ++i) ASSERT_NE(refusal(broken(i)), "");
  EXPECT_EQ(descriptors(), open);
  EXPECT_LT(peak_kilobytes() - memory, 20000);
  EXPECT_EQ(stored_trees(), 0U);
}

// Case A30: a tree deeper than any path, and one directory with very many files; both can be
// removed again when the archive turns out broken.
TEST_F(ArchiveContent, OfAnyShapeCanBeRemoved) {
  TarBuilder deep;
  std::string path;
  const int depth = test::rung() == Isolation::root ? 2000 : 200;
  for (int i = 0; i < depth; ++i) {
    path += i == 0 ? "d" : "/d";
    deep.pax({{"path", path + "/"}}).directory("d");
  }
  EXPECT_NE(refusal(deep.hardlink("l", "none").str()), "");
  TarBuilder wide;
  for (int i = 0; i < 1000; ++i) wide.file("w/" + std::to_string(i));
  EXPECT_NE(refusal(wide.hardlink("l", "none").str()), "");
  EXPECT_EQ(stored_trees(), 0U);
}

// Case A31: a layer is stored under the digest that was computed here.
TEST_F(ArchiveContent, IsStoredUnderItsOwnDigestOnly) {
  const base::DiffId victim{base::Digest::of("another layer")};
  base::StringSource evil(TarBuilder().file("f", "evil").str());
  EXPECT_NE(refusal_of([&] { layers().unpack(evil, victim); }), "");
  EXPECT_EQ(stored_trees(), 0U);
}

}  // namespace
}  // namespace strake
