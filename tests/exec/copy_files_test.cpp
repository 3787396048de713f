// Where COPY and ADD put what they select, and with which metadata.

#include "builder/exec/copy_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/xattr.h>

#include <map>

#include "builder/exec/accounts.h"
#include "layers/archive/tar_reader.h"
#include "layers/base/error.h"
#include "layers/base/fd.h"
#include "layers/base/stream.h"
#include "tests/exec/exec_support.h"
#include "tests/support/tar_builder.h"

namespace strake::builder {
namespace {

using layers::EntryType;
using layers::TarEntry;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Pair;
using testing::UnorderedElementsAre;

struct Copied {
  std::map<std::string, TarEntry> entries;  // of the layer, by path
  std::map<std::string, std::string> files;

  const TarEntry& at(const std::string& path) const { return entries.at(path); }
  mode_t mode(const std::string& path) const { return at(path).mode; }
  Owner owner(const std::string& path) const { return {at(path).uid, at(path).gid}; }
};

/// A build step over `below` that copies from `context`.
class CopyFiles : public testing::Test {
 protected:
  void SetUp() override {
    ::umask(022);
    if (::geteuid() != 0) GTEST_SKIP() << "needs root: files of other owners";
  }

  Copied run(const plan::Copy& copy, bool is_context = true) {
    const base::RootedDirectory source_root = context.root(), below_root = below.root();
    const CopySource source{
        .root = source_root, .is_context = is_context, .shown_name = "the context"};
    LayerDraft draft(below_root);
    UnpackedArchives archives;
    draft_copy(copy, select_files(copy, source), source, below_root, store_, archives, draft);
    base::StringSink tar;
    layers::LayerWriter writer(store_.make_ingest("test-"), {.also = &tar});
    draft.write(writer);
    std::move(writer).finish();
    return read(std::move(tar.text));
  }

  std::string failure(const plan::Copy& copy) {
    try {
      run(copy);
    } catch (const base::Error& error) {
      return error.what();
    }
    return "no error";
  }

  static plan::Copy copy(std::vector<std::string> sources, std::string destination) {
    plan::Copy made;
    made.sources = std::move(sources);
    made.destination = std::move(destination);
    return made;
  }
  static plan::Copy add(std::vector<std::string> sources, std::string destination) {
    plan::Copy made = copy(std::move(sources), std::move(destination));
    made.extract = true;
    return made;
  }

  Tree context, below;

 private:
  static Copied read(std::string tar) {
    Copied copied;
    base::StringSource bytes(std::move(tar));
    layers::TarReader reader(bytes);
    while (std::optional<TarEntry> entry = reader.next()) {
      if (entry->type == EntryType::file) {
        std::string content(entry->size_bytes, '\0');
        std::size_t size = 0;
        while (size < content.size())
          size += reader.data().read(std::as_writable_bytes(std::span(content).subspan(size)));
        copied.files[entry->path] = content;
      }
      copied.entries.emplace(entry->path, *entry);
    }
    return copied;
  }

  base::TempDirectory store_directory_{std::filesystem::temp_directory_path(), "strake-exec-"};
  layers::Store store_ = layers::Store::open(store_directory_.path() / "store");
};

std::vector<std::string> paths(const Copied& copied) {
  std::vector<std::string> out;
  for (const auto& [path, entry] : copied.entries) out.push_back(path);
  return out;
}

// ---- Places

// Rule 29: of directories the content is copied, also of each that a pattern matches.
TEST_F(CopyFiles, MergesTheContentOfDirectories) {
  context.file("d1/a", "1").file("d2/b", "2").file("d2/e/c", "3");
  EXPECT_THAT(paths(run(copy({"d1"}, "/x/"))), ElementsAre("x", "x/a"));
  EXPECT_THAT(paths(run(copy({"d*"}, "/x/"))), ElementsAre("x", "x/a", "x/b", "x/e", "x/e/c"));
}

// Rule 30: a file goes into a destination that ends in "/" or is a directory, else it takes its
// name; parents are made 0755 and 0:0, or as the flags say.
TEST_F(CopyFiles, GivesAFileTheDestinationsNameOrItsOwn) {
  context.file("f", "1");
  below.directory("is/there").file("etc/passwd", "app:x:7:8::/:\n");
  EXPECT_THAT(run(copy({"f"}, "/a/b")).files, ElementsAre(Pair("a/b", "1")));
  EXPECT_THAT(run(copy({"f"}, "/a/b/")).files, ElementsAre(Pair("a/b/f", "1")));
  EXPECT_THAT(run(copy({"f"}, "/is/there")).files, ElementsAre(Pair("is/there/f", "1")));
  const Copied plain = run(copy({"f"}, "/a/b"));
  EXPECT_EQ(plain.mode("a"), 0755U);
  EXPECT_EQ(plain.owner("a"), (Owner{0, 0}));
  plan::Copy flags = copy({"f"}, "/a/b");
  flags.chown = "app";
  flags.chmod = "0700";
  EXPECT_EQ(run(flags).mode("a"), 0700U);
  EXPECT_EQ(run(flags).owner("a"), (Owner{7, 8}));
}

// Rule 32: several files onto one name is an error, unless the name is a directory's.
TEST_F(CopyFiles, RefusesSeveralFilesOntoOneName) {
  context.file("f", "1").file("g", "2");
  below.directory("dir");
  EXPECT_THAT(failure(copy({"f", "g"}, "/x")), HasSubstr("not a directory"));
  EXPECT_THAT(failure(copy({"*"}, "/x")), HasSubstr("not a directory"));
  EXPECT_THAT(run(copy({"f", "g"}, "/x/")).files, ElementsAre(Pair("x/f", "1"), Pair("x/g", "2")));
  EXPECT_THAT(run(copy({"f", "g"}, "/dir")).files,
              ElementsAre(Pair("dir/f", "1"), Pair("dir/g", "2")));
}

// Rule 33: a pattern that matches nothing copies nothing, and makes nothing.
TEST_F(CopyFiles, DoesNothingForAPatternWithoutMatches) {
  context.file("f", "1");
  EXPECT_THAT(paths(run(copy({"no*"}, "/x/"))), ElementsAre());
}

// Rule 34: a symlink that is a source is followed; symlinks in the destination's path are, too.
// Case C04: sources and destinations are resolved inside their roots.
TEST_F(CopyFiles, FollowsSymlinksOnTheWay) {
  context.file("f", "1").symlink("l", "f").file("d/x", "2").symlink("dl", "d");
  below.directory("real").symlink("link", "real").symlink("out", "/../../real");
  EXPECT_EQ(run(copy({"l"}, "/y")).at("y").type, EntryType::file);
  EXPECT_THAT(run(copy({"dl"}, "/y/")).files, ElementsAre(Pair("y/x", "2")));
  EXPECT_THAT(run(copy({"f"}, "/link/")).files, ElementsAre(Pair("real/f", "1")));
  EXPECT_THAT(run(copy({"f"}, "/out/")).files, ElementsAre(Pair("real/f", "1")));
}

// Rule 36: a directory merges into what is there. The destination keeps its metadata, directories
// below it take that of their source; files and directories do not replace each other.
TEST_F(CopyFiles, MergesIntoExistingDirectories) {
  context.file("d/sub/f", "1");
  ::chmod((context.path() / "d").c_str(), 0700);
  ::chmod((context.path() / "d/sub").c_str(), 0710);
  below.file("x/sub/old", "").file("file", "").directory("y/sub");
  const Copied copied = run(copy({"d"}, "/x/"));
  EXPECT_THAT(paths(copied), ElementsAre("x", "x/sub", "x/sub/f"));
  EXPECT_EQ(copied.mode("x"), 0755U);
  EXPECT_EQ(copied.mode("x/sub"), 0710U);
  EXPECT_THAT(failure(copy({"d"}, "/file")), HasSubstr("not a directory"));
  context.file("e/sub", "a file");
  EXPECT_THAT(failure(copy({"e"}, "/y/")), HasSubstr("it is a directory"));
}

// Rule 50: --parents keeps the source's path, with the metadata of its directories.
TEST_F(CopyFiles, KeepsParentsWithTheirMetadata) {
  context.file("a/b/f", "1");
  ::chmod((context.path() / "a").c_str(), 0711);
  plan::Copy parents = copy({"a/b/f"}, "/x/");
  parents.parents = true;
  EXPECT_THAT(run(parents).files, ElementsAre(Pair("x/a/b/f", "1")));
  EXPECT_EQ(run(parents).mode("x/a"), 0711U);
  parents.sources = {"a/./b/f"};
  EXPECT_THAT(run(parents).files, ElementsAre(Pair("x/b/f", "1")));
  parents.sources = {"a/none"};
  EXPECT_THAT(failure(parents), HasSubstr("no such file"));
  parents.sources = {"a/none*"};
  EXPECT_THAT(run(parents).files, ElementsAre());
}

// ---- Metadata

// Rule 37: files of the context become 0:0; those of a stage keep their owner.
TEST_F(CopyFiles, OwnsFilesOfTheContext) {
  context.file("d/f", "1");
  ASSERT_EQ(::chown((context.path() / "d/f").c_str(), 12, 34), 0);
  EXPECT_EQ(run(copy({"d"}, "/x/")).owner("x/f"), (Owner{0, 0}));
  EXPECT_EQ(run(copy({"d"}, "/x/"), false).owner("x/f"), (Owner{12, 34}));
}

// Rule 38: names are those of the stage's own account files; unknown ones are errors.
TEST_F(CopyFiles, LooksOwnersUpInTheStage) {
  context.file("f", "1").file("etc/passwd", "app:x:1:1::/:\n");
  below.file("etc/passwd", "app:x:7:8::/:\n");
  plan::Copy owned = copy({"f"}, "/x");
  owned.chown = "app";
  EXPECT_EQ(run(owned).owner("x"), (Owner{7, 8}));
  owned.chown = "nobody";
  EXPECT_THAT(failure(owned), HasSubstr("nobody"));
}

// Rule 40: --chmod is for files and directories, not for symlinks; setuid survives --chown.
TEST_F(CopyFiles, ChangesModesOfFilesAndDirectories) {
  context.file("d/f", "1", 0600).symlink("d/l", "f").directory("d/e");
  plan::Copy changed = copy({"d"}, "/x/");
  changed.chmod = "4750";
  changed.chown = "5:6";
  const Copied octal = run(changed);
  EXPECT_EQ(octal.mode("x/f"), 04750U);
  EXPECT_EQ(octal.mode("x/e"), 04750U);
  EXPECT_EQ(octal.mode("x/l"), 0777U);
  EXPECT_EQ(octal.owner("x/f"), (Owner{5, 6}));
  changed.chmod = "go=rX";
  EXPECT_EQ(run(changed).mode("x/f"), 0644U);
  EXPECT_EQ(run(changed).mode("x/e"), 0755U);
}

// Rule 41: extended attributes come along, also with --chown, which clears capabilities on disk.
TEST_F(CopyFiles, KeepsExtendedAttributes) {
  context.file("f", "1");
  const std::string path = context.path() / "f";
  // A version 2 capability set with CAP_NET_BIND_SERVICE permitted and effective.
  const std::string capability("\1\0\0\2\0\4\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 20);
  if (::setxattr(path.c_str(), "security.capability", capability.data(), capability.size(), 0) != 0)
    GTEST_SKIP() << "no file capabilities on this file system";
  plan::Copy owned = copy({"f"}, "/x");
  owned.chown = "5";
  EXPECT_THAT(run(owned).at("x").xattrs, ElementsAre(Pair("security.capability", capability)));
}

// Rule 42: hard links within one COPY stay links; sockets are left out, FIFOs are made.
// Case C13: what is no file in a context is neither read nor waited for.
TEST_F(CopyFiles, KeepsHardLinksAndFifosButNoSockets) {
  context.file("d/a", "1").directory("d/sub");
  std::filesystem::create_hard_link(context.path() / "d/a", context.path() / "d/sub/b");
  ASSERT_EQ(::mkfifo((context.path() / "d/fifo").c_str(), 0600), 0);
  ::sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
  const std::string socket_path = context.path() / "d/s";
  ASSERT_LT(socket_path.size(), sizeof address.sun_path);
  socket_path.copy(address.sun_path, socket_path.size());
  const base::FileDescriptor socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  ASSERT_EQ(::bind(socket.get(), reinterpret_cast<::sockaddr*>(&address), sizeof address), 0);
  const Copied copied = run(copy({"d"}, "/x/"));
  EXPECT_THAT(paths(copied), ElementsAre("x", "x/a", "x/fifo", "x/sub", "x/sub/b"));
  EXPECT_EQ(copied.at("x/sub/b").type, EntryType::hardlink);
  EXPECT_EQ(copied.at("x/sub/b").link_target, "x/a");
  EXPECT_EQ(copied.at("x/fifo").type, EntryType::fifo);
}

// Rule 43: files keep their times; directories made on the way have a constant one.
TEST_F(CopyFiles, KeepsTimesOfFiles) {
  context.file("f", "1");
  const struct ::timespec times[2] = {{1'500'000'000, 0}, {1'500'000'000, 0}};
  ASSERT_EQ(::utimensat(AT_FDCWD, (context.path() / "f").c_str(), times, 0), 0);
  const Copied copied = run(copy({"f"}, "/a/b/f"));
  EXPECT_EQ(copied.at("a/b/f").mtime.tv_sec, 1'500'000'000);
  EXPECT_EQ(copied.at("a/b").mtime.tv_sec, kMadeFromNothingMtime);
}

// ---- Archives

// Rule 44: what is an archive is seen in its content, not in its name; COPY unpacks nothing.
TEST_F(CopyFiles, UnpacksWhatIsAnArchive) {
  context.file("no-suffix", test::TarBuilder().file("a", "1").str()).file("text.tar", "no tar");
  context.symlink("link", "no-suffix");
  EXPECT_THAT(run(add({"no-suffix"}, "/x/")).files, ElementsAre(Pair("x/a", "1")));
  EXPECT_THAT(run(add({"link"}, "/x/")).files, ElementsAre(Pair("x/a", "1")));
  EXPECT_THAT(run(add({"text.tar"}, "/x/")).files, ElementsAre(Pair("x/text.tar", "no tar")));
  EXPECT_THAT(paths(run(copy({"no-suffix"}, "/x/"))), ElementsAre("x", "x/no-suffix"));
}

// Rule 45: an archive is unpacked into a directory, with or without a trailing slash. Entries keep
// their owners and modes unless --chown says otherwise; --chmod is not for them. What is in the way
// is replaced.
TEST_F(CopyFiles, UnpacksIntoADirectory) {
  context.file("t", test::TarBuilder()
                        .directory("d", {.mode = 0711, .uid = 3})
                        .file("d/f", "new", {.mode = 04755, .uid = 3, .gid = 4})
                        .file("was-dir", "x")
                        .str());
  below.file("x/d/f", "old").file("x/was-dir/inside", "");
  const Copied copied = run(add({"t"}, "/x"));
  EXPECT_THAT(copied.files, UnorderedElementsAre(Pair("x/d/f", "new"), Pair("x/was-dir", "x")));
  EXPECT_EQ(copied.mode("x/d/f"), 04755U);
  EXPECT_EQ(copied.owner("x/d/f"), (Owner{3, 4}));
  plan::Copy flags = add({"t"}, "/new");
  flags.chown = "5:6";
  flags.chmod = "0600";
  EXPECT_EQ(run(flags).owner("new/d/f"), (Owner{5, 6}));
  EXPECT_EQ(run(flags).mode("new/d/f"), 04755U);
  EXPECT_EQ(run(flags).mode("new/d"), 0711U);
}

// Whiteouts in an archive take away what is there: a layer could not carry files of such names.
TEST_F(CopyFiles, WhiteoutsOfAnArchiveTakeAwayWhatIsThere) {
  context.file("t", test::TarBuilder()
                        .file(".wh.gone", "")
                        .directory("full")
                        .file("full/.wh..wh..opq", "")
                        .file("full/new", "n")
                        .file(".wh.nowhere", "")
                        .str());
  below.file("x/gone/f", "").file("x/full/old", "").file("x/full/sub/f", "").file("x/kept", "");
  EXPECT_THAT(
      paths(run(add({"t"}, "/x"))),
      ElementsAre("x", "x/.wh.gone", "x/full", "x/full/.wh.old", "x/full/.wh.sub", "x/full/new"));
}

TEST_F(CopyFiles, AnOpaqueArchiveEmptiesItsDestination) {
  context.file("t", test::TarBuilder().file(".wh..wh..opq", "").file("new", "n").str());
  below.file("x/old", "").file("y", "");
  EXPECT_THAT(paths(run(add({"t"}, "/x"))), ElementsAre("x", "x/.wh.old", "x/new"));
}

// Docker's tar goes up from the destination no further than to itself.
// Case C06: archives of ADD are unpacked like layers, and their ".." ends at the root.
TEST_F(CopyFiles, ParentsInPathsOfAnArchiveStayInTheDestination) {
  context.file("t", test::TarBuilder().file("../../a", "1").file("d/../../b", "2").str());
  EXPECT_THAT(run(add({"t"}, "/x")).files,
              UnorderedElementsAre(Pair("x/a", "1"), Pair("x/b", "2")));
}

}  // namespace
}  // namespace strake::builder
