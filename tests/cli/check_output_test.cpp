#include "builder/cli/check_output.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "builder/dockerfile/source.h"

namespace strake::cli {
namespace {

using check::CheckReport;
using check::Severity;
using nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

const dockerfile::SourceFile& source() {
  static const dockerfile::SourceFile kSource("app/Dockerfile",
                                              "FROM debian\nRUN a \\\n  b\nCMD x\n\x1b[31mred\n");
  return kSource;
}

CheckReport report() {
  CheckReport report;
  report.findings = {{"BaseImageWithoutVersion", "first", source().range(1)},
                     {"AptListsLeft", "second", source().range(2, 3)},
                     {"PipCacheLeft", "third", source().range(2, 3)},
                     {"JSONArgsRecommended", "fourth", source().range(4), Severity::error}};
  return report;
}

TEST(CheckOutput, TextShowsWhatAndWhere) {
  CheckReport one = report();
  one.findings.resize(1);
  EXPECT_EQ(
      check_text(one, Colour::no),
      "WARNING: BaseImageWithoutVersion\n"
      "first\n"
      "\n"
      "app/Dockerfile:1\n"
      "--------------------\n"
      "   1 | >>> FROM debian\n"
      "   2 |     RUN a \\\n"
      "   3 |       b\n"
      "--------------------\n"
      "\n"
      "Check complete, 1 warning has been found! \"strake check --explain RULE\" tells why.\n");
}

TEST(CheckOutput, FindingsOfOnePlaceShareIt) {
  const std::string text = check_text(report(), Colour::no);
  EXPECT_THAT(text, HasSubstr("WARNING: AptListsLeft\nsecond\n\nWARNING: PipCacheLeft\nthird\n\n"
                              "app/Dockerfile:2\n"));
  EXPECT_THAT(text, HasSubstr("   2 | >>> RUN a \\\n   3 | >>>   b\n   4 |     CMD x\n"));
  EXPECT_THAT(text, HasSubstr("ERROR: JSONArgsRecommended"));
  EXPECT_THAT(text, HasSubstr("1 error and 3 warnings have been found!"));
}

TEST(CheckOutput, ForeignBytesDoNotReachTheTerminal) {
  EXPECT_THAT(check_text(report(), Colour::no), Not(HasSubstr("\x1b")));
}

TEST(CheckOutput, NothingFoundIsSaid) {
  EXPECT_EQ(check_text({}, Colour::no), "Check complete, no warnings found.\n");
  CheckReport broken;
  broken.error = base::Error(base::ErrorCode::invalid_input, "bad");
  EXPECT_EQ(check_text(broken, Colour::no), "");
}

TEST(CheckOutput, JsonHasEveryField) {
  const json out = json::parse(check_json(report(), "app/Dockerfile"));
  EXPECT_EQ(out["file"], "app/Dockerfile");
  EXPECT_TRUE(out["error"].is_null());
  ASSERT_EQ(out["findings"].size(), 4U);
  EXPECT_EQ(out["findings"][1],
            json({{"rule", "AptListsLeft"},
                  {"severity", "warning"},
                  {"detail", "second"},
                  {"description", "apt's package lists should not be in an image"},
                  {"origin", "strake"},
                  {"file", "app/Dockerfile"},
                  {"lines", {2, 3}}}));
  EXPECT_EQ(out["findings"][3]["origin"], "docker");
  EXPECT_EQ(out["findings"][3]["severity"], "error");
}

TEST(CheckOutput, JsonSaysWhyAFileIsBroken) {
  CheckReport broken;
  broken.error = base::Error(base::ErrorCode::invalid_input, "bad \xff").at(source().range(2, 3));
  const json out = json::parse(check_json(broken, "-"));
  EXPECT_THAT(out["error"]["message"].get<std::string>(), HasSubstr("bad "));
  EXPECT_THAT(out["error"]["lines"], ElementsAre(2, 3));
}

TEST(CheckOutput, SarifNamesRulesAndPlaces) {
  const json out = json::parse(check_sarif(report(), "my app/Dockerfile"));
  EXPECT_EQ(out["version"], "2.1.0");
  const json& run = out["runs"][0];
  EXPECT_EQ(run["tool"]["driver"]["name"], "strake");
  const json& rules = run["tool"]["driver"]["rules"];
  EXPECT_EQ(rules.size(), check::all_rules().size());
  for (const json& rule : rules) {
    EXPECT_FALSE(rule["help"]["text"].get<std::string>().empty());
    EXPECT_FALSE(rule["help"]["markdown"].get<std::string>().empty());
  }
  const json& result = run["results"][1];
  EXPECT_EQ(rules[result["ruleIndex"].get<std::size_t>()]["id"], result["ruleId"]);
  EXPECT_EQ(result["level"], "warning");
  EXPECT_EQ(result["message"]["text"], "second");
  const json& place = result["locations"][0]["physicalLocation"];
  EXPECT_EQ(place["artifactLocation"]["uri"], "my%20app/Dockerfile");
  EXPECT_EQ(place["region"], json({{"startLine", 2}, {"endLine", 3}}));
  EXPECT_EQ(run["invocations"][0]["executionSuccessful"], true);
}

TEST(CheckOutput, SarifSaysWhyAFileIsBroken) {
  CheckReport broken;
  broken.error = base::Error(base::ErrorCode::invalid_input, "bad").at(source().range(2));
  const json out = json::parse(check_sarif(broken, "Dockerfile"));
  const json& invocation = out["runs"][0]["invocations"][0];
  EXPECT_EQ(invocation["executionSuccessful"], false);
  EXPECT_EQ(invocation["toolExecutionNotifications"][0]["message"]["text"], "bad");
  EXPECT_TRUE(out["runs"][0]["results"].empty());
}

TEST(CheckOutput, ARuleIsExplainedWithAnExample) {
  const check::Rule* rule = check::find_rule("AptGetMissingYes");
  ASSERT_NE(rule, nullptr);
  const std::string text = explain_rule(*rule, Colour::no);
  EXPECT_THAT(text, HasSubstr("AptGetMissingYes (strake's own)\n"));
  EXPECT_THAT(text, HasSubstr("    RUN apt-get update && apt-get install -y curl\n"));
  EXPECT_THAT(text, HasSubstr("# check=skip=AptGetMissingYes"));
}

TEST(CheckOutput, TheListNamesEveryRule) {
  const std::string text = list_rules(Colour::no);
  for (const check::Rule& rule : check::all_rules())
    EXPECT_THAT(text, HasSubstr("  " + std::string(rule.name) + "  "));
  EXPECT_THAT(text, HasSubstr("(experimental)"));
}

}  // namespace
}  // namespace strake::cli
