#include "builder/exec/selection_digests.h"

#include <gtest/gtest.h>

#include "builder/exec/source_file.h"
#include "builder/exec/step_keys.h"
#include "cache/file_digester.h"
#include "layers/base/error.h"
#include "tests/exec/exec_support.h"

namespace strake::builder {
namespace {

class SelectionDigestsTest : public ::testing::Test {
 protected:
  SelectionDigestsTest() {
    tree_.file("a", "1").file("d/b", "22").file("d/large", std::string((2 << 20) + 7, 'x'));
    tree_.file("empty", "").symlink("l", "a");
    std::filesystem::create_hard_link(tree_.path() / "a", tree_.path() / "z");
    select();
  }
  void select() {
    plan::Copy all;
    all.sources = {"."};
    selection_ = select_files(all, source_);
  }
  const SelectedEntry& entry(const std::string& path) const {
    for (const SelectedEntry& entry : selection_.front().entries)
      if (entry.path == path) return entry;
    throw std::runtime_error("not selected: " + path);
  }
  cache::FileManifest manifest() {
    SelectionDigests digests(selection_);
    digests.read_missing(source_, memo_);
    return copy_manifest(selection_, source_, digests);
  }

  Tree tree_;
  const base::RootedDirectory root_ = tree_.root();
  const CopySource source_{.root = root_, .is_context = true, .shown_name = "the context"};
  cache::StatMemo memo_;
  std::vector<SelectedSource> selection_;
};

TEST_F(SelectionDigestsTest, ReadsWhatIsMissing) {
  SelectionDigests digests(selection_);
  EXPECT_FALSE(digests.complete());
  EXPECT_EQ(digests.of(entry("empty")), base::Digest::of(""));
  digests.learn(entry("a").index, base::Digest::of("was known"));
  digests.read_missing(source_, memo_);
  EXPECT_TRUE(digests.complete());
  EXPECT_EQ(digests.of(entry("d/b")), base::Digest::of("22"));
  EXPECT_EQ(digests.of(entry("z")), base::Digest::of("was known")) << "another name of \"a\"";
}

TEST_F(SelectionDigestsTest, WhatIsCopiedIsDigestedTheSame) {
  SelectionDigests read(selection_), learned(selection_);
  read.read_missing(source_, memo_);
  LearnedDigests to{learned, memo_};
  for (const char* path : {"a", "d/b", "d/large"}) {
    const SelectedEntry& selected = entry(path);
    const SourceFile file{.root = &root_,
                          .path = std::string(selected.source_path),
                          .stamp = selected.status.stamp,
                          .stamp_counts = true,
                          .index = selected.index};
    const auto content = content_of(file, &to);
    std::vector<std::byte> bytes(layers::kTarPieceBytes);
    const std::uint64_t size = file.stamp.size_bytes;
    for (std::uint64_t at = 0; at < size; at += bytes.size())
      content->read(at, std::span(bytes).first(std::min<std::uint64_t>(bytes.size(), size - at)));
    EXPECT_EQ(learned.of(selected), read.of(selected)) << path;
  }
}

TEST_F(SelectionDigestsTest, AFileThatIsAnotherByNowIsNotCopied) {
  const SelectedEntry& selected = entry("a");
  const SourceFile file{.root = &root_,
                        .path = "a",
                        .stamp = selected.status.stamp,
                        .stamp_counts = true,
                        .index = selected.index};
  std::filesystem::last_write_time(
      tree_.path() / "a", std::filesystem::file_time_type::clock::now() - std::chrono::hours(1));
  std::byte byte{};
  EXPECT_THROW(content_of(file, nullptr)->read(0, std::span(&byte, 1)), base::Error);
}

TEST_F(SelectionDigestsTest, WhatIsNoFileAnyMoreIsNotRead) {
  std::filesystem::remove(tree_.path() / "d/b");
  ASSERT_EQ(::mkfifo((tree_.path() / "d/b").c_str(), 0600), 0);
  SelectionDigests digests(selection_);
  EXPECT_THROW(digests.read_missing(source_, memo_), base::Error) << "at once";
}

TEST_F(SelectionDigestsTest, WhatTheMemoKnowsIsNotRead) {
  for (const std::string path : {"a", "d/b", "d/large"})
    memo_.remember(entry(path).status.stamp, base::Digest::of("known " + path),
                   std::chrono::system_clock::now() + std::chrono::hours(1), true);
  const CopySource source{
      .root = root_, .is_context = true, .shown_name = "the context", .memo = &memo_};
  plan::Copy all;
  all.sources = {"."};
  selection_ = select_files(all, source);
  const SelectionDigests digests(selection_);
  EXPECT_TRUE(digests.complete());
  EXPECT_EQ(digests.of(entry("d/large")), base::Digest::of("known d/large"));
  EXPECT_EQ(digests.of(entry("z")), base::Digest::of("known a")) << "another name of \"a\"";
  EXPECT_EQ(digests.of(entry("l")), std::nullopt);
}

TEST_F(SelectionDigestsTest, NamesModesAndSizesAreComparedWithoutReading) {
  const cache::FileManifest before = manifest();
  EXPECT_FALSE(differs_without_reading(selection_, before));
  tree_.file("d/b", "33");
  select();
  EXPECT_FALSE(differs_without_reading(selection_, before)) << "content is not looked at";
  tree_.file("d/b", "333");
  select();
  EXPECT_TRUE(differs_without_reading(selection_, before)) << "another size";
  tree_.file("d/b", "22", 0755);
  select();
  EXPECT_TRUE(differs_without_reading(selection_, before)) << "another mode";
  tree_.file("d/b", "22");
  select();
  EXPECT_FALSE(differs_without_reading(selection_, before));
  tree_.file("d/c", "");
  select();
  EXPECT_TRUE(differs_without_reading(selection_, before)) << "another file";
}

TEST_F(SelectionDigestsTest, ManyDirectoriesAreWalkedInOrder) {
  Tree large;
  for (int i = 0; i < 40; ++i)
    for (int j = 0; j < 10; ++j)
      large.file(std::to_string(i) + "/" + std::to_string(j) + "/f", "x")
          .file(std::to_string(i) + ".txt", "y");
  const base::RootedDirectory root = large.root();
  plan::Copy all;
  all.sources = {"."};
  const auto selection = select_files(all, {.root = root, .shown_name = "the context"});
  const SelectedEntries& entries = selection.front().entries;
  EXPECT_EQ(entries.size(), 1U + 40 + 40 * 10 * 2 + 40);
  for (std::size_t i = 1; i < entries.size(); ++i) {
    EXPECT_TRUE(cache::walk_order_less(entries[i - 1].path, entries[i].path)) << entries[i].path;
    EXPECT_EQ(entries[i].index, i);
  }
}

}  // namespace
}  // namespace strake::builder
