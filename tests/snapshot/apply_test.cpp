#include "layers/snapshot/apply.h"

#include <gmock/gmock.h>

#include "tests/snapshot/unpacking_fixture.h"

namespace strake::layers {
namespace {

using test::is_opaque_at;
using test::is_whiteout_at;
using test::stat_of;
using test::TarBuilder;
using test::fs::exists;
using testing::HasSubstr;

/// Each layer is also unpacked with and without helpers, which must come to the same.
class Apply : public test::UnpackingTest {
 protected:
  ApplyResult apply(const std::string& tar) {
    expect_the_same_by_threads(tar);
    return TreeTest::apply(tar);
  }
  std::string refusal(const std::string& tar) {
    expect_the_same_by_threads(tar);
    return TreeTest::refusal(tar);
  }
};

TEST_F(Apply, GivesFilesTheirOwnersModesAndTimes) {
  apply(TarBuilder()
            .directory("d", {.mode = 01777, .uid = 3, .gid = 4, .mtime = 1000})
            .file("d/suid", "#!", {.mode = 04755, .uid = 1, .gid = 2, .mtime = 2000})
            .symlink("d/l", "suid", {.uid = 5, .gid = 6, .mtime = 3000})
            .fifo("d/p")
            .character_device("d/null", 1, 3)
            .str());
  const auto directory = stat_of(tree() / "d");
  EXPECT_EQ(directory.st_mode, S_IFDIR | 01777U);
  EXPECT_EQ(directory.st_uid, 3U);
  EXPECT_EQ(directory.st_gid, 4U);
  EXPECT_EQ(directory.st_mtim.tv_sec, 1000);  // though files were added later
  const auto file = stat_of(tree() / "d/suid");
  EXPECT_EQ(file.st_mode, S_IFREG | 04755U);  // chown clears setuid: it came first
  EXPECT_EQ(file.st_uid, 1U);
  EXPECT_EQ(file.st_mtim.tv_sec, 2000);
  EXPECT_EQ(test::read_file(tree() / "d/suid"), "#!");
  const auto link = stat_of(tree() / "d/l");
  EXPECT_EQ(link.st_uid, 5U);
  EXPECT_EQ(link.st_mtim.tv_sec, 3000);
  EXPECT_TRUE(S_ISFIFO(stat_of(tree() / "d/p").st_mode));
  EXPECT_EQ(stat_of(tree() / "d/null").st_rdev, ::makedev(1, 3));
}

/// The umask has a say in the modes that files are created with, and none in those they get.
TEST_F(Apply, ModesAreExactWhateverTheUmask) {
  TarBuilder tar;
  const std::vector<std::uint32_t> modes = {0644, 0755, 0666, 0777, 0400, 0, 0604, 04755, 02711};
  for (const char* round : {"a", "b"})  // the second file of a mode goes another way
    for (const std::uint32_t mode : modes)
      tar.file(round + std::to_string(mode), "x", {.mode = mode});
  const mode_t before = ::umask(027);
  apply(tar.str());
  ::umask(before);
  for (const char* round : {"a", "b"})
    for (const std::uint32_t mode : modes)
      EXPECT_EQ(stat_of(tree() / (round + std::to_string(mode))).st_mode & 07777, mode) << round;
}

TEST_F(Apply, MakesMissingParentsReadable) {
  apply(TarBuilder().file("usr/share/doc/x", "x", {.uid = 7, .mtime = 5000}).str());
  const auto directory = stat_of(tree() / "usr/share");
  EXPECT_EQ(directory.st_mode, S_IFDIR | 0755U);
  EXPECT_EQ(directory.st_uid, 0U);
  EXPECT_EQ(directory.st_mtim.tv_sec, 5000);
}

TEST_F(Apply, KeepsCapabilitiesThoughTheOwnerChanges) {
  const std::string capability("\x01\0\0\x02\0\x04\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 20);
  apply(TarBuilder()
            .pax({{"SCHILY.xattr.security.capability", capability},
                  {"SCHILY.xattr.user.note", "kept"}})
            .file("ping", "x", {.mode = 0755, .uid = 9})
            .str());
  EXPECT_EQ(test::xattr_of(tree() / "ping", "security.capability"), capability);
  EXPECT_EQ(test::xattr_of(tree() / "ping", "user.note"), "kept");
}

TEST_F(Apply, DropsAttributesThatOverlayfsWouldObey) {
  const ApplyResult result = apply(TarBuilder()
                                       .pax({{"SCHILY.xattr.trusted.overlay.opaque", "y"},
                                             {"SCHILY.xattr.trusted.overlay.redirect", "/etc"},
                                             {"SCHILY.xattr.user.overlay.opaque", "y"},
                                             {"SCHILY.xattr.user.strake.owner", "1:1"},
                                             {"SCHILY.xattr.security.selinux", "label"}})
                                       .directory("d")
                                       .str());
  EXPECT_FALSE(is_opaque_at(tree() / "d"));
  EXPECT_EQ(test::xattr_of(tree() / "d", "trusted.overlay.redirect"), "(none)");
  EXPECT_EQ(test::xattr_of(tree() / "d", "user.overlay.opaque"), "(none)");
  EXPECT_EQ(test::xattr_of(tree() / "d", "user.strake.owner"), "(none)");
  EXPECT_EQ(result.dropped_xattrs, 5U);
}

TEST_F(Apply, DropsDevicesThatOverlayfsTakesForWhiteouts) {
  EXPECT_EQ(apply(TarBuilder().character_device("f", 0, 0).str()).dropped_entries, 1U);
  EXPECT_FALSE(is_whiteout_at(tree() / "f"));
}

// ---- Where whiteouts stand in the tar does not matter ----

TEST_F(Apply, WhiteoutBecomesADevice) {
  apply(TarBuilder().file("d/.wh.gone").file(".wh.top").str());
  EXPECT_TRUE(is_whiteout_at(tree() / "d/gone"));
  EXPECT_TRUE(is_whiteout_at(tree() / "top"));
}

TEST_F(Apply, FileBesideItsWhiteoutStaysInEitherOrder) {
  apply(TarBuilder().file(".wh.a").file("a", "new").file("b", "new").file(".wh.b").str());
  EXPECT_EQ(test::read_file(tree() / "a"), "new");
  EXPECT_EQ(test::read_file(tree() / "b"), "new");
}

TEST_F(Apply, DirectoryBesideItsWhiteoutIsOpaqueInEitherOrder) {
  apply(TarBuilder()
            .file(".wh.a")
            .directory("a")
            .directory("b")
            .file("b/x", "x")
            .file(".wh.b")
            .file(".wh.c")
            .file("c/x", "x")
            .str());
  for (const char* name : {"a", "b", "c"}) EXPECT_TRUE(is_opaque_at(tree() / name)) << name;
  EXPECT_EQ(test::read_file(tree() / "b/x"), "x");
  EXPECT_EQ(test::read_file(tree() / "c/x"), "x");
}

TEST_F(Apply, OpaqueMarkMayComeAfterItsSiblings) {
  apply(TarBuilder().directory("d").file("d/x", "x").file("d/.wh..wh..opq").str());
  EXPECT_TRUE(is_opaque_at(tree() / "d"));
  EXPECT_EQ(test::read_file(tree() / "d/x"), "x");
}

TEST_F(Apply, OpaqueMarkOnTheRootMarksTheTree) {
  apply(TarBuilder().file(".wh..wh..opq").str());
  EXPECT_TRUE(is_opaque_at(tree()));
}

// Case A14: marks of another union file system mean nothing.
TEST_F(Apply, IgnoresFilesOfAufs) {
  EXPECT_EQ(
      apply(TarBuilder().directory(".wh..wh.plnk").file(".wh..wh.aufs").str()).dropped_entries, 2U);
  EXPECT_TRUE(test::fs::is_empty(tree()));
}

TEST_F(Apply, RefusesWhiteoutsOfNothing) {
  for (const char* name : {".wh.", ".wh..", ".wh...", "d/.wh..."})
    EXPECT_THAT(refusal(TarBuilder().file(name).str()), HasSubstr("whiteout of nothing")) << name;
  EXPECT_THAT(refusal(TarBuilder().file(".wh.d/x").str()), HasSubstr("nothing below"));
}

TEST_F(Apply, RefusesOpaqueMarksWhereTheyCannotBe) {
  EXPECT_THAT(refusal(TarBuilder().directory("d").symlink("l", "d").file("l/.wh..wh..opq").str()),
              HasSubstr("symlink"));
  EXPECT_THAT(refusal(TarBuilder().file("f").file("f/.wh..wh..opq").str()),
              HasSubstr("not a directory"));
}

// ---- The last word on a path counts ----

TEST_F(Apply, LastEntryOfAPathWins) {
  apply(TarBuilder()
            .file("x", "file")
            .directory("x")
            .file("x/inside", "y")
            .symlink("x", "elsewhere")
            .file("x", "last")
            .str());
  EXPECT_TRUE(S_ISREG(stat_of(tree() / "x").st_mode));
  EXPECT_EQ(test::read_file(tree() / "x"), "last");
}

TEST_F(Apply, RepeatedDirectoryKeepsItsChildrenAndTakesTheLastMetadata) {
  apply(TarBuilder()
            .directory("d", {.mode = 0700, .mtime = 1})
            .file("d/x", "x")
            .directory("d", {.mode = 0511, .uid = 2, .mtime = 9})
            .str());
  EXPECT_TRUE(exists(tree() / "d/x"));
  const auto directory = stat_of(tree() / "d");
  EXPECT_EQ(directory.st_mode, S_IFDIR | 0511U);
  EXPECT_EQ(directory.st_uid, 2U);
  EXPECT_EQ(directory.st_mtim.tv_sec, 9);
  EXPECT_FALSE(is_opaque_at(tree() / "d"));
}

TEST_F(Apply, ReplacingAFileDoesNotWriteThroughItsHardLinks) {
  apply(TarBuilder().file("a", "old").hardlink("b", "a").file("b", "new").str());
  EXPECT_EQ(test::read_file(tree() / "a"), "old");
  EXPECT_EQ(test::read_file(tree() / "b"), "new");
}

TEST_F(Apply, ManyEntriesOfOnePathTakeLinearTime) {
  TarBuilder tar;
  for (int i = 0; i < 20000; ++i) tar.file("same", "x");
  EXPECT_EQ(apply(tar.str()).entries, 20000U);
}

// ---- Links ----

TEST_F(Apply, HardLinksShareTheInode) {
  apply(TarBuilder().file("d/a", "text").hardlink("b", "d/a").hardlink("c", "b").str());
  EXPECT_EQ(stat_of(tree() / "d/a").st_ino, stat_of(tree() / "c").st_ino);
  EXPECT_EQ(stat_of(tree() / "b").st_nlink, 3U);
}

TEST_F(Apply, RefusesHardLinksToWhatIsNoFileOfTheLayer) {
  const std::string expected = "is not a file of this layer";
  test::write_file("cwd-file", "x");  // in the working directory of the test
  EXPECT_THAT(refusal(TarBuilder().hardlink("l", "cwd-file").str()), HasSubstr(expected));
  ::unlink("cwd-file");
  EXPECT_THAT(refusal(TarBuilder().hardlink("l", "l").str()), HasSubstr(expected));
  EXPECT_THAT(refusal(TarBuilder().hardlink("l", "later").file("later").str()),
              HasSubstr(expected));
  EXPECT_THAT(refusal(TarBuilder().directory("d").hardlink("l", "d").str()), HasSubstr(expected));
  EXPECT_THAT(refusal(TarBuilder().file(".wh.w").hardlink("l", "w").str()), HasSubstr(expected));
  EXPECT_THAT(refusal(TarBuilder().file("q", "q").hardlink("q", "q").str()), HasSubstr(expected));
}

TEST_F(Apply, HardLinkDoesNotReplaceTheDirectoryItsTargetIsIn) {
  EXPECT_THAT(refusal(TarBuilder().file("d/x").hardlink("d", "d/x").str()),
              HasSubstr("is not a file of this layer"));
  EXPECT_TRUE(exists(tree() / "d/x"));
}

// ---- Nothing leaves the tree (the canary of the fixture is checked after each test) ----

TEST_F(Apply, RefusesPathsThatClimb) {
  for (const char* path : {"../outside/x", "/../../outside/x", "a/../../outside/x", "./.././../x"})
    EXPECT_NE(refusal(TarBuilder().file(path, "x").str()), "") << path;
}

TEST_F(Apply, SymlinksOfTheLayerLeadIntoTheTree) {
  const std::string outside = canary().native();
  apply(TarBuilder()
            .symlink("absolute", outside)
            .file("absolute/etc/passwd", "evil")
            .symlink("climbing", "../outside")
            .file("climbing/secret", "evil")
            .file("climbing/.wh.gone")
            .hardlink("climbing/link", "climbing/secret")
            .str());
  EXPECT_EQ(test::read_file(tree() / outside.substr(1) / "etc/passwd"), "evil");
  EXPECT_EQ(test::read_file(tree() / "outside/secret"), "evil");
  EXPECT_TRUE(is_whiteout_at(tree() / "outside/gone"));
  EXPECT_TRUE(S_ISLNK(stat_of(tree() / "climbing").st_mode));
}

TEST_F(Apply, RefusesSymlinkLoops) {
  EXPECT_NE(refusal(TarBuilder().symlink("a", "b").symlink("b", "a").file("a/x", "x").str()), "");
}

TEST_F(Apply, HardLinkThroughSymlinksFindsFilesOfTheTreeOnly) {
  EXPECT_NE(refusal(TarBuilder().symlink("up", "../outside").hardlink("stolen", "up/secret").str()),
            "");
  EXPECT_NE(refusal(TarBuilder()
                        .directory("a/b/c")
                        .symlink("a/b/c/up", "../..")
                        .symlink("a/b/escape", "c/up/../..")
                        .hardlink("x", "a/b/escape/outside/secret")
                        .str()),
            "");
}

TEST_F(Apply, DirectoryEntryReplacesASymlinkInsteadOfFollowingIt) {
  apply(TarBuilder().symlink("sub", "../outside").directory("sub", {.mode = 0777, .uid = 5}).str());
  EXPECT_TRUE(S_ISDIR(stat_of(tree() / "sub").st_mode));
}

TEST_F(Apply, MetadataOfADirectoryThatBecameASymlinkGoesNowhere) {
  apply(TarBuilder()
            .directory("d", {.mode = 0777, .uid = 0, .mtime = 77})
            .file("d/x")
            .symlink("d", "../outside")
            .str());
  EXPECT_TRUE(S_ISLNK(stat_of(tree() / "d").st_mode));
}

TEST_F(Apply, RefusesARootThatIsNoDirectory) {
  EXPECT_NE(refusal(TarBuilder().symlink(".", "/etc").str()), "");
  EXPECT_NE(refusal(TarBuilder().entry('0', "/", "", "x", {}).str()), "");
}

TEST_F(Apply, RootEntryLeavesTheTreeAsItIs) {
  const auto before = stat_of(tree());
  apply(TarBuilder().directory(".", {.mode = 0700, .uid = 12}).str());
  EXPECT_EQ(stat_of(tree()).st_mode, before.st_mode);
  EXPECT_EQ(stat_of(tree()).st_uid, before.st_uid);
}

TEST_F(Apply, ErrorsNameTheEntry) {
  try {
    apply(TarBuilder().file("f").file("f/x").str());
    FAIL();
  } catch (const base::Error& error) {
    EXPECT_EQ(error.code(), base::ErrorCode::corrupt);
    ASSERT_EQ(error.context().size(), 1U);
    EXPECT_EQ(error.context()[0], "unpacking \"f/x\"");
  }
}

TEST_F(Apply, DeepTreesNeedNeitherStackNorDescriptors) {
  std::string path;
  TarBuilder tar;
  for (int i = 0; i < 1500; ++i) {
    path += path.empty() ? "d" : "/d";
    tar.pax({{"path", path + "/"}}).directory("d");
  }
  EXPECT_EQ(TreeTest::apply(tar.str()).entries, 1500U);
  EXPECT_EQ(tar_of(tree()).size() / 512 > 1500, true);
}

TEST_F(Apply, ReadsWhatStandsBehindTheArchive) {
  base::StringSource source(TarBuilder().file("x").str() + std::string(10000, 'j'));
  apply_layer(source, test::open_directory(tree()).get(), {});
  std::byte left;
  EXPECT_EQ(source.read({&left, 1}), 0U);
}

// ---- Other forms ----

TEST_F(Apply, OwnerOptionReplacesTheOwnersOfTheTar) {
  apply_to(tree(), TarBuilder().directory("d", {.uid = 1}).file("d/x", "x", {.gid = 2}).str(),
           {.owner = ApplyOptions::Owner{77, 88}});
  EXPECT_EQ(stat_of(tree() / "d").st_uid, 77U);
  EXPECT_EQ(stat_of(tree() / "d/x").st_gid, 88U);
}

TEST_F(Apply, PlainFormRemovesWhatWhiteoutsName) {
  const ApplyOptions plain = {.overlay_form = false};
  apply_to(tree(), TarBuilder().file("keep").file("gone/x").file("d/old").file("d/s/old").str(),
           plain);
  apply_to(tree(),
           TarBuilder()
               .file("d/new", "n")
               .file("d/s/new", "n")
               .file("d/.wh..wh..opq")
               .file(".wh.gone")
               .file(".wh.never")
               .str(),
           plain);
  EXPECT_TRUE(exists(tree() / "keep"));
  EXPECT_FALSE(exists(tree() / "gone"));
  EXPECT_FALSE(exists(tree() / "d/old"));
  EXPECT_FALSE(exists(tree() / "d/s/old"));
  EXPECT_TRUE(exists(tree() / "d/new"));
  EXPECT_TRUE(exists(tree() / "d/s/new"));
}

}  // namespace
}  // namespace strake::layers
