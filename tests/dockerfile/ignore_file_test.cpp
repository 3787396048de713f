#include "builder/dockerfile/ignore_file.h"

#include "builder/dockerfile/limits.h"
#include "tests/dockerfile/support.h"

namespace strake::dockerfile {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Pair;

IgnoreMatcher matcher(const std::string& text) {
  const SourceFile source(".dockerignore", text);
  return IgnoreMatcher(parse_ignore_file(source), &source);
}

std::vector<std::string> read(const std::string& text) {
  std::vector<std::string> out;
  for (const IgnorePattern& pattern : parse_ignore_file(SourceFile(".dockerignore", text)))
    out.push_back((pattern.negated ? "!" : "") + pattern.path);
  return out;
}

// Rule 52: patterns are trimmed and cleaned, one leading slash dropped.
TEST(IgnoreFile, HasAPatternALine) {
  EXPECT_THAT(read("\xEF\xBB\xBF"
                   "a\n# comment\n /b/ \n\n\t./c/../d\r\n! /e\n"),
              ElementsAre("a", "b", "d", "!e"));
}

// Rule 52: # starts a comment in the first column only.
TEST(IgnoreFile, HasCommentsInTheFirstColumnOnly) {
  EXPECT_THAT(read(" #a\n#b\n"), ElementsAre("#a"));
}

// Rule 52: a lone ! is an error.
TEST(IgnoreFile, RefusesANegationOfNothing) {
  for (const char* text : {"a\n!\n", "a\n! \n", "a\n!/\n"})
    EXPECT_THAT(lines_of(error_of([&] { read(text); })), Pair(2, 2)) << text;
}

TEST(IgnoreFile, NamesTheLineOfAMalformedPattern) {
  const base::Error error = error_of([] { matcher("ok\n\na[\n"); });
  EXPECT_THAT(error.what(), HasSubstr("syntax error in the pattern \"a[\""));
  EXPECT_THAT(lines_of(error), Pair(3, 3));
}

// Case C11: patterns cost no more than their length, and bad ones are named.
TEST(IgnoreFile, IsLimited) {
  std::string lines;
  for (std::size_t i = 0; i < kMaxIgnorePatterns; ++i) lines += "x\n";
  EXPECT_EQ(read(lines).size(), kMaxIgnorePatterns);
  EXPECT_EQ(lines_of(error_of([&] { read(lines + "y\n"); })).first, 10'001);
  EXPECT_EQ(read("#" + std::string(kMaxIgnoreFileBytes - 1, 'x')).size(), 0U);
  EXPECT_THAT(error_of([] { read("#" + std::string(kMaxIgnoreFileBytes, 'x')); }).what(),
              HasSubstr("1048576 bytes"));
}

// Rule 52: patterns start at the root of the context.
TEST(IgnoreMatcher, PatternsStartAtTheRoot) {
  const IgnoreMatcher ignore = matcher("foo\n*.log\n");
  EXPECT_TRUE(ignore.excludes("foo"));
  EXPECT_FALSE(ignore.excludes("a/foo"));
  EXPECT_TRUE(ignore.excludes("b.log"));
  EXPECT_FALSE(ignore.excludes("a/b.log"));
  EXPECT_TRUE(matcher("**/*.log\n").excludes("a/b.log"));
}

// Rule 53: a pattern matches what is below a match, too.
TEST(IgnoreMatcher, ExcludesEverythingBelowADirectory) {
  const IgnoreMatcher ignore = matcher("d\n");
  EXPECT_TRUE(ignore.excludes("d/e/f"));
  EXPECT_FALSE(ignore.excludes("dd"));
}

// Rule 53: the last pattern that matches decides.
TEST(IgnoreMatcher, LastMatchDecides) {
  const IgnoreMatcher ignore = matcher("*.md\n!README*.md\nREADME-secret.md\n");
  EXPECT_TRUE(ignore.excludes("x.md"));
  EXPECT_FALSE(ignore.excludes("README.md"));
  EXPECT_TRUE(ignore.excludes("README-secret.md"));
}

TEST(IgnoreMatcher, NegationTakesBackWholeDirectories) {
  const IgnoreMatcher ignore = matcher("**\n!docs/a\n");
  EXPECT_TRUE(ignore.excludes("docs"));
  EXPECT_FALSE(ignore.excludes("docs/a/b/c"));
  EXPECT_TRUE(ignore.excludes("docs/b"));
}

TEST(IgnoreMatcher, NamesThePatternAndItsLine) {
  const IgnoreMatcher ignore = matcher("# head\nserver/*.yml\n!server/a.yml\n");
  const IgnorePattern* pattern = ignore.excluded_by("server/config.yml");
  ASSERT_NE(pattern, nullptr);
  EXPECT_EQ(pattern->as_written, "server/*.yml");
  EXPECT_EQ(pattern->line, 2);
  EXPECT_EQ(ignore.excluded_by("server/a.yml"), nullptr);
}

// Rule 53: an excluded directory is entered for a later ! below it.
TEST(IgnoreMatcher, WalkKnowsWhichDirectoriesToSkip) {
  const IgnoreMatcher ignore = matcher("!early/x\nnode_modules\nearly\nvendor\n!vendor/*/keep\n");
  const auto may_skip = [&](std::string_view path) {
    const IgnoreMatcher::Directory directory = ignore.enter(ignore.root(), path);
    return directory.excluded() && !ignore.may_keep_below(directory, path);
  };
  EXPECT_TRUE(may_skip("node_modules"));
  EXPECT_TRUE(may_skip("early")) << "a negation before the exclusion takes nothing back";
  EXPECT_FALSE(may_skip("vendor"));
  EXPECT_FALSE(may_skip("src"));
  EXPECT_TRUE(ignore.has_negations());
}

TEST(IgnoreMatcher, WalkDecidesLikeASingleQuestion) {
  const IgnoreMatcher ignore = matcher("a\n!a/b\na/b/c\n!**/*.keep\n*/x\n");
  const std::string paths[] = {"a", "a/b", "a/b/c", "a/b/c/d.keep", "a/b/c/e", "a/x",
                               "q", "q/x", "q/x/y", "q/x/y.keep",   "a/b/z"};
  for (const std::string& path : paths) {
    IgnoreMatcher::Directory directory = ignore.root();
    for (std::size_t slash = path.find('/'); slash != std::string::npos;
         slash = path.find('/', slash + 1)) {
      directory = ignore.enter(directory, path.substr(0, slash));
      EXPECT_EQ(directory.excluded(), ignore.excludes(path.substr(0, slash))) << path;
    }
    EXPECT_EQ(ignore.excluded_by(directory, path), ignore.excluded_by(path)) << path;
  }
}

TEST(IgnoreMatcher, WorksOnPatternsWithoutAFile) {
  const IgnoreMatcher ignore(parse_ignore_patterns({" *.o ", "", "!a.o"}));
  EXPECT_TRUE(ignore.excludes("b.o"));
  EXPECT_FALSE(ignore.excludes("a.o"));
  EXPECT_EQ(ignore.excluded_by("b.o")->line, 0);
}

}  // namespace
}  // namespace strake::dockerfile
