// Tars whose paths and links want out of the directory they are unpacked into.

#include <gmock/gmock.h>

#include "tests/security/archive_fixture.h"
#include "tests/support/rung.h"

namespace strake {
namespace {

namespace fs = std::filesystem;
using test::TarBuilder;
using testing::HasSubstr;

class ArchivePaths : public test::ArchiveCase {
 protected:
  /// One hostile tar; nullptr: it is taken, and stays inside.
  struct Hostile {
    const char* what;
    std::string tar;
    const char* layer_refusal;
    const char* context_refusal;
  };
  void check(const std::vector<Hostile>& hostile) {
    for (const Hostile& each : hostile) {
      SCOPED_TRACE(each.what);
      expect(refusal(each.tar), each.layer_refusal);
      expect(context_refusal(each.tar), each.context_refusal);
    }
  }
  static void expect(const std::string& got, const char* wanted) {
    if (wanted == nullptr)
      EXPECT_EQ(got, "");
    else
      EXPECT_THAT(got, HasSubstr(wanted));
  }
};

constexpr const char* kNoFileOfTheLayer = "is not a file of this layer";

// Case A01: neither layers nor contexts have a "..".
// Case C07: what is true of layers is true of contexts on stdin.
TEST_F(ArchivePaths, ThatClimb) {
  std::vector<Hostile> hostile;
  for (const char* path : {"../outside/secret", "/../../outside/secret", "a/../../secret",
                           "./.././.././outside/secret", "../../../../../../../../tmp/x"})
    hostile.push_back({path, TarBuilder().file(path, "evil").str(), "may leave the layer",
                       "may leave the layer"});
  hostile.push_back({"absolute", TarBuilder().file("/etc/passwd", "in").str(), nullptr, nullptr});
  hostile.push_back({"dots", TarBuilder().file("././/etc/./x", "in").str(), nullptr, nullptr});
  check(hostile);
}

// Case A02: a symlink, then a file below it.
// Case A05: the same with whiteouts, hard links and modes.
TEST_F(ArchivePaths, BelowSymlinksOfTheSameLayer) {
  const std::string out = outside().native();
  check(
      {{"file", TarBuilder().symlink("d", out).file("d/secret", "evil").str(), nullptr, nullptr},
       {"relative", TarBuilder().symlink("d", "../outside").file("d/secret", "evil").str(), nullptr,
        nullptr},
       {"whiteout", TarBuilder().symlink("d", out).file("d/.wh.secret").str(), nullptr, nullptr},
       {"mode", TarBuilder().symlink("d", out).directory("d/etc", {.mode = 0777}).str(), nullptr,
        nullptr},
       {"link", TarBuilder().symlink("d", out).hardlink("stolen", "d/secret").str(),
        kNoFileOfTheLayer, kNoFileOfTheLayer},
       {"loop", TarBuilder().symlink("a", "b").symlink("b", "a").file("a/x").str(), "a/x", "a/x"}});
}

// Case A05: the symlink is in one layer, what goes through it in the next.
TEST_F(ArchivePaths, BelowSymlinksOfAnotherLayer) {
  const std::string out = outside().native();
  const base::DiffId first = unpack(TarBuilder().symlink("etc", out).file("f", "f").str()).diff_id;
  const std::string above = TarBuilder()
                                .file("etc/secret", "evil", {.mode = 0777, .uid = 0})
                                .file("etc/.wh.linked")
                                .directory("etc/etc", {.mode = 0777})
                                .str();
  const std::vector<base::DiffId> both = {first, unpack(above).diff_id};
  EXPECT_THAT(refusal(TarBuilder().hardlink("stolen", "etc/secret").str()),
              HasSubstr(kNoFileOfTheLayer));
  if (test::rung() != sandbox::Isolation::chroot) {
    const layers::MountStack merged(store(), layers(), both, layers::Writable::no);
    EXPECT_TRUE(S_ISDIR(merged.root().lstat("etc")->st_mode));  // the upper layer's word counts
    EXPECT_TRUE(merged.root().lstat("etc/secret"));
    EXPECT_FALSE(merged.root().lstat("etc/linked"));
  }
  // An archive is added to a tree that has the symlink: it is followed inside of that tree.
  const base::TempDirectory tree(top(), "tree-");
  fs::create_symlink(out, tree.path() / "etc");
  unpack_into(above, tree.path());
  EXPECT_EQ(test::read_file(tree.path() / out.substr(1) / "secret"), "evil");
}

// Case A03: a hard link by way of symlinks that add up to "..".
// Case A04: a hard link to a name that the builder's working directory has.
// Case A09: a hard link to a file of others, then a file over it.
TEST_F(ArchivePaths, OfHardLinks) {
  ASSERT_TRUE(fs::exists("secret"));  // in the working directory
  const std::string out = outside().native();
  const auto chain = [] {
    return TarBuilder()
        .directory("a/b/c")
        .symlink("a/b/c/up", "../..")
        .symlink("a/b/escape", "c/up/../..");
  };
  const auto refused = [](const char* what, TarBuilder tar) {
    return Hostile{what, tar.str(), kNoFileOfTheLayer, kNoFileOfTheLayer};
  };
  check({refused("chain", chain().hardlink("x", "a/b/escape/outside/secret")),
         {"chain up", chain().hardlink("x", "a/b/escape/../outside/secret").str(),
          "may leave the layer", "may leave the layer"},
         refused("cwd", TarBuilder().hardlink("x", "secret").file("x", "evil")),
         refused("absolute", TarBuilder().hardlink("x", out + "/secret").file("x", "evil")),
         {"over a link", TarBuilder().file("a", "1").hardlink("b", "a").file("b", "2").str(),
          nullptr, nullptr}});
}

// Case A06: an entry takes the place of a symlink; nothing is changed through one.
TEST_F(ArchivePaths, OfEntriesOverSymlinks) {
  const std::string out = outside().native();
  const test::TarFields loud{.mode = 0777, .uid = 0, .mtime = 77};
  check(
      {{"directory", TarBuilder().symlink("s", "../outside").directory("s", loud).str(), nullptr,
        nullptr},
       {"file", TarBuilder().symlink("s", out + "/secret").file("s", "evil", loud).str(), nullptr,
        nullptr},
       {"fifo", TarBuilder().symlink("s", out + "/secret").fifo("s").str(), nullptr, nullptr},
       {"link to a link", TarBuilder().symlink("s", out + "/secret").hardlink("h", "s", loud).str(),
        nullptr, nullptr},
       {"directory that became a link",
        TarBuilder().directory("d", loud).file("d/x").symlink("d", "../outside").str(), nullptr,
        nullptr}});
}

// Case A07: the root of a layer is a directory.
TEST_F(ArchivePaths, OfTheRoot) {
  const char* refusal = "the root entry is not a directory";
  for (const char* name : {".", "/", "./"}) {
    SCOPED_TRACE(name);
    const auto root = [&](char type, const char* target) {
      return TarBuilder()
          .entry(type, name, target, "", {.device_major = 1, .device_minor = 3})
          .str();
    };
    check({{"symlink", root('2', "/etc"), refusal, refusal},
           {"hard link", root('1', "secret"), refusal, refusal},
           {"device", root('3', ""), refusal, refusal},
           {"fifo", root('6', ""), refusal, refusal}});
  }
}

// Case A10: hard links to what is not there, not yet there, or no file; very many to one file.
TEST_F(ArchivePaths, OfHardLinksToNoFile) {
  unpack(TarBuilder().file("lower", "x").str());
  const auto refused = [](const char* what, TarBuilder tar) {
    return Hostile{what, tar.str(), kNoFileOfTheLayer, kNoFileOfTheLayer};
  };
  check({refused("of a lower layer", TarBuilder().hardlink("l", "lower")),
         refused("itself", TarBuilder().hardlink("l", "l")),
         refused("a directory", TarBuilder().directory("d").hardlink("l", "d")),
         refused("later", TarBuilder().hardlink("l", "later").file("later"))});
  TarBuilder chain;
  chain.file("0", "x");
  for (int i = 1; i < 5000; ++i) chain.hardlink(std::to_string(i), std::to_string(i - 1));
  EXPECT_EQ(test::stat_of(tree_of(chain.str()) / "4999").st_nlink, 5000U);
}

// Case A11: names that are whiteouts of nothing.
// Case A12: whiteouts and opaque marks by way of symlinks, and of what is no directory.
TEST_F(ArchivePaths, OfWhiteouts) {
  const std::string out = outside().native();
  std::vector<Hostile> hostile;
  for (const char* name : {".wh...", ".wh..", ".wh.", "d/.wh..."})
    hostile.push_back(
        {name, TarBuilder().file(name).str(), "whiteout of nothing", "whiteout of nothing"});
  hostile.push_back(
      {"below", TarBuilder().file(".wh.a/b").str(), "nothing below", "nothing below"});
  const std::string huge = ".wh." + std::string(4000, 'x');
  hostile.push_back(
      {"long", TarBuilder().pax({{"path", huge}}).file("x").str(), "too long", "too long"});
  const std::string linked = TarBuilder().symlink("d", out).file("d/.wh..wh..opq").str();
  hostile.push_back({"opaque", linked, "symlink", nullptr});
  const std::string file = TarBuilder().file("f").file("f/.wh..wh..opq").str();
  hostile.push_back({"opaque file", file, "not a directory", "not a directory"});
  hostile.push_back({"opaque root", TarBuilder().file(".wh..wh..opq").str(), nullptr, nullptr});
  check(hostile);
}

}  // namespace
}  // namespace strake
