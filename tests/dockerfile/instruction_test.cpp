#include "builder/dockerfile/instruction.h"

#include "tests/dockerfile/support.h"

namespace strake::dockerfile {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Optional;
using testing::Pair;

std::vector<std::string> argv_of(const CommandLine& command) {
  return std::get<ExecForm>(command).argv;
}

std::string shell_text_of(const CommandLine& command) {
  return std::get<ShellForm>(command).text;
}

std::string error_text(const std::string& instruction) {
  const base::Error error = parse_error("FROM a\n" + instruction);
  EXPECT_EQ(lines_of(error).first, 2) << instruction;
  return error.what();
}

// Rule 8: a JSON array is an exec form.
TEST(ExecForm, IsAJsonArrayOfStrings) {
  EXPECT_THAT(
      argv_of(
          parse_as<Cmd>(R"(CMD [ "a" ,"b c", "\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00" ] )").command),
      ElementsAre("a", "b c", "\"\\/\b\f\n\r\té😀"));
}

TEST(ExecForm, MayBeEmptyWhichIsNotTheSameAsNoText) {
  EXPECT_THAT(argv_of(parse_as<Cmd>("CMD []").command), IsEmpty());
  EXPECT_THAT(argv_of(parse_as<Entrypoint>("ENTRYPOINT [ ]").command), IsEmpty());
  EXPECT_EQ(shell_text_of(parse_as<Cmd>("CMD").command), "");
}

// Rule 8: broken JSON is a shell form, silently.
TEST(ExecForm, FallsBackToShellFormWhenTheJsonIsBroken) {
  for (const char* text : {"['a']", R"(["a"] b)", R"(["a",])", R"(["a")", R"(["a\x"])", R"("[]")",
                           "[a]", R"(["\u12"])", "[\"a\tb\"]"})
    EXPECT_EQ(shell_text_of(parse_as<Cmd>(std::string("CMD ") + text).command), text);
}

// Rule 8: valid JSON with anything but strings is an error.
TEST(ExecForm, RefusesAnythingButStrings) {
  for (const char* text : {"[1]", R"(["a", ["b"]])", R"([{"a": -1.5e3, "b": [true]}])", "[null]"})
    EXPECT_THAT(error_text(std::string("CMD ") + text), HasSubstr("something else than strings"))
        << text;
}

TEST(ExecForm, ReplacesHalfASurrogatePair) {
  EXPECT_THAT(argv_of(parse_as<Cmd>(R"(CMD ["\ud83dx", "\ude00"])").command),
              ElementsAre("\xEF\xBF\xBDx", "\xEF\xBF\xBD"));
}

TEST(FromInstruction, NamesAnImageAndPerhapsAStage) {
  const From from =
      std::get<From>(parse_text("FROM --platform=$BUILDPLATFORM golang:1 as Build.x-1_\n")
                         .instructions[0]
                         .operation);
  EXPECT_EQ(from.image, "golang:1");
  EXPECT_THAT(from.platform, Optional(std::string("$BUILDPLATFORM")));
  EXPECT_EQ(from.name, "build.x-1_");
  EXPECT_EQ(from.name_as_written, "Build.x-1_");
  EXPECT_EQ(from.as_keyword, "as");
}

TEST(FromInstruction, RefusesOtherForms) {
  for (const char* text : {"FROM", "FROM a b", "FROM a AS", "FROM a IS b", "FROM a AS b c"})
    EXPECT_THAT(error_text(text), HasSubstr("either one or three arguments")) << text;
  for (const char* name : {"1b", "b/c", "-b", "é"})
    EXPECT_THAT(error_text(std::string("FROM a AS ") + name), HasSubstr("invalid name")) << name;
}

TEST(RunInstruction, KeepsShellTextVerbatim) {
  const dockerfile::Run run = parse_as<dockerfile::Run>("RUN   echo  \"$A\"  'b'  ");
  EXPECT_EQ(shell_text_of(run.command), "echo  \"$A\"  'b'");
  EXPECT_EQ(run.network, std::nullopt);
}

TEST(RunInstruction, HasTypedFlags) {
  const dockerfile::Run run = parse_as<dockerfile::Run>(
      "RUN --mount=type=cache,target=/c --mount=from=b,target=/b --network=none "
      "--security=insecure "
      "--device=vendor.com/gpu=all,required make");
  ASSERT_EQ(run.mounts.size(), 2U);
  EXPECT_EQ(run.mounts[0].text, "type=cache,target=/c");
  EXPECT_EQ(run.mounts[1].from, "b");
  EXPECT_THAT(run.network, Optional(dockerfile::Run::Network::none));
  EXPECT_THAT(run.security, Optional(dockerfile::Run::Security::insecure));
  EXPECT_THAT(run.devices, ElementsAre(RunDevice{"vendor.com/gpu=all", true}));
  EXPECT_THAT(error_text("RUN --network=zz x"), HasSubstr("network mode \"zz\""));
  EXPECT_THAT(error_text("RUN --security=zz x"), HasSubstr("security mode \"zz\""));
}

TEST(CopyInstruction, HasSourcesAndADestination) {
  const Copy copy = parse_as<Copy>(
      "COPY --from=b --chown=u:g --chmod=u+x --link --parents --exclude=*.md a\tb  /d/");
  EXPECT_THAT(copy.transfer.sources, ElementsAre("a", "b"));
  EXPECT_EQ(copy.transfer.destination, "/d/");
  EXPECT_EQ(copy.from, "b");
  EXPECT_THAT(copy.transfer.chown, Optional(std::string("u:g")));
  EXPECT_THAT(copy.transfer.chmod, Optional(std::string("u+x")));
  EXPECT_TRUE(copy.transfer.link);
  EXPECT_TRUE(copy.parents);
  EXPECT_THAT(copy.transfer.excludes, ElementsAre("*.md"));
}

TEST(CopyInstruction, TakesJsonForNamesWithBlanks) {
  const Copy copy = parse_as<Copy>(R"(COPY ["a b", "c", "/d e/"])");
  EXPECT_THAT(copy.transfer.sources, ElementsAre("a b", "c"));
  EXPECT_EQ(copy.transfer.destination, "/d e/");
}

TEST(CopyInstruction, NeedsTwoArguments) {
  for (const char* text : {"COPY", "COPY a", "ADD a", R"(COPY ["a"])", "COPY --link a"})
    EXPECT_THAT(error_text(text), HasSubstr("at least two arguments")) << text;
}

TEST(AddInstruction, HasItsOwnFlags) {
  const Add add =
      parse_as<Add>("ADD --checksum=sha256:0 --keep-git-dir --unpack=false http://x /y");
  EXPECT_THAT(add.checksum, Optional(std::string("sha256:0")));
  EXPECT_THAT(add.keep_git_dir, Optional(true));
  EXPECT_THAT(add.unpack, Optional(false));
  EXPECT_EQ(parse_as<Add>("ADD a b").unpack, std::nullopt);
}

TEST(EnvInstruction, ReadsPairsWithQuotesAndEscapesInPlace) {
  const Env env = parse_as<Env>(R"(ENV a="b c" d='e f' g=h\ i j= k="\"")");
  EXPECT_FALSE(env.legacy_form);
  EXPECT_THAT(env.pairs,
              ElementsAre(KeyValue{"a", "\"b c\""}, KeyValue{"d", "'e f'"}, KeyValue{"g", "h\\ i"},
                          KeyValue{"j", ""}, KeyValue{"k", "\"\\\"\""}));
}

// Rule 10: without "=" in the first word the rest of the line is the value.
TEST(EnvInstruction, TakesTheRestOfTheLineInTheOldForm) {
  const Env env = parse_as<Env>("ENV a \t b=c  \"d e\"");
  EXPECT_TRUE(env.legacy_form);
  EXPECT_THAT(env.pairs, ElementsAre(KeyValue{"a", "b=c  \"d e\""}));
}

// Rule 10: otherwise every word needs its "=".
TEST(EnvInstruction, RefusesHalfPairs) {
  EXPECT_THAT(error_text("ENV"), HasSubstr("at least one argument"));
  EXPECT_THAT(error_text("ENV a"), HasSubstr("two arguments"));
  EXPECT_THAT(error_text("ENV a=b c"), HasSubstr("cannot find \"=\" in \"c\""));
  EXPECT_THAT(error_text("ENV =b"), HasSubstr("blank"));
}

TEST(EnvInstruction, EscapesWithTheCharacterOfTheFile) {
  const Dockerfile file = parse_text("# escape=`\nFROM a\nENV a=b` c d=C:\\\n");
  EXPECT_THAT(std::get<Env>(file.instructions[1].operation).pairs,
              ElementsAre(KeyValue{"a", "b` c"}, KeyValue{"d", "C:\\"}));
}

// Rule 10: LABEL has the same two forms as ENV.
TEST(LabelInstruction, ReadsLikeEnv) {
  EXPECT_THAT(parse_as<Label>("LABEL \"a b\"=c d=").pairs,
              ElementsAre(KeyValue{"\"a b\"", "c"}, KeyValue{"d", ""}));
  EXPECT_TRUE(parse_as<Label>("LABEL x y z").legacy_form);
}

TEST(ArgInstruction, DeclaresSeveralWithOrWithoutADefault) {
  EXPECT_THAT(parse_as<Arg>("ARG a b= c=\"x y\"").declarations,
              ElementsAre(Arg::Declaration{"a", std::nullopt}, Arg::Declaration{"b", ""},
                          Arg::Declaration{"c", "\"x y\""}));
  EXPECT_THAT(error_text("ARG =x"), HasSubstr("blank"));
  EXPECT_THAT(error_text("ARG"), HasSubstr("at least one argument"));
}

TEST(SingleArgument, IsTheWholeRestOfTheLine) {
  EXPECT_EQ(parse_as<Workdir>("WORKDIR /x  y ").path, "/x  y");
  EXPECT_EQ(parse_as<User>("USER a:b").user, "a:b");
  EXPECT_EQ(parse_as<Stopsignal>("STOPSIGNAL $S").signal, "$S");
  EXPECT_EQ(parse_as<Maintainer>("MAINTAINER x <y@z>").name, "x <y@z>");
  for (const char* name : {"WORKDIR", "USER", "STOPSIGNAL", "MAINTAINER"})
    EXPECT_THAT(error_text(name), HasSubstr("exactly one argument")) << name;
}

TEST(Lists, AreWordsOrJson) {
  EXPECT_THAT(parse_as<Expose>("EXPOSE 80 443/udp $P").words, ElementsAre("80", "443/udp", "$P"));
  EXPECT_THAT(parse_as<Volume>("VOLUME /a /b").paths, ElementsAre("/a", "/b"));
  EXPECT_THAT(parse_as<Volume>(R"(VOLUME [" /a b "])").paths, ElementsAre("/a b"));
  EXPECT_THAT(error_text(R"(VOLUME [""])"), HasSubstr("empty"));
  EXPECT_THAT(error_text("VOLUME []"), HasSubstr("at least one argument"));
  EXPECT_THAT(error_text("EXPOSE"), HasSubstr("at least one argument"));
}

TEST(ShellInstruction, IsJsonOnly) {
  EXPECT_THAT(parse_as<Shell>(R"(SHELL ["a", "-c"])").argv, ElementsAre("a", "-c"));
  EXPECT_THAT(error_text("SHELL /bin/sh"), HasSubstr("JSON form"));
  EXPECT_THAT(error_text("SHELL []"), HasSubstr("at least one argument"));
}

TEST(HealthcheckInstruction, ReadsItsTimesAndTest) {
  const Healthcheck check = parse_as<Healthcheck>(
      "HEALTHCHECK --interval=1m30s --timeout=1ms --start-period=0s --start-interval=2s "
      "--retries=3 "
      "cmd curl  x");
  EXPECT_FALSE(check.none);
  EXPECT_EQ(shell_text_of(check.test), "curl  x");
  EXPECT_EQ(check.interval, std::chrono::seconds(90));
  EXPECT_EQ(check.timeout, std::chrono::milliseconds(1));
  EXPECT_EQ(check.start_period.count(), 0);
  EXPECT_EQ(check.start_interval, std::chrono::seconds(2));
  EXPECT_EQ(check.retries, 3);
  EXPECT_THAT(argv_of(parse_as<Healthcheck>(R"(HEALTHCHECK CMD ["a"])").test), ElementsAre("a"));
  EXPECT_TRUE(parse_as<Healthcheck>("HEALTHCHECK none").none);
}

// Rule 61: a duration below 1ms, negative retries and unknown types are errors.
TEST(HealthcheckInstruction, RefusesNonsense) {
  EXPECT_THAT(error_text("HEALTHCHECK"), HasSubstr("at least one argument"));
  EXPECT_THAT(error_text("HEALTHCHECK FOO x"), HasSubstr("unknown type \"FOO\""));
  EXPECT_THAT(error_text("HEALTHCHECK NONE x"), HasSubstr("takes no arguments"));
  EXPECT_THAT(error_text("HEALTHCHECK CMD"), HasSubstr("missing command"));
  EXPECT_THAT(error_text("HEALTHCHECK CMD []"), HasSubstr("missing command"));
  EXPECT_THAT(error_text("HEALTHCHECK --interval=x CMD y"), HasSubstr("duration"));
  EXPECT_THAT(error_text("HEALTHCHECK --interval=1us CMD y"), HasSubstr("less than 1ms"));
  EXPECT_THAT(error_text("HEALTHCHECK --interval=-1s CMD y"), HasSubstr("less than 1ms"));
  EXPECT_THAT(error_text("HEALTHCHECK --retries=x CMD y"), HasSubstr("--retries"));
  EXPECT_THAT(error_text("HEALTHCHECK --retries=-2 CMD y"), HasSubstr("negative"));
  EXPECT_THAT(error_text("HEALTHCHECK --retries=99999999999 CMD y"), HasSubstr("--retries"));
}

// Rule 15: ONBUILD keeps the original text, here-documents included.
TEST(OnbuildInstruction, KeepsTheTriggerAsWritten) {
  EXPECT_EQ(parse_as<Onbuild>("onbuild   COPY  --chown=\"1\" a   $B").text,
            "COPY  --chown=\"1\" a   $B");
  EXPECT_EQ(parse_as<Onbuild>("ONBUILD RUN <<A <<-B\n1\nA\n\t2\n\tB\n").text,
            "RUN <<A <<-B\n1\nA\n\t2\nB");
}

// Rule 15: ONBUILD, FROM and MAINTAINER are no triggers.
TEST(OnbuildInstruction, RefusesWhatCannotBeATrigger) {
  EXPECT_THAT(error_text("ONBUILD"), HasSubstr("at least one argument"));
  for (const char* name : {"ONBUILD", "FROM", "maintainer"})
    EXPECT_THAT(error_text(std::string("ONBUILD ") + name + " x"), HasSubstr("not allowed"))
        << name;
  EXPECT_THAT(error_text("ONBUILD ENV a"), HasSubstr("two arguments"));
  EXPECT_THAT(error_text("ONBUILD NOSUCH x"), HasSubstr("unknown instruction"));
}

// Case B25: triggers of an image, which are as if the Dockerfile had them.
TEST(Trigger, IsParsedAtThePlaceItIsGiven) {
  const base::SourceRange where{"Dockerfile", 7, 7};
  const Instruction instruction = parse_trigger("RUN <<A\n1\nA", where);
  EXPECT_EQ(instruction.where, where);
  EXPECT_EQ(std::get<dockerfile::Run>(instruction.operation).heredocs[0].content, "1\n");

  for (const char* text : {"", "FOO x", "RUN a\nRUN b", "FROM x", "ONBUILD RUN x", "RUN <<A\n1"})
    EXPECT_THAT(lines_of(error_of([&] { parse_trigger(text, where); })), Pair(7, 7)) << text;
}

}  // namespace
}  // namespace strake::dockerfile
