#include "layers/snapshot/tree_equal.h"

#include <functional>

#include "tests/snapshot/tree_fixture.h"

namespace strake::layers {
namespace {

namespace fs = std::filesystem;
using test::TarBuilder;

class TreeEqual : public test::TreeTest {
 protected:
  bool equal(const std::string& left, const std::string& right) {
    const auto a = make("left" + std::to_string(++count_));
    const auto b = make("right" + std::to_string(count_));
    apply_to(a, left);
    apply_to(b, right);
    const base::FileDescriptor left_tree = test::open_directory(a);
    const base::FileDescriptor right_tree = test::open_directory(b);
    return trees_equal(left_tree.get(), right_tree.get(), XattrNamespace::trusted) &&
           trees_equal(right_tree.get(), left_tree.get(), XattrNamespace::trusted);
  }

 private:
  int count_ = 0;
};

TEST_F(TreeEqual, TimesDoNotMatter) {
  EXPECT_TRUE(equal(TarBuilder().file("d/f", "x", {.mtime = 1}).file("d/.wh.g").str(),
                    TarBuilder().file("d/f", "x", {.mtime = 2}).file("d/.wh.g").str()));
}

TEST_F(TreeEqual, EverythingElseDoes) {
  const std::string base = TarBuilder().file("f", "text").file("g", "text").str();
  const std::string others[] = {
      TarBuilder().file("f", "texT").file("g", "text").str(),
      TarBuilder().file("f", "text").str(),
      TarBuilder().file("f", "text").file("g", "text").file("h").str(),
      TarBuilder().file("f", "text", {.mode = 0600}).file("g", "text").str(),
      TarBuilder().file("f", "text", {.uid = 1}).file("g", "text").str(),
      TarBuilder().file("f", "text", {.gid = 1}).file("g", "text").str(),
      TarBuilder().file("f", "text").hardlink("g", "f").str(),
      TarBuilder().file("f", "text").symlink("g", "f").str(),
      TarBuilder().file("f", "text").file(".wh.g").str(),
      TarBuilder().file("f", "text").file("g", "text").file(".wh..wh..opq").str(),
      TarBuilder().pax({{"SCHILY.xattr.user.a", "b"}}).file("f", "text").file("g", "text").str(),
  };
  EXPECT_TRUE(equal(base, base));
  for (const std::string& other : others) EXPECT_FALSE(equal(base, other));
}

// Overlayfs marks what is made in, or moved into, a directory of a lower layer.
TEST_F(TreeEqual, MarksThatHideNothingBelowAreNoDifference) {
  const std::vector<fs::path> below = {make("below")};
  apply_to(below.front(), TarBuilder().directory("d").directory("old").str());
  const auto before = make("before"), upper = make("upper");
  const auto equal_to_upper = [&](const std::string& changes, const std::string& opaque) {
    fs::remove_all(before);
    fs::remove_all(upper);
    apply_to(make("before"), changes);
    apply_to(make("upper"), changes);
    EXPECT_EQ(::setxattr((upper / opaque).c_str(), "trusted.overlay.opaque", "y", 1, 0), 0);
    return trees_equal(test::open_directory(before).get(), test::open_directory(upper).get(),
                       XattrNamespace::trusted, below);
  };
  EXPECT_TRUE(equal_to_upper(TarBuilder().directory("d/new").file("d/new/f").str(), "d/new"));
  EXPECT_FALSE(test::is_opaque_at(upper / "d/new"));
  EXPECT_FALSE(equal_to_upper(TarBuilder().directory("old").str(), "old"));
  EXPECT_TRUE(test::is_opaque_at(upper / "old"));
}

TEST_F(TreeEqual, OpaqueDirectoriesAndWhiteoutsAreCompared) {
  EXPECT_FALSE(equal(TarBuilder().directory("d").str(),
                     TarBuilder().directory("d").file("d/.wh..wh..opq").str()));
  EXPECT_FALSE(equal(TarBuilder().file(".wh.a").str(), TarBuilder().file(".wh.b").str()));
  EXPECT_FALSE(equal(TarBuilder().symlink("l", "a").str(), TarBuilder().symlink("l", "b").str()));
  EXPECT_FALSE(equal(TarBuilder().character_device("n", 1, 3).str(),
                     TarBuilder().character_device("n", 1, 5).str()));
}

}  // namespace
}  // namespace strake::layers
