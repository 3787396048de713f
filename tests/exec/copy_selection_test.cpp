#include "builder/exec/copy_selection.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "layers/base/error.h"
#include "tests/exec/exec_support.h"

namespace strake::builder {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

/// "name: path path …" for each selected source; "/" behind the name of a directory.
std::vector<std::string> select(const Tree& tree, plan::Copy copy,
                                const std::string& ignore_file = "") {
  const dockerfile::SourceFile source(".dockerignore", ignore_file);
  const dockerfile::IgnoreMatcher ignored(dockerfile::parse_ignore_file(source), &source);
  const base::RootedDirectory root = tree.root();
  std::vector<std::string> out;
  for (const SelectedSource& selected : select_files(copy, {.root = root,
                                                           .ignored = &ignored,
                                                           .is_context = true,
                                                           .shown_name = "the build context"})) {
    std::string text = selected.parents.empty() ? "" : selected.parents + "|";
    text += selected.name + (selected.directory ? "/:" : ":");
    for (const SelectedEntry& entry : selected.entries)
      if (!entry.path.empty())
        text += " " + std::string(entry.path) + (entry.only_as_parent ? "?" : "");
    out.push_back(text);
  }
  return out;
}

plan::Copy copy_of(std::vector<std::string> sources) {
  plan::Copy copy;
  copy.sources = std::move(sources);
  copy.destination = "/";
  return copy;
}

std::string failure(const Tree& tree, const std::string& source, const std::string& ignore = "") {
  try {
    select(tree, copy_of({source}), ignore);
  } catch (const base::Error& error) {
    std::string text = error.what();
    for (const std::string& note : error.notes()) text += " | " + note;
    return text + " | " + error.hint();
  }
  return "no error";
}

Tree sample() {
  Tree tree;
  tree.file("a.txt", "a")
      .file("b.txt", "b")
      .file("d/x", "x")
      .file("d/e/y", "y")
      .file("d/e.txt", "e");
  return tree;
}

// Rule 29: of a directory its content is copied, never itself.
TEST(CopySelection, ADirectorysContentInWalkOrder) {
  EXPECT_THAT(select(sample(), copy_of({"d"})), ElementsAre("d/: e e/y e.txt x"));
  EXPECT_THAT(select(sample(), copy_of({"."})),
              ElementsAre("/: a.txt b.txt d d/e d/e/y d/e.txt d/x"));
}

// Rule 33: a pattern that matches nothing is fine; matching stops at a directory (rule 34).
TEST(CopySelection, PatternsMatchComponentsAndStopAtDirectories) {
  EXPECT_THAT(select(sample(), copy_of({"*.txt"})), ElementsAre("a.txt:", "b.txt:"));
  EXPECT_THAT(select(sample(), copy_of({"d/*"})), ElementsAre("e/: y", "e.txt:", "x:"));
  EXPECT_THAT(select(sample(), copy_of({"*/e*"})), ElementsAre("e/: y", "e.txt:"));
  EXPECT_THAT(select(sample(), copy_of({"no*match"})), IsEmpty());
}

// Rule 35: neither .. nor symlinks lead out of the context.
// Case C01: a symlink leads to files of the context only.
// Case C03: so does a path with "..", or an absolute one.
TEST(CopySelection, NothingLeavesTheRoot) {
  Tree tree = sample();
  tree.symlink("out", "/etc").symlink("up", "../../../..").symlink("link", "/a.txt");
  EXPECT_THAT(failure(tree, "../../etc/passwd"), HasSubstr("no such file"));
  EXPECT_THAT(failure(tree, "out/passwd"), HasSubstr("no such file"));
  EXPECT_THAT(select(tree, copy_of({"link"})), ElementsAre("link:"));  // followed inside
  EXPECT_THAT(select(tree, copy_of({"up/d/e"})), ElementsAre("e/: y"));
  EXPECT_THAT(select(tree, copy_of({"/a.txt"})), ElementsAre("a.txt:"));
}

// Rule 34: symlinks inside of copied directories stay symlinks.
TEST(CopySelection, SymlinksInsideDirectoriesStaySymlinks) {
  Tree tree;
  tree.file("d/f", "x").symlink("d/l", "f");
  const base::RootedDirectory root = tree.root();
  const auto selected = select_files(copy_of({"d"}), {.root = root, .shown_name = ""});
  ASSERT_EQ(selected[0].entries.size(), 3U);
  EXPECT_EQ(selected[0].entries[2].link_target(), "f");
}

TEST(CopySelection, IgnoredPathsAreAbsentUnlessTakenBack) {
  EXPECT_THAT(select(sample(), copy_of({"."}), "d\n"), ElementsAre("/: a.txt b.txt"));
  EXPECT_THAT(select(sample(), copy_of({"."}), "d\n!d/e/y\n"),
              ElementsAre("/: a.txt b.txt d? d/e? d/e/y"));
  EXPECT_THAT(select(sample(), copy_of({"."}), "**\n!d/e.txt\n"), ElementsAre("/: d? d/e.txt"));
  EXPECT_THAT(failure(sample(), "d", "**\n!d/nothing\n"), HasSubstr("no such file"));
  EXPECT_THAT(failure(sample(), "a.txt", "# c\n*.txt\n"),
              HasSubstr("it is excluded by .dockerignore:2 \"*.txt\""));
}

// Rule 33: a path without wildcards has to exist.
TEST(CopySelection, AMisspelledNameGetsASuggestion) {
  EXPECT_THAT(failure(sample(), "a.text"), HasSubstr("did you mean \"a.txt\"?"));
  EXPECT_THAT(failure(sample(), "d/e.txx"), HasSubstr("did you mean \"d/e.txt\"?"));
}

// Rule 49: --exclude is relative to the source; ! takes back.
TEST(CopySelection, ExcludesAreRelativeToTheSource) {
  plan::Copy copy = copy_of({"d"});
  copy.excludes = {"e", "!e/y"};
  EXPECT_THAT(select(sample(), copy), ElementsAre("d/: e? e/y e.txt x"));
  copy = copy_of({"*.txt"});
  copy.excludes = {"b*"};
  EXPECT_THAT(select(sample(), copy), ElementsAre("a.txt:"));
}

// Rule 50: --parents keeps the path behind /./.
TEST(CopySelection, ParentsKeepThePathBehindThePivot) {
  plan::Copy copy = copy_of({"d/e/y", "d/./e/y"});
  copy.parents = true;
  EXPECT_THAT(select(sample(), copy), ElementsAre("d/e|y:", "e|y:"));
  copy = copy_of({"**/e.txt"});
  copy.parents = true;
  EXPECT_THAT(select(sample(), copy), ElementsAre("d|e.txt:"));
}

// Rule 49: with --parents the directory whose content is copied is the root, or the pivot.
TEST(CopySelection, ExcludesOfParentsAreRelativeToThePivot) {
  plan::Copy copy = copy_of({"d"});
  copy.parents = true;
  copy.excludes = {"e", "d/x"};
  EXPECT_THAT(select(sample(), copy), ElementsAre("d|d/: e e/y e.txt"));
  copy.excludes = {"**/e"};
  EXPECT_THAT(select(sample(), copy), ElementsAre("d|d/: e.txt x"));
  copy = copy_of({"./d/./e/y", "d/e/y"});
  copy.parents = true;
  copy.excludes = {"d/e/**"};
  EXPECT_THAT(select(sample(), copy), ElementsAre("e|y:"));
}

TEST(CopySelection, DeepTreesNeedNoDescriptorForEachLevel) {
  Tree tree;
  std::string path = "deep";
  for (int i = 0; i < 1500; ++i) path += "/d";
  base::RootedDirectory root = tree.root();
  root.make_directories(path, 0755);
  EXPECT_EQ(select_files(copy_of({"deep"}), {.root = root, .shown_name = ""})[0].entries.size(),
            1501U);
}

}  // namespace
}  // namespace strake::builder
