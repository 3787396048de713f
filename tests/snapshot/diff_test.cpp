#include "layers/snapshot/diff.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "layers/archive/tar_reader.h"
#include "tests/snapshot/tree_fixture.h"

namespace strake::layers {
namespace {

using test::TarBuilder;

/// "path type" of each entry.
std::vector<std::string> entries_of(const std::string& tar) {
  base::StringSource source(tar);
  TarReader reader(source);
  std::vector<std::string> entries;
  while (const auto entry = reader.next()) {
    std::string line = entry->path;
    if (entry->type == EntryType::directory) line += "/";
    if (entry->type == EntryType::symlink) line += " -> " + entry->link_target;
    if (entry->type == EntryType::hardlink) line += " = " + entry->link_target;
    entries.push_back(line);
  }
  return entries;
}

using Lines = std::vector<std::string>;

class Diff : public test::TreeTest {
 protected:
  /// A layer with something of everything.
  static std::string rich_layer() {
    const std::string capability("\x01\0\0\x02\0\x04\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 20);
    return TarBuilder()
        .directory("a", {.mode = 0755, .mtime = 100})
        .file("a/.wh.removed")
        .file("a/text", "some text", {.mode = 0644, .uid = 1000, .gid = 1000, .mtime = 200})
        .hardlink("a/zlink", "a/text")
        .directory("a-b", {.mode = 01777, .mtime = 300})
        .file("a-b/.wh..wh..opq")
        .pax({{"SCHILY.xattr.security.capability", capability}})
        .file("a-b/ping", std::string(300000, 'p'), {.mode = 04755, .uid = 5, .mtime = 400})
        .pax({{"SCHILY.xattr.user.note", "directory"}})
        .directory("c", {.mode = 0700, .uid = 6, .gid = 7, .mtime = 500})
        .symlink("c/link", "../a/text", {.mode = 0777, .uid = 8, .mtime = 600})
        .fifo("c/pipe")
        .character_device("c/zero", 1, 5)
        .block_device("c/disk", 254, 0)
        .file(std::string(120, 'n') + "/" + std::string(200, 'm'), "long name")
        .str();
  }
};

TEST_F(Diff, TreeOfATarOfATreeIsTheSame) {
  apply(rich_layer());
  const std::string tar = tar_of(tree());
  const auto again = make("again");
  apply_to(again, tar);
  EXPECT_EQ(test::listing(again), test::listing(tree()));
  EXPECT_TRUE(tar_of(again) == tar);
  EXPECT_TRUE(tar_of(tree()) == tar);
}

TEST_F(Diff, EntriesAreOrderedWithWhiteoutsFirst) {
  apply(TarBuilder()
            .file("b/z")
            .file("b/a")
            .file("b/.wh.y")
            .file("b/.wh.c")
            .file("b/.wh..wh..opq")
            .file("b-1")
            .symlink("l", "b")
            .str());
  EXPECT_EQ(entries_of(tar_of(tree())),
            (Lines{"b/", "b/.wh..wh..opq", "b/.wh.c", "b/.wh.y", "b/a", "b/z", "b-1", "l -> b"}));
}

TEST_F(Diff, WhiteoutEntriesHaveNoMetadata) {
  apply(TarBuilder().file(".wh.x", "", {.mode = 0777, .uid = 4, .mtime = 1234}).str());
  base::StringSource source(tar_of(tree()));
  TarReader reader(source);
  const auto entry = reader.next();
  ASSERT_TRUE(entry);
  EXPECT_EQ(entry->path, ".wh.x");
  EXPECT_EQ(entry->type, EntryType::file);
  EXPECT_EQ(entry->mode, 0U);
  EXPECT_EQ(entry->uid, 0U);
  EXPECT_EQ(entry->mtime.tv_sec, 0);
}

TEST_F(Diff, FirstOfSeveralHardLinksIsTheFile) {
  apply(TarBuilder().file("z", "x").hardlink("a", "z").hardlink("m/k", "z").str());
  EXPECT_EQ(entries_of(tar_of(tree())), (Lines{"a", "m/", "m/k = a", "z = a"}));
}

TEST_F(Diff, SocketsAreLeftOut) {
  const base::FileDescriptor socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  struct ::sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  const std::string path = (tree() / "s").native();
  ASSERT_LT(path.size(), sizeof address.sun_path);
  path.copy(address.sun_path, path.size());
  ASSERT_EQ(::bind(socket.get(), reinterpret_cast<struct ::sockaddr*>(&address), sizeof address),
            0);
  EXPECT_EQ(entries_of(tar_of(tree())), Lines{});
}

// Case D35: what a layer cannot say is refused or left out, however a step made it.
TEST_F(Diff, NamesThatWouldBeReadAsWhiteoutsAreRefused) {
  test::write_file(tree() / ".wh.mine", "x");
  try {
    tar_of(tree());
    FAIL();
  } catch (const base::Error& error) {
    EXPECT_EQ(error.code(), base::ErrorCode::invalid_input);
  }
}

TEST_F(Diff, OverlayfsOwnAttributesAreLeftOut) {
  test::write_file(tree() / "f", "x");
  ASSERT_EQ(::lsetxattr((tree() / "f").c_str(), "trusted.overlay.origin", "abc", 3, 0), 0);
  ASSERT_EQ(::lsetxattr((tree() / "f").c_str(), "user.overlay.impure", "y", 1, 0), 0);
  base::StringSource source(tar_of(tree()));
  TarReader reader(source);
  EXPECT_TRUE(reader.next()->xattrs.empty());
  EXPECT_EQ(reader.dropped_xattrs(), 0U);
}

TEST_F(Diff, ClampedTimesAreClampedInTheTreeToo) {
  apply(TarBuilder()
            .directory("d", {.mode = 0755, .mtime = 5000})
            .file("d/new", "x", {.mtime = 6000})
            .symlink("d/link", "new", {.mtime = 7000})
            .file("d/old", "x", {.mtime = 10})
            .str());
  const std::string clamped = tar_of(tree(), {.clamp_mtime = 4000});
  EXPECT_TRUE(tar_of(tree()) == clamped);
  EXPECT_EQ(test::stat_of(tree() / "d").st_mtim.tv_sec, 4000);
  EXPECT_EQ(test::stat_of(tree() / "d/new").st_mtim.tv_sec, 4000);
  EXPECT_EQ(test::stat_of(tree() / "d/link").st_mtim.tv_sec, 4000);
  EXPECT_EQ(test::stat_of(tree() / "d/old").st_mtim.tv_sec, 10);
}

TEST_F(Diff, FilesAreReadBelowPathsThatNoCallTakes) {
  base::FileDescriptor directory = test::open_directory(tree());
  const std::string name(200, 'd');
  std::string path;
  for (int depth = 0; depth < 25; ++depth) {
    ASSERT_EQ(::mkdirat(directory.get(), name.c_str(), 0755), 0);
    directory = base::FileDescriptor(::openat(directory.get(), name.c_str(), O_RDONLY | O_CLOEXEC));
    path += name + "/";
  }
  const base::FileDescriptor file(
      ::openat(directory.get(), "file", O_WRONLY | O_CREAT | O_CLOEXEC, 0644));
  base::write_full(file.get(), base::bytes_of("deep"), "file");

  const std::string tar = tar_of(tree());
  EXPECT_NE(tar.find("path=" + path + "file"), std::string::npos);
  EXPECT_NE(tar.find("deep"), std::string::npos);
}

TEST_F(Diff, ManySmallFilesInManyDirectoriesNeedFewDescriptors) {
  for (int i = 0; i < 3000; ++i) {
    const auto directory = tree() / std::to_string(i);
    ASSERT_TRUE(std::filesystem::create_directory(directory));
    test::write_file(directory / "file", std::string(1000, 'x'));
  }
  struct rlimit before {};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  const struct rlimit few { 100, before.rlim_max };
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &few), 0);
  const std::string tar = tar_of(tree());
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
  EXPECT_EQ(tar.size(), 3000 * (512 + 512 + 1024) + 1024U);
}

// Small files are made into tar by runs; what a run does not take on comes between its entries.
TEST_F(Diff, LargeFilesLinksAndAttributesKeepTheirPlaceAmongSmallFiles) {
  for (int i = 0; i < 1000; ++i) {
    const auto directory = tree() / ("d" + std::to_string(i / 90));
    std::filesystem::create_directory(directory);
    const auto path = directory / ("f" + std::to_string(i));
    test::write_file(path, std::string(static_cast<std::size_t>(i) * 7, 'x'));
    if (i % 50 == 3) test::write_file(path, std::string(3 << 20, static_cast<char>(i)));
    if (i % 40 == 4) std::filesystem::create_hard_link(path, tree() / ("link" + std::to_string(i)));
    if (i % 30 == 5) {
      ASSERT_EQ(::lsetxattr(path.c_str(), "user.note", "v", 1, 0), 0);
    }
    if (i % 30 == 6) std::filesystem::create_symlink("f", path.native() + "s");
    if (i % 30 == 7) std::filesystem::create_directory(path.native() + "d");
  }
  // tar_of() compares with what one thread writes.
  EXPECT_GT(tar_of(tree()).size(), 60U << 20);
  const std::string clamped = tar_of(tree(), {.clamp_mtime = 4000});
  EXPECT_TRUE(tar_of(tree()) == clamped);
}

TEST_F(Diff, RunsThatAreFullLeaveTheRest) {
  for (int i = 0; i < 60; ++i)
    test::write_file(tree() / std::to_string(i),
                     std::string(200'000, static_cast<char>('a' + i % 20)));
  EXPECT_EQ(tar_of(tree()).size(), 60 * (512 + 200'192U) + 1024);
}

// A time for each file would have to be written to the disk.
TEST_F(Diff, AccessTimesStayAsTheyAre) {
  apply(TarBuilder().directory("d").file("d/small", "x").file("d/other", "y").str());
  test::write_file(tree() / "d/large", std::string(1 << 20, 'x'));
  const struct timespec never[2] = {{1, 0}, {0, UTIME_OMIT}};
  for (const char* name : {"d", "d/small", "d/other", "d/large"})
    ASSERT_EQ(::utimensat(AT_FDCWD, (tree() / name).c_str(), never, 0), 0);
  tar_by_threads(tree(), {});
  for (const char* name : {"d", "d/small", "d/other", "d/large"})
    EXPECT_EQ(test::stat_of(tree() / name).st_atim.tv_sec, 1) << name;
}

TEST_F(Diff, OpaqueMarksOfAnUpperDirectoryStayWhereTheyHideSomething) {
  const std::vector<std::filesystem::path> below = {make("below")};
  apply_to(below.front(), TarBuilder().directory("old/inner").directory("d").str());
  apply(TarBuilder()
            .directory("d/new")
            .directory("old/inner")
            .directory("older")  // a name that begins like another
            .str());
  for (const char* name : {"d/new", "old", "old/inner", "older"})
    ASSERT_EQ(::setxattr((tree() / name).c_str(), "trusted.overlay.opaque", "y", 1, 0), 0);
  EXPECT_EQ(entries_of(tar_of(tree(), {.below = below})),
            (Lines{"d/", "d/new/", "old/", "old/.wh..wh..opq", "old/inner/", "older/"}));
  EXPECT_FALSE(test::is_opaque_at(tree() / "d/new"));
  EXPECT_TRUE(test::is_opaque_at(tree() / "old"));
  EXPECT_FALSE(test::is_opaque_at(tree() / "old/inner"));
  EXPECT_FALSE(test::is_opaque_at(tree() / "older"));
}

TEST_F(Diff, EmptyTreeIsAnEmptyTar) {
  EXPECT_TRUE(tar_of(tree()) == std::string(1024, '\0'));
}

TEST_F(Diff, RecordedOwnersAndDevicesAreWrittenBack) {
  test::write_file(tree() / "file", "x");
  test::write_file(tree() / "null", "");
  const auto record = [&](const char* name, const std::string& value) {
    ASSERT_EQ(::lsetxattr((tree() / name).c_str(), kOwnerXattr, value.data(), value.size(), 0), 0);
  };
  record("file", "1000:1001");
  record("null", "0:5:20600:1:3");  // the permissions are those of the file
  ASSERT_EQ(::chmod((tree() / "null").c_str(), 0666), 0);
  base::StringSource source(tar_of(tree(), {.xattrs = XattrNamespace::user}));
  TarReader reader(source);
  const auto file = reader.next();
  EXPECT_EQ(file->uid, 1000U);
  EXPECT_EQ(file->gid, 1001U);
  EXPECT_TRUE(file->xattrs.empty());
  const auto device = reader.next();
  EXPECT_EQ(device->type, EntryType::character_device);
  EXPECT_EQ(device->mode, 0666U);
  EXPECT_EQ(device->gid, 5U);
  EXPECT_EQ(device->device_minor, 3U);
}

}  // namespace
}  // namespace strake::layers
