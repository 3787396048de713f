#include "builder/check/shell_script.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace strake::check {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

std::string mark(Connector connector) {
  switch (connector) {
    case Connector::end:
      return "";
    case Connector::and_then:
      return " &&";
    case Connector::or_else:
      return " ||";
    case Connector::sequence:
      return " ;";
    case Connector::pipe:
      return " |";
    case Connector::background:
      return " &";
  }
  return "";
}

/// Each command as "[words] redirections connector", words that are not literal in <>.
std::vector<std::string> commands(std::string_view text) {
  std::vector<std::string> out;
  for (const ShellCommand& command : read_shell(text).commands) {
    std::string line(static_cast<std::size_t>(command.depth), ' ');
    for (const ShellWord& word : command.assignments) line += "{" + word.text + "}";
    for (const ShellWord& word : command.words)
      line += word.literal ? "[" + word.text + "]" : "<" + word.text + ">";
    for (const Redirection& redirection : command.redirections)
      line += " " + redirection.operation + redirection.target.text;
    out.push_back(line + mark(command.next));
  }
  return out;
}

bool understood(std::string_view text) {
  return read_shell(text).understood;
}

TEST(ShellScript, WordsAreCutAtBlanks) {
  EXPECT_THAT(commands("  apt-get\tinstall  -y curl "),
              ElementsAre("[apt-get][install][-y][curl]"));
  EXPECT_THAT(commands(""), IsEmpty());
  EXPECT_THAT(commands(" \n ; "), IsEmpty());
}

TEST(ShellScript, QuotesGroupAndVanish) {
  EXPECT_THAT(commands(R"(echo 'a b' "c d" e\ f g"h"'i')"),
              ElementsAre("[echo][a b][c d][e f][ghi]"));
  EXPECT_THAT(commands(R"(echo "a\"b\n" 'c\')"), ElementsAre(R"([echo][a"b\n][c\])"));
  EXPECT_THAT(commands(R"(echo "" '')"), ElementsAre("[echo][][]"));
}

TEST(ShellScript, ConnectorsStandBetweenCommands) {
  EXPECT_THAT(commands("a && b || c ; d | e & f"),
              ElementsAre("[a] &&", "[b] ||", "[c] ;", "[d] |", "[e] &", "[f]"));
  EXPECT_THAT(commands("a&&b;c&"), ElementsAre("[a] &&", "[b] ;", "[c] &"));
  EXPECT_THAT(commands("a\nb\n"), ElementsAre("[a] ;", "[b] ;"));
  EXPECT_THAT(commands("a |& b"), ElementsAre("[a] |", "[b]"));
}

TEST(ShellScript, ConnectorsInQuotesAreText) {
  EXPECT_THAT(commands(R"(sed -e 's/a&b/c;d/' "x && y" \& z)"),
              ElementsAre("[sed][-e][s/a&b/c;d/][x && y][&][z]"));
}

TEST(ShellScript, AmpersandsOfRedirectionsStartNothing) {
  EXPECT_THAT(commands("make > log 2>&1 && b"), ElementsAre("[make] >log 2>&1 &&", "[b]"));
  EXPECT_THAT(commands("a &> /dev/null ; b &>>x"), ElementsAre("[a] &>/dev/null ;", "[b] &>>x"));
  EXPECT_THAT(commands("a >&2; b <&3"), ElementsAre("[a] >&2 ;", "[b] <&3"));
  EXPECT_THAT(commands("a 2>x 10>>y <z >|w"), ElementsAre("[a] 2>x 10>>y <z >|w"));
}

TEST(ShellScript, CommentsEndWithTheLine) {
  EXPECT_THAT(commands("a # && b\nc"), ElementsAre("[a] ;", "[c]"));
  EXPECT_THAT(commands("a#b '#' x"), ElementsAre("[a#b][#][x]"));
}

TEST(ShellScript, LinesAreJoined) {
  EXPECT_THAT(commands("a \\\n  b && \\\n c"), ElementsAre("[a][b] &&", "[c]"));
  EXPECT_THAT(commands("a &&\n b"), ElementsAre("[a] &&", "[b]"));
}

TEST(ShellScript, ExpansionsAreNotLiteral) {
  EXPECT_THAT(commands(R"(a $x ${y:-"z z"} "$w" '$v' \$u $1 $? x$)"),
              ElementsAre(R"([a]<$x><${y:-"z z"}><$w>[$v][$u]<$1><$?>[x$])"));
  EXPECT_THAT(commands("echo $((1 + (2))) b"), ElementsAre("[echo]<$((1 + (2)))>[b]"));
}

TEST(ShellScript, SubstitutionsAreCommandsOfTheirOwn) {
  EXPECT_THAT(commands("a $(b | c) d"), ElementsAre(" [b] |", " [c]", "[a]<$(b | c)>[d]"));
  EXPECT_THAT(commands("a \"`b \\`c\\``\""), ElementsAre("  [c]", " [b]<`c`>", "[a]<`b \\`c\\``>"));
  EXPECT_THAT(commands(R"x(a "$(b ")" && c)")x"),
              ElementsAre(" [b][)] &&", " [c]", R"x([a]<$(b ")" && c)>)x"));
}

TEST(ShellScript, AssignmentsStandInFront) {
  EXPECT_THAT(commands("A=1 B='x y' make C=2"), ElementsAre("{A=1}{B=x y}[make][C=2]"));
  EXPECT_THAT(commands("A=1; b"), ElementsAre("{A=1} ;", "[b]"));
  EXPECT_THAT(commands("1A=1"), ElementsAre("[1A=1]"));
}

TEST(ShellScript, CompoundCommandsAreDeeper) {
  EXPECT_THAT(commands("if a; then b; else c; fi && d"),
              ElementsAre(" [a] ;", " [b] ;", " [c] &&", "[d]"));
  EXPECT_THAT(commands("for x in 1 2; do a $x; done; b"), ElementsAre(" [a]<$x> ;", "[b]"));
  EXPECT_THAT(commands("while a; do b & done"), ElementsAre(" [a] ;", " [b] &"));
  EXPECT_THAT(commands("{ a; b; } > log && (c; d) & e"),
              ElementsAre(" [a] ;", " [b] &&", " [c] ;", " [d] &", "[e]"));
  EXPECT_THAT(commands("! a && time b"), ElementsAre("[a] &&", "[b]"));
  EXPECT_THAT(commands("f() { a; }; f"), ElementsAre(" [a] ;", "[f]"));
}

TEST(ShellScript, CasePatternsAreNoCommands) {
  EXPECT_THAT(commands("case \"$x\" in a|b) c;; (d) e && f ;; *) ;; esac; g"),
              ElementsAre(" [c] ;", " [e] &&", " [f] ;", "[g]"));
  EXPECT_TRUE(understood("case $x in a) b;; esac"));
}

TEST(ShellScript, TestsOfBashAreOneCommand) {
  EXPECT_THAT(commands("[[ -f a && -f b ]] && c"), ElementsAre("[[[][-f][a][-f][b][]]] &&", "[c]"));
}

TEST(ShellScript, HereDocumentsAreNoCommands) {
  EXPECT_THAT(commands("cat <<EOF > f && a\nb && c\nEOF\nd"),
              ElementsAre("[cat] <<EOF >f &&", "[a] ;", "[d]"));
  EXPECT_THAT(commands("cat <<-'E'\n\tx\n\tE\nd"), ElementsAre("[cat] <<-E ;", "[d]"));
}

TEST(ShellScript, PipedCommandsSaySo) {
  const ShellScript script = read_shell("curl x | sh; sh");
  ASSERT_EQ(script.commands.size(), 3U);
  EXPECT_FALSE(script.commands[0].piped_into);
  EXPECT_TRUE(script.commands[1].piped_into);
  EXPECT_FALSE(script.commands[2].piped_into);
}

TEST(ShellScript, ATextThatDoesNotMatchIsNotUnderstood) {
  for (const char* text : {"echo 'a", "echo \"a", "a $(b", "if a; then b", "a; fi", "(a", "a)",
                           "echo `a", "echo ${a", "[[ a"})
    EXPECT_FALSE(understood(text)) << text;
  for (const char* text : {"echo '", "\"", "\\", "$", "&", "<<", ")", "`", ";;", "case", "for"})
    commands(text);  // ends
}

TEST(ShellScript, DeepSubstitutionsEnd) {
  std::string text = "a";
  for (int i = 0; i < 1000; ++i) text = "$(" + text + ")";
  EXPECT_FALSE(understood(text));
}

}  // namespace
}  // namespace strake::check
