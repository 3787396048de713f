#include "builder/cli/go_template.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "layers/base/error.h"

namespace strake::cli {
namespace {

const nlohmann::ordered_json kImage = nlohmann::ordered_json::parse(R"({
  "Id": "sha256:ab", "Size": 12, "RepoTags": ["a:1", "b:2"],
  "Config": {"Env": ["A=1", "B=2"], "Labels": {"z": "1", "a": "2"}, "Cmd": null, "Tty": false}
})");

std::string render(const std::string& text) {
  return render_template(text, kImage);
}

std::string refusal(const std::string& text) {
  try {
    return "accepted: " + render(text);
  } catch (const base::Error& error) {
    return std::string(error.what()) + " | " + error.hint();
  }
}

TEST(GoTemplate, RendersFieldsAndText) {
  EXPECT_EQ(render("{{.Id}}"), "sha256:ab");
  EXPECT_EQ(render("id={{ .Id }}\\t{{.Size}}\\n"), "id=sha256:ab\t12\n");
  EXPECT_EQ(render("no action"), "no action");
}

TEST(GoTemplate, PrintsValuesAsGoDoes) {
  EXPECT_EQ(render("{{.RepoTags}}"), "[a:1 b:2]");
  EXPECT_EQ(render("{{.Config.Labels}}"), "map[a:2 z:1]");
  EXPECT_EQ(render("{{.Config.Cmd}}"), "<no value>");
  EXPECT_EQ(render("{{.Config.Tty}}"), "false");
}

TEST(GoTemplate, KnowsTheUsualFunctions) {
  EXPECT_EQ(render("{{json .Config.Env}}"), R"(["A=1","B=2"])");
  EXPECT_EQ(render("{{.Config.Env | json}}"), R"(["A=1","B=2"])");
  EXPECT_EQ(render("{{join .RepoTags \", \"}}"), "a:1, b:2");
  EXPECT_EQ(render("{{index .RepoTags 1}}"), "b:2");
  EXPECT_EQ(render("{{index .Config.Labels \"z\" | json}}"), "\"1\"");
  EXPECT_EQ(render("{{index .Config.Labels \"absent\"}}"), "");
  EXPECT_EQ(render("{{len .RepoTags}}"), "2");
  EXPECT_EQ(render("{{upper .Id}}"), "SHA256:AB");
  EXPECT_EQ(render("{{println .Id}}"), "sha256:ab\n");
  EXPECT_TRUE(render("{{json .}}").starts_with("{\"Id\":\"sha256:ab\""));
}

TEST(GoTemplate, RefusesWhatItDoesNotKnow) {
  EXPECT_NE(refusal("{{.Idd}}").find("did you mean \"Id\"?"), std::string::npos);
  EXPECT_NE(refusal("{{.Id.Deeper}}").find("no field \".Id.Deeper\""), std::string::npos);
  EXPECT_NE(refusal("{{range .RepoTags}}x{{end}}").find("\"range\" is not supported"),
            std::string::npos);
  EXPECT_NE(refusal("{{.Id").find("does not end"), std::string::npos);
  EXPECT_NE(refusal("{{}}").find("empty"), std::string::npos);
  EXPECT_NE(refusal("{{.Id | }}").find("empty"), std::string::npos);
  EXPECT_NE(refusal("{{index .RepoTags 9}}").find("no element \"9\""), std::string::npos);
  EXPECT_NE(refusal("{{json \"open}}").find("quote"), std::string::npos);
  EXPECT_NE(refusal("{{join .Id \",\"}}").find("list"), std::string::npos);
}

}  // namespace
}  // namespace strake::cli
