#include "builder/dockerfile/parser.h"

#include "tests/dockerfile/support.h"

namespace strake::dockerfile {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Pair;

std::string run_text(const std::string& text) {
  return std::get<ShellForm>(parse_as<dockerfile::Run>(text).command).text;
}

// ---- Directives

// Rule 1: directives are the first lines of the file.
TEST(Directives, StandAtTheVeryTop) {
  const Dockerfile file = parse_text(
      "# syntax=docker/dockerfile:1\n#ESCAPE = `\n# check=skip=A, B;error=true\nFROM a\n");
  EXPECT_EQ(file.directives.syntax, "docker/dockerfile:1");
  EXPECT_EQ(file.directives.escape, '`');
  EXPECT_THAT(file.directives.check.skip, ElementsAre("A", "B"));
  EXPECT_TRUE(file.directives.check.warnings_are_errors);
  EXPECT_EQ(file.directives.check_where->first_line, 3);
  EXPECT_THAT(file.instructions[0].comments, IsEmpty());
}

// Rule 1: any other line, also a comment or an unknown directive, ends them.
TEST(Directives, EndAtAnyOtherLine) {
  for (const char* first : {"# a comment\n", "\n", "# unknown=x\n", "ARG A\n"}) {
    const Dockerfile file = parse_text(std::string(first) + "# escape=`\nFROM a\n");
    EXPECT_EQ(file.directives.escape, '\\') << first;
  }
}

// Rule 1: a known directive given twice is an error.
TEST(Directives, GivenTwiceAreAnErrorAtTheSecond) {
  const base::Error error = parse_error("# escape=`\n# escape=`\nFROM a\n");
  EXPECT_THAT(error.what(), HasSubstr("only one escape directive"));
  EXPECT_THAT(lines_of(error), Pair(2, 2));
}

// Rule 2: the escape character is ` or \, nothing else.
TEST(Directives, RefuseAnEscapeCharacterThatIsNone) {
  EXPECT_THAT(lines_of(parse_error("# escape=z\nFROM a\n")), Pair(1, 1));
  EXPECT_THAT(lines_of(parse_error("# escape=``\nFROM a\n")), Pair(1, 1));
}

TEST(Directives, RefuseUnknownCheckOptions) {
  EXPECT_THAT(parse_error("# check=skip=all;oops=1\nFROM a\n").what(), HasSubstr("oops"));
  EXPECT_THAT(parse_error("# check=error=maybe\nFROM a\n").what(), HasSubstr("maybe"));
}

TEST(Directives, BelowAnInterpreterLineOnlySyntaxAndCheckCount) {
  const Dockerfile file = parse_text("#!/usr/bin/env x\n# syntax=s\n# escape=`\nFROM a\n");
  EXPECT_EQ(file.directives.syntax, "s");
  EXPECT_EQ(file.directives.escape, '\\');
}

TEST(Directives, ComeAfterAByteOrderMark) {
  EXPECT_EQ(parse_text("\xEF\xBB\xBF# escape=`\nFROM a\n").directives.escape, '`');
}

TEST(CheckSettings, KnowAll) {
  const CheckSettings settings = parse_check_settings(" skip=all ; experimental=X,all2 ");
  EXPECT_TRUE(settings.skip_all);
  EXPECT_THAT(settings.skip, IsEmpty());
  EXPECT_FALSE(settings.experimental_all);
  EXPECT_THAT(settings.experimental, ElementsAre("X", "all2"));
}

// ---- Lines

// Rule 4: lines join without a separator and keep the white space in front.
TEST(Lines, JoinWithoutAnythingBetweenAndKeepWhiteSpaceInFront) {
  EXPECT_EQ(run_text("RUN echo he\\\nllo \\\n  world"), "echo hello   world");
}

// Rule 3: blanks behind the escape character do not undo the continuation.
TEST(Lines, MayHaveBlanksBehindTheContinuationCharacter) {
  EXPECT_EQ(run_text("RUN a \\ \t\nb"), "a b");
}

// Rule 3: an escape behind an escape ends the line.
TEST(Lines, DoNotContinueBehindAnEscapedEscape) {
  const Dockerfile file = parse_text("FROM a\nRUN x \\\\\nRUN y\n");
  ASSERT_EQ(file.instructions.size(), 3U);
  EXPECT_EQ(
      std::get<ShellForm>(std::get<dockerfile::Run>(file.instructions[1].operation).command).text,
      "x \\\\");
}

// Rule 2: the escape character is also what continues a line.
TEST(Lines, ContinueWithTheEscapeCharacterOfTheFile) {
  const Dockerfile file = parse_text("# escape=`\nFROM a\nRUN x\\`\ny\\\nRUN z\n");
  ASSERT_EQ(file.instructions.size(), 3U);
  EXPECT_EQ(file.instructions[1].original, "RUN x\\y\\");
}

// Rule 5: comment lines inside a continuation vanish.
TEST(Lines, LoseCommentsInsideAContinuation) {
  const Dockerfile file = parse_text("FROM a\nRUN x \\\n  # gone \\\n  y # stays\n");
  EXPECT_EQ(file.instructions[1].original, "RUN x   y # stays");
  EXPECT_THAT(file.warnings, IsEmpty());
}

// Rule 5: blank lines inside a continuation vanish, with a warning.
TEST(Lines, LoseBlankLinesInsideAContinuationWithOneWarning) {
  const Dockerfile file = parse_text("FROM a\nRUN x \\\n\n \t\n y\nRUN z\n");
  EXPECT_EQ(file.instructions[1].original, "RUN x  y");
  ASSERT_EQ(file.warnings.size(), 1U);
  EXPECT_EQ(file.warnings[0].rule, "NoEmptyContinuation");
  EXPECT_EQ(file.warnings[0].message, "Empty continuation line found in: RUN x  y");
  EXPECT_EQ(file.warnings[0].where.first_line, 2);
  EXPECT_EQ(file.warnings[0].where.last_line, 5);
}

// Rule 6: a comment line ends at its end, whatever its last character.
TEST(Lines, CommentsNeverContinue) {
  const Dockerfile file = parse_text("# comment \\\nFROM a\n");
  EXPECT_EQ(file.instructions[0].where.first_line, 2);
}

TEST(Lines, MayEndTheFileInTheMiddle) {
  EXPECT_EQ(run_text("RUN x \\"), "x");
  EXPECT_EQ(run_text("RUN x"), "x");
}

TEST(Lines, MayEndInCarriageReturnAndNewline) {
  const Dockerfile file = parse_text("FROM a\r\nENV A=1 \\\r\n B=2\r\nRUN <<E\r\nx\r\nE\r\n");
  EXPECT_EQ(file.instructions[1].original, "ENV A=1  B=2");
  const dockerfile::Run run = std::get<dockerfile::Run>(file.instructions[2].operation);
  ASSERT_EQ(run.heredocs.size(), 1U);
  EXPECT_EQ(run.heredocs[0].content, "x\r\n") << "content is kept as it is";
}

TEST(Lines, AreCountedFromOneOverTheWholeStatement) {
  const Dockerfile file = parse_text("\nFROM a\n\nRUN x \\\n y\nCOPY <<E /f\n1\n2\nE\nRUN z");
  EXPECT_EQ(file.instructions[0].where.first_line, 2);
  EXPECT_EQ(file.instructions[1].where.first_line, 4);
  EXPECT_EQ(file.instructions[1].where.last_line, 5);
  EXPECT_EQ(file.instructions[2].where.first_line, 6);
  EXPECT_EQ(file.instructions[2].where.last_line, 9);
  EXPECT_EQ(file.instructions[3].where.first_line, 10);
  EXPECT_EQ(*file.instructions[3].where.text,
            "\nFROM a\n\nRUN x \\\n y\nCOPY <<E /f\n1\n2\nE\nRUN z");
}

TEST(Lines, HaveNoLengthLimitOfTheirOwn) {
  const std::string value(200'000, 'x');
  EXPECT_EQ(parse_as<Env>("ENV L=" + value).pairs[0].value, value);
}

TEST(Comments, AboveAnInstructionAreItsDescription) {
  const Dockerfile file = parse_text("# heading\n#\n# base the base\n\n  # more\nFROM a\nRUN x\n");
  EXPECT_THAT(file.instructions[0].comments, ElementsAre("base the base", "# more"));
  EXPECT_THAT(file.instructions[1].comments, IsEmpty());
}

TEST(Comments, BehindAnInstructionAreArguments) {
  EXPECT_EQ(run_text("RUN echo # x"), "echo # x");
  EXPECT_THAT(lines_of(parse_error("FROM a # base\n")), Pair(1, 1));
}

// ---- Keywords and flags

TEST(Keyword, IsReadInAnyCaseAndKeptAsWritten) {
  const Instruction instruction = parse_one("\t cOpY a b");
  EXPECT_EQ(instruction.name, "COPY");
  EXPECT_EQ(instruction.keyword, "cOpY");
  EXPECT_EQ(instruction.original, "cOpY a b");
}

TEST(Keyword, UnknownIsRefusedWithTheNearestOne) {
  const base::Error error = parse_error("FROM a\nWORKDRI /x\n");
  EXPECT_THAT(error.what(), HasSubstr("unknown instruction \"WORKDRI\""));
  EXPECT_THAT(error.hint(), HasSubstr("WORKDIR"));
  EXPECT_THAT(lines_of(error), Pair(2, 2));
}

TEST(Keyword, OfALineThatWasMeantToContinueGetsAHint) {
  EXPECT_THAT(parse_error("FROM a\nRUN x &&\n && y\n").hint(), HasSubstr("end the line before"));
}

// Rule 7: flags are the leading words that start with "--".
TEST(Flags, AreTheLeadingWordsWithTwoDashes) {
  const Instruction instruction = parse_one("COPY --link --chown=1:2 a --b c");
  EXPECT_THAT(instruction.flags, ElementsAre("--link", "--chown=1:2"));
  EXPECT_THAT(std::get<Copy>(instruction.operation).transfer.sources, ElementsAre("a", "--b"));
}

// Rule 7: a lone "--" ends the flags.
TEST(Flags, EndAtTwoDashes) {
  EXPECT_EQ(run_text("RUN -- --mount=x y"), "--mount=x y");
  EXPECT_THAT(parse_as<Copy>("COPY --link -- --a b").transfer.sources, ElementsAre("--a"));
}

// Rule 7: quotes inside flags are removed, escapes resolved.
TEST(Flags, LoseQuotesAndEscapes) {
  const Copy copy = parse_as<Copy>(R"(COPY --from="a b" --exclude='x'\ y\"é a b)");
  EXPECT_EQ(copy.from, "a b");
  EXPECT_THAT(copy.transfer.excludes, ElementsAre("x y\"é"));
}

// Rule 7: an unknown flag is an error with a suggestion.
TEST(Flags, UnknownAreRefusedWithTheNearestOne) {
  const base::Error error = parse_error("FROM a\nCOPY --form=x a b\n");
  EXPECT_THAT(error.what(), HasSubstr("unknown flag \"--form\""));
  EXPECT_THAT(error.hint(), HasSubstr("--from"));
  EXPECT_THAT(parse_error("FROM a\nADD --parents a b").what(), HasSubstr("unknown flag"));
  EXPECT_THAT(parse_error("FROM a\nCOPY --checksum=x a b").what(), HasSubstr("unknown flag"));
  EXPECT_THAT(parse_error("FROM a\nMAINTAINER --boo x").what(), HasSubstr("unknown flag"));
}

// Rule 7: a flag that is no list may be given once.
TEST(Flags, CanBeGivenOnceUnlessTheyAreLists) {
  EXPECT_THAT(parse_error("FROM a\nCOPY --chown=1 --chown=2 a b").what(),
              HasSubstr("more than once"));
  EXPECT_THAT(parse_as<Copy>("COPY --exclude=a --exclude=b . /").transfer.excludes,
              ElementsAre("a", "b"));
}

// Rule 7: booleans are true, false or bare; "--link=" is an error.
TEST(Flags, NeedAValueUnlessTheyAreBoolean) {
  EXPECT_THAT(parse_error("FROM a\nCOPY --chown a b c").what(), HasSubstr("missing a value"));
  EXPECT_TRUE(parse_as<Copy>("COPY --link a b").transfer.link);
  EXPECT_TRUE(parse_as<Copy>("COPY --link=TRUE a b").transfer.link);
  EXPECT_FALSE(parse_as<Copy>("COPY --link=false a b").transfer.link);
  EXPECT_THAT(parse_error("FROM a\nCOPY --link= a b").what(), HasSubstr("missing a value"));
  EXPECT_THAT(parse_error("FROM a\nCOPY --link=1 a b").what(), HasSubstr("true or false"));
}

// ---- Here-documents

TEST(Heredoc, OfRunIsReadUpToItsName) {
  const dockerfile::Run run =
      parse_as<dockerfile::Run>("RUN <<EOF\nx\n# not a comment \\\n\n EOF\nEOF\n");
  ASSERT_EQ(run.heredocs.size(), 1U);
  EXPECT_EQ(run.heredocs[0].content, "x\n# not a comment \\\n\n EOF\n");
  EXPECT_TRUE(run.heredocs[0].expand);
  EXPECT_EQ(run_script(run).text, run.heredocs[0].content);
}

// Rule 12: "<<-" strips leading tabs, of body and terminator, and nothing else.
TEST(Heredoc, WithADashLosesLeadingTabsOnly) {
  const dockerfile::Run run = parse_as<dockerfile::Run>("RUN <<-EOF\n\t\tx\n\t  y\tz\n\tEOF\n");
  EXPECT_EQ(run.heredocs[0].content, "\t\tx\n\t  y\tz\n");
  EXPECT_EQ(run.heredocs[0].body(), "x\n  y\tz\n");
}

// Rule 12: several here-documents of a line are read in order.
TEST(Heredoc, SeveralAreReadInOrder) {
  const dockerfile::Run run =
      parse_as<dockerfile::Run>("RUN cat 3<<A 4<<-'B' >x\n1\nA\n\t2\n\tB\n");
  ASSERT_EQ(run.heredocs.size(), 2U);
  EXPECT_EQ(run.heredocs[0], (Heredoc{"A", "1\n", true, false, 3}));
  EXPECT_EQ(run.heredocs[1], (Heredoc{"B", "\t2\n", false, true, 4}));
  EXPECT_EQ(run_script(run).text, "cat 3<<A 4<<-'B' >x\n1\nA\n\t2\nB");
}

// Rule 12: a quote anywhere in the word means no expansion.
TEST(Heredoc, QuotedInAnyPartIsNotExpanded) {
  for (const char* name : {"'E'", "\"E\"", "\\E", "E''"})
    EXPECT_FALSE(parse_heredoc_word(std::string("<<") + name)->expand) << name;
  EXPECT_TRUE(parse_heredoc_word("<<E")->expand);
}

// Rule 12: "<<" counts at the start of a shell word only.
TEST(Heredoc, NeedsToStartAWord) {
  EXPECT_FALSE(parse_heredoc_word("cat<<E"));
  EXPECT_FALSE(parse_heredoc_word("$((1<<3))"));
  EXPECT_FALSE(parse_heredoc_word("<<<word"));
  EXPECT_FALSE(parse_heredoc_word("<<"));
  EXPECT_FALSE(parse_heredoc_word("<E"));
  EXPECT_THAT(parse_as<dockerfile::Run>("RUN echo $((1<<3))").heredocs, IsEmpty());
}

TEST(Heredoc, InsideQuotesIsText) {
  EXPECT_THAT(parse_as<dockerfile::Run>("RUN echo 'a <<E'").heredocs, IsEmpty());
  EXPECT_THAT(parse_as<dockerfile::Run>("RUN echo it's <<E").heredocs, IsEmpty())
      << "unbalanced quotes";
}

TEST(Heredoc, WithANameThatCannotBeExpandedIsRefused) {
  EXPECT_THAT(error_of([] { parse_heredoc_word("<<${a/b}"); }).what(), HasSubstr("${}"));
  EXPECT_THAT(parse_as<dockerfile::Run>("RUN cat <<${a/b}").heredocs, IsEmpty())
      << "the whole line is no text of words, and so the shell's business";
}

// Rule 2: the names of here-documents are escaped with a backslash, whatever the file's escape is.
TEST(Heredoc, HasNamesEscapedWithABackslash) {
  const Dockerfile file = parse_text("# escape=`\nFROM a\nRUN cat <<\\E\n$x `\nE\n");
  const dockerfile::Run run = std::get<dockerfile::Run>(file.instructions[1].operation);
  ASSERT_EQ(run.heredocs.size(), 1U);
  EXPECT_EQ(run.heredocs[0], (Heredoc{"E", "$x `\n", false, false, 0}));
}

// Rule 13: triggers may have here-documents.
TEST(Heredoc, ExistsInTriggers) {
  EXPECT_EQ(parse_as<Onbuild>("ONBUILD COPY <<E /f\nx\nE\n").text, "COPY <<E /f\nx\nE");
}

// Rule 13: there are no here-documents in JSON forms.
TEST(Heredoc, DoesNotExistInExecForm) {
  EXPECT_THAT(parse_as<dockerfile::Run>(R"(RUN ["cat", "<<E"])").heredocs, IsEmpty());
  EXPECT_THAT(parse_as<Copy>(R"(COPY ["<<E", "/x"])").transfer.sources, ElementsAre("<<E"));
}

// Rule 13: only RUN, COPY and ADD have here-documents.
TEST(Heredoc, DoesNotExistInOtherInstructions) {
  EXPECT_THAT(lines_of(parse_error("FROM a\nWORKDIR <<E\n/x\nE\n")), Pair(3, 3));
}

// Rule 12: a here-document without an end is an error.
TEST(Heredoc, WithoutAnEndIsAnError) {
  const base::Error error = parse_error("FROM a\nCOPY <<E /x\nabc\n");
  EXPECT_THAT(error.what(), HasSubstr("unterminated here-document \"E\""));
  EXPECT_THAT(lines_of(error), Pair(2, 3));
}

// Rule 13: a here-document cannot be the destination.
TEST(Heredoc, IsASourceOfCopyButNotItsDestination) {
  const Copy copy = parse_as<Copy>("COPY plain <<a.txt sub <<\"b\" /d/\n1\na.txt\n2\nb\n");
  EXPECT_THAT(copy.transfer.sources, ElementsAre("plain", "sub"));
  ASSERT_EQ(copy.transfer.heredocs.size(), 2U);
  EXPECT_EQ(copy.transfer.heredocs[0], (Heredoc{"a.txt", "1\n", true, false, 0}));
  EXPECT_EQ(copy.transfer.heredocs[1], (Heredoc{"b", "2\n", false, false, 0}));
  EXPECT_THAT(parse_error("FROM a\nCOPY x <<E\nE\n").what(), HasSubstr("destination"));
}

// Rule 14: a here-document that is the whole command may be a file with an interpreter.
TEST(Heredoc, ThatIsTheWholeCommandMayNameItsInterpreter) {
  const RunScript script =
      run_script(parse_as<dockerfile::Run>("RUN <<EOF\n#!/usr/bin/env python3\nprint(1)\nEOF\n"));
  EXPECT_TRUE(script.has_interpreter);
  EXPECT_EQ(script.name, "EOF");
  EXPECT_FALSE(run_script(parse_as<dockerfile::Run>("RUN cat <<EOF\n#!x\nEOF\n")).has_interpreter);
}

// ---- Order and limits

// Rule 16: a file needs instructions, a stage, and only ARGs before it.
TEST(Order, NeedsAStage) {
  EXPECT_THAT(parse_error("").what(), HasSubstr("no instructions"));
  EXPECT_THAT(lines_of(parse_error("# a\n# b\n\n")), Pair(3, 3));
  EXPECT_THAT(parse_error("ARG A=1\n").what(), HasSubstr("no stages to build"));
  const base::Error error = parse_error("ARG A\nRUN x\nFROM a\n");
  EXPECT_THAT(error.what(), HasSubstr("no build stage"));
  EXPECT_THAT(lines_of(error), Pair(2, 2));
}

TEST(Limit, OfTheFileSizeIsExact) {
  const Limits limits{.file_bytes = 100};
  const std::string head = "FROM a\n#";
  EXPECT_NO_THROW(parse(SourceFile("D", head + std::string(100 - head.size(), 'x')), limits));
  EXPECT_THROW(parse(SourceFile("D", head + std::string(101 - head.size(), 'x')), limits),
               base::Error);
}

TEST(Limit, OfInstructionsIsExact) {
  const auto parse_with = [](int instructions) {
    std::string text = "FROM a\n";
    for (int i = 1; i < instructions; ++i) text += "RUN x\n";
    return parse(SourceFile("D", text), Limits{.instructions = 5}).instructions.size();
  };
  EXPECT_EQ(parse_with(4), 4U);
  EXPECT_EQ(parse_with(5), 5U);
  EXPECT_THAT(lines_of(error_of([&] { parse_with(6); })), Pair(6, 6));
}

TEST(Limit, OfStagesIsExact) {
  const auto parse_with = [](int stages) {
    std::string text;
    for (int i = 0; i < stages; ++i) text += "FROM a\n";
    return parse(SourceFile("D", text), Limits{.stages = 3}).instructions.size();
  };
  EXPECT_EQ(parse_with(3), 3U);
  EXPECT_THAT(lines_of(error_of([&] { parse_with(4); })), Pair(4, 4));
}

// Case C12: no text costs more than in proportion to its length.
TEST(Parse, TakesTimeInProportionToTheText) {
  // Each of these was, or would be, quadratic if written carelessly: seconds turn into hours.
  std::string sources = "FROM a\nCOPY", bodies;
  for (int i = 0; i < 100'000; ++i) {
    sources += " <<E";
    bodies += "E\n";
  }
  EXPECT_EQ(std::get<Copy>(parse_text(sources + " /x\n" + bodies).instructions[1].operation)
                .transfer.heredocs.size(),
            100'000U);
  std::string continued = "FROM a\nRUN ";
  for (int i = 0; i < 1'000'000; ++i) continued += "\\\n";
  EXPECT_EQ(parse_text(continued).instructions[1].where.last_line, 1'000'001);
}

TEST(Parse, KeepsBytesThatAreNotUtf8) {
  EXPECT_EQ(parse_as<Env>("ENV A=\xFF\xC3").pairs[0].value, "\xFF\xC3");
  EXPECT_EQ(run_text(std::string("RUN a\0b", 7)), std::string("a\0b", 3));
}

}  // namespace
}  // namespace strake::dockerfile
