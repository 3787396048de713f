#include "builder/dockerfile/glob.h"

#include "tests/dockerfile/support.h"

namespace strake::dockerfile {
namespace {

using testing::HasSubstr;

bool path_match(const char* pattern, const char* path) {
  return Glob(pattern, Glob::Dialect::path).matches(path);
}

bool deep_match(const char* pattern, const char* path) {
  return Glob(pattern, Glob::Dialect::deep).matches(path);
}

std::string repeat(std::string_view text, int times) {
  std::string out;
  while (times-- > 0) out += text;
  return out;
}

TEST(Glob, LiteralMatchesItselfOnly) {
  EXPECT_TRUE(path_match("a.b+c", "a.b+c"));
  EXPECT_FALSE(path_match("a.b", "axb"));
  EXPECT_FALSE(path_match("a", "a/b"));
  EXPECT_FALSE(path_match("a/b", "a"));
}

// Rule 33: * and ? never cross a slash.
TEST(Glob, StarAndQuestionMarkStayBetweenSlashes) {
  EXPECT_TRUE(path_match("a*c", "abbc"));
  EXPECT_TRUE(path_match("a*", "a"));
  EXPECT_FALSE(path_match("a*c", "ab/c"));
  EXPECT_TRUE(path_match("a*/b", "abc/b"));
  EXPECT_TRUE(path_match("a?b", "a☺b"));
  EXPECT_FALSE(path_match("a?b", "a/b"));
  EXPECT_TRUE(path_match("*", ".hidden"));
  EXPECT_FALSE(path_match("**", "a/b")) << "two stars are one here";
}

// Rule 33: a class is negated by ^, not by !.
TEST(Glob, ClassesHaveRangesAndANegation) {
  EXPECT_TRUE(path_match("[a-c]x", "bx"));
  EXPECT_FALSE(path_match("[a-c]x", "dx"));
  EXPECT_TRUE(path_match("[^a-c]x", "dx"));
  EXPECT_TRUE(path_match("[!a]x", "!x")) << "only ^ negates";
  EXPECT_TRUE(path_match("[α-ω]", "ζ"));
  EXPECT_TRUE(path_match("[\\]\\-]", "-"));
  EXPECT_TRUE(path_match("[x.*]", "*"));
}

// Rule 33: a backslash escapes.
TEST(Glob, BackslashMakesTheNextCharacterLiteral) {
  EXPECT_TRUE(path_match("a\\*b", "a*b"));
  EXPECT_FALSE(path_match("a\\*b", "axb"));
  EXPECT_TRUE(path_match("a\\\\", "a\\"));
}

TEST(Glob, RefusesMalformedPatterns) {
  for (const char* pattern :
       {"[", "[]", "[a", "[^]", "[a-]", "[-]", "[]a]", "a\\", "[\\", "x[a-\\"}) {
    EXPECT_THAT(error_of([&] { path_match(pattern, "x"); }).what(), HasSubstr("syntax error"))
        << pattern;
    EXPECT_THROW(deep_match(pattern, "x"), base::Error) << pattern;
  }
  EXPECT_FALSE(path_match("[z-a]", "m"));
  EXPECT_THROW(deep_match("[z-a]", "m"), base::Error);
}

// Rule 53: ** is any depth, also none.
TEST(Glob, TwoStarsCrossSlashes) {
  EXPECT_TRUE(deep_match("**/x", "x"));
  EXPECT_TRUE(deep_match("**/x", "a/b/x"));
  EXPECT_FALSE(deep_match("**/x", "ax"));
  EXPECT_TRUE(deep_match("a/**/b", "a/b"));
  EXPECT_TRUE(deep_match("a/**/b", "a/c/d/b"));
  EXPECT_TRUE(deep_match("a/**", "a/b/c"));
  EXPECT_FALSE(deep_match("a/**", "a"));
  EXPECT_TRUE(deep_match("a**", "abc/d"));
  EXPECT_TRUE(deep_match("a**/*.txt", "a/b/c.txt"));
  EXPECT_TRUE(deep_match("**/**/*.txt", "x.txt"));
  EXPECT_TRUE(deep_match("**", "a/b"));
}

// Rule 53: a trailing ** is any text that starts so.
TEST(Glob, TwoStarsBeforeAPlainNameTakeAnyFront) {
  EXPECT_TRUE(deep_match("**file", "myfile"));
  EXPECT_TRUE(deep_match("**file", "a/myfile"));
  EXPECT_FALSE(deep_match("**f*le", "myfile")) << "with a wildcard the name must be whole";
  EXPECT_TRUE(deep_match("**f*le", "a/file"));
}

TEST(Glob, MatchesAPathBelowAMatchingDirectory) {
  const Glob glob("a*/b", Glob::Dialect::deep);
  EXPECT_TRUE(glob.matches_path_or_parent("ax/b"));
  EXPECT_TRUE(glob.matches_path_or_parent("ax/b/c/d"));
  EXPECT_FALSE(glob.matches_path_or_parent("ax/bc"));
  EXPECT_FALSE(glob.matches_path_or_parent("ax"));
  EXPECT_TRUE(Glob("a", Glob::Dialect::deep).matches_path_or_parent("a/b"));
  EXPECT_FALSE(Glob("a", Glob::Dialect::deep).matches_path_or_parent("ab"));
}

TEST(Glob, KnowsWhereItCouldMatch) {
  const Glob glob("a/*/c", Glob::Dialect::deep);
  EXPECT_TRUE(glob.may_match_below("a"));
  EXPECT_TRUE(glob.may_match_below("a/x"));
  EXPECT_FALSE(glob.may_match_below("b"));
  EXPECT_FALSE(glob.may_match_below("a/x/c"));
  EXPECT_TRUE(Glob("**/x", Glob::Dialect::deep).may_match_below("q/r"));
  EXPECT_FALSE(Glob("abc", Glob::Dialect::deep).may_match_below("a"));
}

TEST(Glob, TakesNoExponentialTime) {
  const std::string path = repeat("a", 4000);
  EXPECT_FALSE(Glob(repeat("*a", 1000) + "b", Glob::Dialect::deep).matches(path + "c"));
  EXPECT_FALSE(Glob(repeat("**/a", 500) + "/[b]", Glob::Dialect::deep).matches(repeat("a/", 2000)));
  EXPECT_TRUE(Glob(repeat("*a", 100) + "*", Glob::Dialect::path).matches(path));
}

TEST(HasWildcards, SeesThemUnlessEscaped) {
  for (const char* path : {"*", "a?", "x/[a]"}) EXPECT_TRUE(has_wildcards(path)) << path;
  for (const char* path : {"", "a/b", "a\\*b", "a]"}) EXPECT_FALSE(has_wildcards(path)) << path;
}

TEST(CleanPath, ResolvesByText) {
  EXPECT_EQ(clean_path(""), ".");
  EXPECT_EQ(clean_path("a//b/./c/"), "a/b/c");
  EXPECT_EQ(clean_path("a/../../b"), "../b");
  EXPECT_EQ(clean_path("/../a/.."), "/");
  EXPECT_EQ(clean_path("//x"), "/x");
  EXPECT_EQ(clean_path("a/.."), ".");
}

}  // namespace
}  // namespace strake::dockerfile
