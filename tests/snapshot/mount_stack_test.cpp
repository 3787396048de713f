#include "layers/snapshot/mount_stack.h"

#include <stdlib.h>

#include "layers/blob_store.h"
#include "layers/layer_store.h"
#include "layers/snapshot/whiteout.h"
#include "tests/snapshot/tree_fixture.h"

namespace strake::layers {
namespace {

using test::TarBuilder;

class MountStackTest : public test::TreeTest {
 protected:
  void SetUp() override {
    TreeTest::SetUp();
    if (IsSkipped()) return;
    store_.emplace(Store::open(top() / "store"));
    try {
      MountStack(*store_, std::span<const test::fs::path>(), Writable::yes);
    } catch (const base::Error& error) {
      GTEST_SKIP() << error.what();
    }
  }
  void TearDown() override {
    ::unsetenv("STRAKE_NO_FSOPEN");
    store_.reset();
    TreeTest::TearDown();
  }

  const Store& store() const { return *store_; }
  MountStack stack(const std::vector<std::string>& tars, Writable writable) {
    std::vector<test::fs::path> trees;
    for (const std::string& tar : tars) {
      trees.push_back(make("layer" + std::to_string(count_++)));
      apply_to(trees.back(), tar);
    }
    return MountStack(store(), trees, writable);
  }
  static std::string read(const MountStack& stack, std::string_view path) {
    const auto file = stack.root().try_open(path, O_RDONLY);
    return file ? base::read_all(file->get(), 1 << 20, path) : "(absent)";
  }

 private:
  std::optional<Store> store_;
  int count_ = 0;
};

TEST_F(MountStackTest, UpperLayersHideLowerOnes) {
  const MountStack merged =
      stack({TarBuilder().file("a", "1").file("b", "1").file("d/x", "1").str(),
             TarBuilder().file("b", "2").file("d/.wh..wh..opq").str(),
             TarBuilder().file(".wh.a").file("d/y", "3").str()},
            Writable::no);
  EXPECT_EQ(read(merged, "a"), "(absent)");
  EXPECT_EQ(read(merged, "b"), "2");
  EXPECT_EQ(merged.root().list("d"), std::vector<std::string>{"y"});
  EXPECT_EQ(merged.root().list(""), (std::vector<std::string>{"b", "d"}));
}

TEST_F(MountStackTest, WhatIsWrittenIsTheUpperTree) {
  MountStack mounted =
      stack({TarBuilder().file("gone", "x").file("d/old", "x").file("changed", "x").str()},
            Writable::yes);
  const base::RootedDirectory& root = mounted.root();
  base::write_full(root.create_file("new", 0644).get(), base::bytes_of("text"), "new");
  root.remove_file("gone");
  root.remove_tree("d");
  root.make_directory("d", 0755);
  root.set_mode("changed", 0600);
  const base::TempDirectory upper = std::move(mounted).take_upper();

  const auto tree = upper.path() / "tree";
  EXPECT_TRUE(test::is_whiteout_at(tree / "gone"));
  EXPECT_TRUE(test::is_opaque_at(tree / "d"));
  EXPECT_EQ(test::read_file(tree / "new"), "text");
  const auto again = make("again");
  const std::string tar = tar_of(tree);
  apply_to(again, tar);
  EXPECT_TRUE(tar_of(again) == tar);
  EXPECT_TRUE(test::is_whiteout_at(again / "gone"));
  EXPECT_TRUE(test::is_opaque_at(again / "d"));
}

TEST_F(MountStackTest, ScratchIsAnEmptyRoot) {
  for (const Writable writable : {Writable::no, Writable::yes}) {
    const MountStack empty = stack({}, writable);
    EXPECT_TRUE(empty.root().list("").empty());
    EXPECT_EQ(empty.writable(), writable == Writable::yes);
  }
}

TEST_F(MountStackTest, OneLayerCanBeRead) {
  EXPECT_EQ(read(stack({TarBuilder().file("f", "1").str()}, Writable::no), "f"), "1");
}

TEST_F(MountStackTest, ReadOnlyStacksCannotBeWritten) {
  const MountStack merged = stack({TarBuilder().file("f").str()}, Writable::no);
  EXPECT_THROW(merged.root().create_file("x", 0644), base::Error);
}

TEST_F(MountStackTest, RootsLookTheSameWhateverLayerIsOnTop) {
  const MountStack merged = stack({TarBuilder().file("f").str()}, Writable::yes);
  EXPECT_EQ(merged.root().stat("")->st_mode, S_IFDIR | 0755U);
}

TEST_F(MountStackTest, OpaqueRootHidesAllLayersBelow) {
  const MountStack merged =
      stack({TarBuilder().file("a").str(), TarBuilder().file("b").file(".wh..wh..opq").str()},
            Writable::no);
  EXPECT_EQ(merged.root().list(""), std::vector<std::string>{"b"});
}

TEST_F(MountStackTest, DevicesDoNotOpen) {
  const MountStack merged =
      stack({TarBuilder().character_device("zero", 1, 5).str()}, Writable::yes);
  EXPECT_THROW(merged.root().open("zero", O_RDONLY), base::Error);
}

TEST_F(MountStackTest, RedirectsOfForeignLayersAreNotFollowed) {
  const auto lower = make("lower"), poisoned = make("poisoned");
  apply_to(lower, TarBuilder().file("secret/x", "x").str());
  apply_to(poisoned, TarBuilder().directory("d").str());
  ASSERT_EQ(::lsetxattr((poisoned / "d").c_str(), "trusted.overlay.redirect", "/secret", 7, 0), 0);
  const std::vector<test::fs::path> trees = {lower, poisoned};
  const MountStack merged(store(), trees, Writable::no);
  // Whether the directory is shown without the redirect or not at all is the kernel's choice.
  try {
    EXPECT_EQ(read(merged, "d/x"), "(absent)");
  } catch (const base::Error& error) {
    EXPECT_EQ(error.code(), base::ErrorCode::denied);
  }
}

TEST_F(MountStackTest, NothingIsAttachedAnywhere) {
  const std::string before = test::read_file("/proc/self/mountinfo");
  const MountStack merged = stack({TarBuilder().file("f").str()}, Writable::yes);
  EXPECT_EQ(test::read_file("/proc/self/mountinfo"), before);
}

TEST_F(MountStackTest, TakesTwoHundredLayers) {
  std::vector<std::string> tars;
  for (int i = 0; i < 200; ++i)
    tars.push_back(TarBuilder().file("f" + std::to_string(i)).file("top", std::to_string(i)).str());
  for (const char* forbidden : {"0", "1"}) {
    ::setenv("STRAKE_NO_FSOPEN", forbidden, 1);
    const MountStack merged = stack(tars, Writable::yes);
    EXPECT_EQ(read(merged, "top"), "199");
    EXPECT_EQ(merged.root().list("").size(), 201U);
  }
}

TEST_F(MountStackTest, RefusesMoreLayersThanTheKernelTakes) {
  const std::vector<test::fs::path> trees(501, tree());
  try {
    MountStack(store(), trees, Writable::yes);
    FAIL();
  } catch (const base::Error& error) {
    EXPECT_EQ(error.code(), base::ErrorCode::unsupported);
  }
}

TEST_F(MountStackTest, OptionPageOfOldKernelsGivesTheSame) {
  ::setenv("STRAKE_NO_FSOPEN", "1", 1);
  const std::string before = test::read_file("/proc/self/mountinfo");
  MountStack mounted =
      stack({TarBuilder().file("a", "1").str(), TarBuilder().file("b", "2").str()}, Writable::yes);
  EXPECT_EQ(read(mounted, "a"), "1");
  mounted.root().remove_file("a");
  EXPECT_EQ(test::read_file("/proc/self/mountinfo"), before);
  const base::TempDirectory upper = std::move(mounted).take_upper();
  EXPECT_TRUE(test::is_whiteout_at(upper.path() / "tree/a"));
  EXPECT_EQ(read(stack({}, Writable::no), "a"), "(absent)");
}

TEST_F(MountStackTest, LayersWithoutATreeAreNamed) {
  const BlobStore blobs(store());
  const LayerStore layers(store(), blobs);
  const std::vector<base::DiffId> unknown = {{base::Digest::of("x")}};
  EXPECT_THROW(MountStack(store(), layers, unknown, Writable::no), base::Error);
}

}  // namespace
}  // namespace strake::layers
