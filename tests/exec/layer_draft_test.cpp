#include "builder/exec/layer_draft.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "layers/archive/tar_reader.h"
#include "layers/base/error.h"
#include "layers/snapshot/layer_writer.h"
#include "tests/exec/exec_support.h"

namespace strake::builder {
namespace {

using Kind = LayerDraft::Kind;
using layers::EntryType;
using testing::ElementsAre;

layers::TarEntry entry(const std::string& path, EntryType type = EntryType::file) {
  layers::TarEntry made;
  made.path = path;
  made.type = type;
  return made;
}

TEST(LayerDraft, SeesWhatIsBelowAndWhatWasPut) {
  Tree tree;
  tree.file("d/f", "x").symlink("l", "d");
  const base::RootedDirectory below = tree.root();
  LayerDraft draft(below);
  EXPECT_EQ(draft.kind(""), Kind::directory);
  EXPECT_EQ(draft.kind("d"), Kind::directory);
  EXPECT_EQ(draft.kind("d/f"), Kind::other);
  EXPECT_EQ(draft.kind("l"), Kind::other);
  EXPECT_EQ(draft.kind("n"), Kind::absent);
  draft.require_directory("n/m", {});
  EXPECT_EQ(draft.kind("n/m"), Kind::directory);
}

TEST(LayerDraft, IdentityTellsDraftsOfOtherLayersApart) {
  const Tree one, two;
  const base::RootedDirectory below = one.root(), other_root = two.root();
  const auto identity = [&](const std::function<void(layers::TarEntry&, DraftContent&)>& change) {
    LayerDraft draft(below);
    layers::TarEntry changed = entry("f");
    DraftContent content{.file = {.root = &below, .path = "src/f"}};
    change(changed, content);
    draft.put(std::move(changed), std::move(content));
    return draft.identity();
  };
  const base::Digest same = identity([](auto&, auto&) {});
  EXPECT_EQ(identity([](auto&, auto&) {}), same);
  EXPECT_NE(identity([](auto& e, auto&) { e.path = "g"; }), same);
  EXPECT_NE(identity([](auto& e, auto&) { e.mode = 0600; }), same);
  EXPECT_NE(identity([](auto& e, auto&) { e.uid = 1; }), same);
  EXPECT_NE(identity([](auto& e, auto&) { e.mtime.tv_nsec = 1; }), same);
  EXPECT_NE(identity([](auto& e, auto&) { e.xattrs = {{"user.a", "b"}}; }), same);
  EXPECT_NE(identity([](auto&, auto& c) { c.file.path = "src/g"; }), same);
  EXPECT_NE(identity([&](auto&, auto& c) { c.file.root = &other_root; }), same);
  EXPECT_NE(identity([](auto&, auto& c) { c.text = "text"; }), same);
}

TEST(LayerDraft, RefusesToMixFilesAndDirectories) {
  Tree tree;
  tree.file("d/f", "x");
  const base::RootedDirectory below = tree.root();
  LayerDraft draft(below);
  EXPECT_THROW(draft.put(entry("d")), base::Error);
  EXPECT_THROW(draft.put(entry("d/f", EntryType::directory)), base::Error);
  EXPECT_THROW(draft.require_directory("d/f/x", {}), base::Error);
  draft.put(entry("d/f"));
}

TEST(LayerDraft, ReplacingADirectoryTakesWhatIsInIt) {
  Tree tree;
  tree.file("d/f", "x");
  const base::RootedDirectory below = tree.root();
  LayerDraft draft(below);
  draft.require_directory("d", {});
  draft.put(entry("d/g"));
  draft.replace(entry("d"));
  EXPECT_EQ(draft.kind("d"), Kind::other);
  EXPECT_EQ(draft.kind("d/f"), Kind::absent);
  EXPECT_EQ(draft.kind("d/g"), Kind::absent);
}

/// Paths of the layer, in its order; whiteouts as they are in a tar.
std::vector<std::string> written(const LayerDraft& draft) {
  const base::TempDirectory top(std::filesystem::temp_directory_path(), "strake-draft-");
  base::StringSink tar;
  layers::LayerWriter writer(base::TempDirectory(top.path(), "work-"),
                             {.xattrs = layers::usable_xattr_namespace(), .also = &tar});
  draft.write(writer);
  std::move(writer).finish();
  base::StringSource source(tar.text);
  layers::TarReader reader(source);
  std::vector<std::string> paths;
  while (const auto entry = reader.next())
    paths.push_back(entry->path + (entry->type == EntryType::directory ? "/" : ""));
  return paths;
}

TEST(LayerDraft, WhatIsRemovedIsAWhiteoutBesideIt) {
  Tree tree;
  tree.file("d/f", "x").file("d/g", "y").file("top", "z");
  const base::RootedDirectory below = tree.root();
  LayerDraft draft(below);
  EXPECT_TRUE(draft.empty());
  draft.require_directory("d", {});
  draft.put(entry("d/a"));
  draft.remove("d/f");
  draft.remove("top");
  draft.remove("d/nowhere");
  EXPECT_EQ(draft.kind("d/f"), Kind::absent);
  EXPECT_EQ(draft.kind("top"), Kind::absent);
  EXPECT_EQ(draft.kind("d/g"), Kind::other);
  EXPECT_FALSE(draft.empty());
  if (layers::usable_xattr_namespace() != layers::XattrNamespace::trusted)
    GTEST_SKIP() << "needs root: whiteouts are devices";
  EXPECT_THAT(written(draft), ElementsAre(".wh.top", "d/", "d/.wh.f", "d/a"));
}

TEST(LayerDraft, RemovingADirectoryTakesWhatIsInIt) {
  Tree tree;
  tree.file("d/e/f", "x");
  const base::RootedDirectory below = tree.root();
  LayerDraft draft(below);
  draft.require_directory("d/e", {});
  draft.put(entry("d/e/new"));
  draft.remove("d/e/f");
  draft.remove("d");
  EXPECT_EQ(draft.kind("d"), Kind::absent);
  EXPECT_EQ(draft.kind("d/e"), Kind::absent);
  EXPECT_EQ(draft.kind("d/e/new"), Kind::absent);
  if (layers::usable_xattr_namespace() != layers::XattrNamespace::trusted)
    GTEST_SKIP() << "needs root: whiteouts are devices";
  EXPECT_THAT(written(draft), ElementsAre(".wh.d"));
}

TEST(LayerDraft, WhatWasOnlyDraftedNeedsNoWhiteout) {
  Tree tree;
  const base::RootedDirectory below = tree.root();
  LayerDraft draft(below);
  draft.put(entry("f"));
  draft.remove("f");
  EXPECT_TRUE(draft.empty());
}

TEST(LayerDraft, AFileInThePlaceOfWhatWasRemovedHidesItAlone) {
  Tree tree;
  tree.file("d/f", "x").file("g", "y");
  const base::RootedDirectory below = tree.root();
  LayerDraft draft(below);
  draft.remove("d");
  draft.remove("g");
  draft.put(entry("d"));
  draft.put(entry("g"));
  EXPECT_EQ(draft.kind("d"), Kind::other);
  EXPECT_EQ(draft.kind("d/f"), Kind::absent);
  EXPECT_THAT(written(draft), ElementsAre("d", "g"));
}

TEST(LayerDraft, ADirectoryInThePlaceOfARemovedOneIsEmpty) {
  Tree tree;
  tree.file("d/e/f", "x").file("d/g", "y");
  const base::RootedDirectory below = tree.root();
  LayerDraft draft(below);
  draft.remove("d");
  draft.require_directory("d/e", {});
  EXPECT_EQ(draft.kind("d/e"), Kind::directory);
  EXPECT_EQ(draft.kind("d/e/f"), Kind::absent);
  EXPECT_EQ(draft.kind("d/g"), Kind::absent);
  draft.put(entry("d/g"));
  EXPECT_EQ(draft.kind("d/g"), Kind::other);
  if (layers::usable_xattr_namespace() != layers::XattrNamespace::trusted)
    GTEST_SKIP() << "needs root: whiteouts are devices";
  EXPECT_THAT(written(draft), ElementsAre("d/", "d/e/", "d/e/.wh.f", "d/g"));
}

// An archive may have a file of the name of a directory, and then a directory again.
TEST(LayerDraft, ADirectoryInThePlaceOfAFileThatHidOneIsEmpty) {
  Tree tree;
  tree.file("d/f", "x");
  const base::RootedDirectory below = tree.root();
  LayerDraft draft(below);
  draft.replace(entry("d"));
  draft.replace(entry("d", EntryType::directory));
  EXPECT_EQ(draft.kind("d/f"), Kind::absent);
  if (layers::usable_xattr_namespace() != layers::XattrNamespace::trusted)
    GTEST_SKIP() << "needs root: whiteouts are devices";
  EXPECT_THAT(written(draft), ElementsAre("d/", "d/.wh.f"));
}

TEST(LayerDraft, WhatIsRemovedTwiceIsRemoved) {
  Tree tree;
  tree.file("d/f", "x");
  const base::RootedDirectory below = tree.root();
  LayerDraft draft(below);
  draft.remove("d");
  draft.require_directory("d", {});
  draft.put(entry("d/new"));
  draft.remove("d");
  EXPECT_EQ(draft.kind("d"), Kind::absent);
  if (layers::usable_xattr_namespace() != layers::XattrNamespace::trusted)
    GTEST_SKIP() << "needs root: whiteouts are devices";
  EXPECT_THAT(written(draft), ElementsAre(".wh.d"));
}

TEST(LayerDraft, EntriesSayWhatStatSays) {
  Tree tree;
  tree.file("f", "12345", 0640);
  const auto status = tree.root().lstat("f");
  const layers::TarEntry made = entry_of("x/f", FileStatus(*status));
  EXPECT_EQ(made.path, "x/f");
  EXPECT_EQ(made.type, EntryType::file);
  EXPECT_EQ(made.mode, 0640U);
  EXPECT_EQ(made.size_bytes, 5U);
}

}  // namespace
}  // namespace strake::builder
