#include "builder/dockerfile/expansion.h"

#include <map>

#include "tests/dockerfile/support.h"

namespace strake::dockerfile {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class Variables {
 public:
  std::map<std::string, std::string, std::less<>> values = {
      {"F", "foo"}, {"E", ""},   {"P", "a/b/c.tar.gz"}, {"S", "a b  c"},
      {"U", "ünï"}, {"D", "$F"}, {"naïve1", "yes"}};

  Lookup lookup() const {
    return [this](std::string_view name) -> std::optional<std::string_view> {
      const auto found = values.find(name);
      if (found == values.end()) return std::nullopt;
      return found->second;
    };
  }
};

std::string expand(std::string_view word, const ExpansionOptions& options = {}) {
  const Variables variables;
  return expand_word(word, variables.lookup(), options).text;
}

std::vector<std::string> words_of(std::string_view text) {
  const Variables variables;
  return expand_to_words(text, variables.lookup()).words;
}

std::string error_text(const std::string& word) {
  return error_of([&] { expand(word); }).what();
}

std::string repeat(std::string_view text, int times) {
  std::string out;
  while (times-- > 0) out += text;
  return out;
}

TEST(Expansion, ReplacesVariables) {
  EXPECT_EQ(expand("$F-${F}bar.$F/x"), "foo-foobar.foo/x");
  EXPECT_EQ(expand("a$NOPE.b${NOPE}c"), "a.bc") << "unset is empty";
  EXPECT_EQ(expand("$D"), "$F") << "values are not expanded again";
}

TEST(Expansion, NamesAreLettersDigitsAndUnderscores) {
  EXPECT_EQ(expand("$naïve1–"), "yes–");
  EXPECT_EQ(expand("$1F"), "F") << "digits are a name of their own";
  EXPECT_EQ(expand("[$@$*$#$?$-$$$!$0]"), "[]") << "the shell's own are never set";
  EXPECT_EQ(expand("$ $. $"), "$ $. $");
}

TEST(Expansion, QuotesAndEscapes) {
  EXPECT_EQ(expand(R"('$F' "$F" \$F)"), "$F foo $F");
  EXPECT_EQ(expand(R"("a\"b\$c\\d\e")"), "a\"b$c\\d\\e") << "only what means something";
  EXPECT_EQ(expand(R"('a\'b)"), "a\\b") << "nothing can be escaped between single quotes";
  EXPECT_EQ(expand(R"(a\b\\)"), "ab\\");
  EXPECT_EQ(expand("a\\"), "a") << "at the end it escapes nothing";
}

// Rule 2: words are escaped with the character of the file.
TEST(Expansion, EscapesWithTheCharacterOfTheFile) {
  const ExpansionOptions backtick{.escape = '`'};
  EXPECT_EQ(expand(R"(C:\$F\x `$F "`"")", backtick), R"(C:\foo\x $F ")");
}

// Rule 25: an unset variable is empty, an unknown modifier an error.
TEST(Expansion, DefaultsAlternativesAndErrors) {
  EXPECT_EQ(expand("${NOPE:-x}${E:-x}${F:-x}"), "xxfoo");
  EXPECT_EQ(expand("${NOPE-x}${E-x}${F-x}"), "xfoo");
  EXPECT_EQ(expand("[${NOPE:+x}${E:+x}${F:+x}]"), "[x]");
  EXPECT_EQ(expand("[${NOPE+x}${E+x}${F+x}]"), "[xx]");
  EXPECT_EQ(expand("${F:?no}${E?no}"), "foo");
  EXPECT_EQ(error_text("${NOPE:?$F is needed}"), "NOPE: foo is needed");
  EXPECT_EQ(error_text("${NOPE?}"), "NOPE: is not allowed to be unset");
  EXPECT_EQ(error_text("${E:?}"), "E: is not allowed to be empty");
}

TEST(Expansion, NestsInTheWord) {
  EXPECT_EQ(expand("${NOPE:-${E:-$F}}"), "foo");
  EXPECT_EQ(expand("${NOPE:-\"a }'\"}\\}"), "a }'}");
  EXPECT_EQ(expand("${F:+${F}:}x"), "foo:x");
}

// Rule 26: % removes the shortest suffix; brackets in patterns are literal.
TEST(Expansion, RemovesPrefixesAndSuffixes) {
  EXPECT_EQ(expand("${P#*/} ${P##*/} ${P%.*} ${P%%.*}"), "b/c.tar.gz c.tar.gz a/b/c.tar a/b/c");
  EXPECT_EQ(expand("${U#?}${U%?}${U#ü}"), "nïünnï") << "a character may be several bytes";
  EXPECT_EQ(expand("${P#[a]}"), "a/b/c.tar.gz") << "brackets are characters";
  EXPECT_EQ(expand("${P#nope}${P%nope}${NOPE#x}"), "a/b/c.tar.gza/b/c.tar.gz");
  EXPECT_EQ(expand("${P##*}${P%%*}"), "");
}

TEST(Expansion, PatternsDoNotCrossLines) {
  Variables variables;
  variables.values["V"] = "one\ntwo";
  EXPECT_EQ(expand_word("${V#*t}", variables.lookup()).text, "one\ntwo");
  EXPECT_EQ(expand_word("${V//?o/X}", variables.lookup()).text, "one\ntX");
}

TEST(Expansion, EscapesInPatterns) {
  Variables variables;
  variables.values["V"] = "*a?b";
  EXPECT_EQ(expand_word(R"(${V#\*}${V/\?/})", variables.lookup()).text, "a?b*ab");
  EXPECT_THAT(error_text(R"(${F#\o})"), HasSubstr("invalid escape"));
  EXPECT_THAT(error_text("${F:#f}"), HasSubstr("unsupported modifier \":#\""));
}

TEST(Expansion, ReplacesMatches) {
  EXPECT_EQ(expand("${P/a/X} ${P//a/X} ${P/b*/X}"), "X/b/c.tar.gz X/b/c.tXr.gz a/X");
  EXPECT_EQ(expand(R"(${P//\//_}${F//o/}${F/x/y})"), "a_b_c.tar.gzffoo");
  EXPECT_EQ(expand("${F///-}"), "-f-o-o-");
  EXPECT_EQ(expand("${F//*/-}"), "-");
  EXPECT_THAT(error_text("${F/o}"), HasSubstr("missing \"/\""));
}

TEST(Expansion, ReplacesAllWithATemplate) {
  Variables variables;
  variables.values["R"] = "<$0$1$$>";
  EXPECT_EQ(expand_word("${F//o/$R}", variables.lookup()).text, "f<o$><o$>");
  EXPECT_EQ(expand_word("${F/o/$R}", variables.lookup()).text, "f<$0$1$$>o");
}

// Rule 25: ${} and ${:x} are bad substitutions.
TEST(Expansion, RefusesWhatIsNotClosed) {
  EXPECT_THAT(error_text("a'b"), HasSubstr("single quote"));
  EXPECT_THAT(error_text("a\"b"), HasSubstr("double quote"));
  for (const char* word : {"${", "${F", "${F:-", "${F:-${F}", "${F#", "${F//a/b"})
    EXPECT_THAT(error_text(word), HasSubstr("missing \"}\"")) << word;
  for (const char* word : {"${}", "${:x}", "${{F}}"})
    EXPECT_THAT(error_text(word), HasSubstr("bad substitution")) << word;
  for (const char* word : {"${F.x}", "${F:=x}", "${F:", "${.}"})
    EXPECT_THAT(error_text(word), HasSubstr("unsupported modifier")) << word;
}

TEST(Expansion, ReportsTheVariablesItMet) {
  const Variables variables;
  const VariableUse use = expand_word("$F${F:+${A}}${B:-$E}'$C'\\$G", variables.lookup()).variables;
  EXPECT_THAT(use.used, ElementsAre("E", "F"));
  EXPECT_THAT(use.unmatched, ElementsAre("A", "B"));
}

TEST(Expansion, KeepsUnsetVariablesForDisplay) {
  const ExpansionOptions display{.keep_unset = true};
  EXPECT_EQ(expand("$F $A ${A} ${A:-$F} ${A#x} ${A//x/y}", display),
            "foo $A ${A} ${A:-foo} ${A#x} ${A//x/y}");
}

TEST(Expansion, DepthIsLimited) {
  EXPECT_EQ(expand(repeat("${A:-", 31) + "x" + repeat("}", 31)), "x");
  EXPECT_EQ(expand(repeat("${A:-", 32) + "x" + repeat("}", 32)), "x");
  EXPECT_THAT(error_text(repeat("${A:-", 33) + repeat("}", 33)), HasSubstr("nested deeper"));
  EXPECT_THAT(error_text(repeat("${A:-", 100'000)), HasSubstr("nested deeper"));
}

TEST(Expansion, ResultIsLimited) {
  const ExpansionOptions tight{.max_bytes = 6};
  EXPECT_EQ(expand("$F$F", tight), "foofoo");
  EXPECT_THAT(error_of([&] { expand("$F${F}x", tight); }).what(), HasSubstr("longer than 6 bytes"));
  EXPECT_THAT(error_of([&] { expand("${F//o/xxxx}", tight); }).what(), HasSubstr("longer than"));
}

TEST(Expansion, PatternsTakeNoExponentialTime) {
  Variables variables;
  variables.values["L"] = std::string(100'000, 'a');
  const std::string pattern = repeat("*a", 100) + "b";
  for (const char* form : {"#", "##", "%", "%%"})
    EXPECT_EQ(
        expand_word("${L" + std::string(form) + pattern + "}", variables.lookup()).text.size(),
        100'000U);
  EXPECT_EQ(expand_word("${L//" + pattern + "/x}", variables.lookup()).text.size(), 100'000U);
  EXPECT_THAT(error_text("${F#" + std::string(4097, 'a') + "}"), HasSubstr("at most 4096"));
}

// Rule 27: in EXPOSE the values of variables split too.
TEST(ExpansionToWords, SplitsAlsoTheValuesOfVariables) {
  EXPECT_THAT(words_of("  x $S\ty "), ElementsAre("x", "a", "b", "c", "y"));
  EXPECT_THAT(words_of("x$S$F"), ElementsAre("xa", "b", "cfoo"));
}

TEST(ExpansionToWords, KeepsQuotedAndEscapedBlanks) {
  EXPECT_THAT(words_of("\"$S\" a\\ b 'c d'e"), ElementsAre("a b  c", "a b", "c de"));
}

TEST(ExpansionToWords, DropsEmptyWords) {
  EXPECT_THAT(words_of("$E \"\" '' ${NOPE}"), IsEmpty());
  EXPECT_THAT(words_of(""), IsEmpty());
}

TEST(HeredocBody, ExpandsVariablesButKeepsQuotes) {
  const Variables variables;
  EXPECT_EQ(expand_heredoc_body("it's \"$F\" \\$F '${F}'\n", variables.lookup()).text,
            "it's \"foo\" $F 'foo'\n");
}

}  // namespace
}  // namespace strake::dockerfile
