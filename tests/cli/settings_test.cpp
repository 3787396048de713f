#include "builder/cli/settings.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "layers/base/error.h"
#include "layers/base/files.h"

namespace strake::cli {
namespace {

using testing::ElementsAre;

struct Refusal {
  std::string message;
  int line = 0;
};

Refusal refusal(const std::string& text) {
  try {
    parse_settings(text, "strake.yaml");
  } catch (const base::Error& error) {
    EXPECT_EQ(error.code(), base::ErrorCode::invalid_input);
    return {error.what(), error.location() ? error.location()->first_line : 0};
  }
  return {"accepted"};
}

TEST(Settings, ReadsEverySetting) {
  const Settings settings = parse_settings(
      "root: /data/strake\ninsecure-registries: [a:5000, b]\njobs: 4\nprogress: plain\n", "f");
  EXPECT_EQ(settings.root, "/data/strake");
  EXPECT_THAT(settings.insecure_registries, ElementsAre("a:5000", "b"));
  EXPECT_EQ(settings.jobs, 4U);
  EXPECT_EQ(settings.progress, ProgressMode::plain);
}

TEST(Settings, EmptyFileDecidesNothing) {
  for (const char* text : {"", "# only a comment\n", "---\n"}) {
    const Settings settings = parse_settings(text, "f");
    EXPECT_FALSE(settings.root || settings.jobs || settings.progress);
  }
}

TEST(Settings, RefusesUnknownKeysWithLineAndSuggestion) {
  try {
    parse_settings("jobs: 2\nrot: /x\n", "strake.yaml");
    FAIL();
  } catch (const base::Error& error) {
    EXPECT_STREQ(error.what(), "unknown setting \"rot\"");
    EXPECT_EQ(error.hint(), "did you mean \"root\"?");
    ASSERT_TRUE(error.location());
    EXPECT_EQ(error.location()->first_line, 2);
    EXPECT_EQ(error.location()->file, "strake.yaml");
    EXPECT_TRUE(error.location()->text);
  }
}

TEST(Settings, RefusesValuesThatCannotBe) {
  EXPECT_EQ(refusal("jobs: many").line, 1);
  EXPECT_EQ(refusal("\njobs: 0").line, 2);
  EXPECT_EQ(refusal("root: relative").message, "setting \"root\" must be an absolute path");
  EXPECT_EQ(refusal("root: [a]").message, "setting \"root\" must be a single value");
  EXPECT_EQ(refusal("insecure-registries: a").message,
            "setting \"insecure-registries\" must be a list");
  EXPECT_EQ(refusal("progress: loud").message, "progress \"loud\" is not known");
  EXPECT_EQ(refusal("jobs: 1\njobs: 2").message, "setting \"jobs\" is given twice");
  EXPECT_EQ(refusal("- a\n- b").message, "settings must be a list of \"name: value\"");
  EXPECT_TRUE(refusal("jobs: [1").message.starts_with("malformed YAML: "));
}

TEST(Settings, ReadsRegistries) {
  const Settings settings = parse_settings(R"(registries:
  docker.io:
    mirrors:
      - mirror.example.com/hub
      - {location: cache.local:5000, http: true, use: digest-only}
  registry.local:5000/team:
    insecure: true
    http: false
    ca: [/a.pem, /b.pem]
    cert: /me.pem
    key: /me.key
    streams: 2
  old.example.com: {location: new.example.com/old, blocked: false}
  "*.evil.com": {blocked: true}
)",
                                           "/etc/strake/strake.yaml");
  ASSERT_EQ(settings.registries.size(), 1U);
  registry::Registries registries;
  registries.add(settings.registries[0]);
  EXPECT_THAT(
      registries.places_of({"docker.io", "x"}, true),
      ElementsAre(oci::Repository{"mirror.example.com", "hub/x"},
                  oci::Repository{"cache.local:5000", "x"}, oci::Repository{"docker.io", "x"}));
  EXPECT_EQ(registries.places_of({"docker.io", "x"}, false).size(), 2U);
  EXPECT_EQ(registries.connection_of({"cache.local:5000", "x"}).http, true);
  EXPECT_EQ(registries.connection_of({"registry.local:5000", "team/x"}),
            (registry::Connection{.insecure = true,
                                  .http = false,
                                  .ca_files = {"/a.pem", "/b.pem"},
                                  .cert_file = "/me.pem",
                                  .key_file = "/me.key",
                                  .streams = 2}));
  EXPECT_THAT(registries.places_of({"old.example.com", "x"}, false),
              ElementsAre(oci::Repository{"new.example.com", "old/x"}));
  try {
    registries.check_allowed({"reg.evil.com", "x"});
    FAIL();
  } catch (const base::Error& error) {
    EXPECT_THAT(error.what(), testing::HasSubstr("/etc/strake/strake.yaml:14"));
  }
}

TEST(Settings, RefusesRegistriesThatCannotBe) {
  struct Row {
    const char* text;
    const char* message;
    int line;
  };
  const Row rows[] = {
      {"registries: [a]", "setting \"registries\" must be a map of registries", 1},
      {"registries:\n  a: b", "a registry must be a list of \"name: value\"", 2},
      {"registries:\n  a:\n    miror: []", "unknown setting \"miror\"", 3},
      {"registries:\n  a: {http: maybe}", "setting \"http\" must be true or false", 2},
      {"registries:\n  a: {ca: relative.pem}", "setting \"ca\" must be an absolute path", 2},
      {"registries:\n  a: {cert: /c}", "settings \"cert\" and \"key\" belong together", 2},
      {"registries:\n  a: {mirrors: m}", "setting \"mirrors\" must be a list", 2},
      {"registries:\n  a: {mirrors: [{http: true}]}", "a mirror needs a \"location\"", 2},
      {"registries:\n  a:\n    mirrors:\n      - {location: m, use: often}",
       "use \"often\" of a mirror is not known", 4},
      {"registries:\n  a: {mirrors: ['*.b.c']}", "a location has no wildcard", 2},
      {"registries:\n  https://a: {}",
       "\"https://a\" is not the name of a registry: "
       "a scheme does not belong to it",
       2},
      {"registries:\n  docker.io: {}\n  index.docker.io: {}",
       "registry \"index.docker.io\" is given twice", 3},
      {"registries:\n  a: {http: true, http: false}", "setting \"http\" is given twice", 2},
  };
  for (const Row& row : rows) {
    const Refusal refused = refusal(row.text);
    EXPECT_EQ(refused.message, row.message) << row.text;
    EXPECT_EQ(refused.line, row.line) << row.text;
  }
  EXPECT_TRUE(refusal("registries:\n  a: {streams: 0}").message.starts_with("setting \"streams\""));
}

TEST(Settings, UsersFileIsFoundByXdg) {
  const base::TempDirectory home("/tmp", "strake-test-");
  std::filesystem::create_directories(home.path() / "strake");
  base::write_file_atomically(home.path() / "strake" / "strake.yaml", "jobs: 3\n");
  const Environment environment = [&](const std::string& name) -> std::optional<std::string> {
    if (name == "XDG_CONFIG_HOME") return home.path().string();
    return std::nullopt;
  };
  EXPECT_EQ(load_settings(environment).jobs, 3U);
}

TEST(StoreRoot, LineGoesBeforeSettingsBeforeDefault) {
  const Environment environment = [](const std::string& name) -> std::optional<std::string> {
    if (name == "HOME") return "/home/ana";
    if (name == "XDG_DATA_HOME") return "relative/is/ignored";
    return std::nullopt;
  };
  CommonOptions common;
  Settings settings;
  EXPECT_EQ(store_root(common, settings, environment, false), "/home/ana/.local/share/strake");
  EXPECT_EQ(store_root(common, settings, environment, true), "/var/lib/strake");
  settings.root = "/s";
  EXPECT_EQ(store_root(common, settings, environment, true), "/s");
  common.root = "/c";
  EXPECT_EQ(store_root(common, settings, environment, true), "/c");
}

TEST(StoreRoot, SaysWhatToDoWithoutHome) {
  const Environment nothing = [](const std::string&) { return std::nullopt; };
  EXPECT_THROW(store_root({}, {}, nothing, false), base::Error);
}

}  // namespace
}  // namespace strake::cli
