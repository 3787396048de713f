#include "builder/exec/layer_draft.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "layers/base/error.h"
#include "tests/exec/exec_support.h"

namespace strake::builder {
namespace {

using Kind = LayerDraft::Kind;
using layers::EntryType;

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

TEST(LayerDraft, EntriesSayWhatStatSays) {
  Tree tree;
  tree.file("f", "12345", 0640);
  const auto status = tree.root().lstat("f");
  const layers::TarEntry made = entry_of("x/f", *status);
  EXPECT_EQ(made.path, "x/f");
  EXPECT_EQ(made.type, EntryType::file);
  EXPECT_EQ(made.mode, 0640U);
  EXPECT_EQ(made.size_bytes, 5U);
}

}  // namespace
}  // namespace strake::builder
