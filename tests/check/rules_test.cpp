#include "builder/check/rules.h"

#include <gtest/gtest.h>

#include <set>

#include "tests/check/support.h"

namespace strake::check {
namespace {

TEST(Rules, NamesAreUniqueAndFound) {
  std::set<std::string_view> names;
  int of_docker = 0;
  for (const Rule& rule : all_rules()) {
    EXPECT_TRUE(names.insert(rule.name).second) << rule.name;
    EXPECT_EQ(find_rule(rule.name), &rule);
    of_docker += rule.origin == Origin::docker ? 1 : 0;
  }
  EXPECT_EQ(of_docker, 22);
  EXPECT_EQ(find_rule("NoSuchRule"), nullptr);
}

TEST(Rules, EachIsExplained) {
  for (const Rule& rule : all_rules()) {
    EXPECT_FALSE(rule.description.empty()) << rule.name;
    EXPECT_GT(rule.explanation.size(), 40U) << rule.name;
    EXPECT_NE(rule.bad, rule.good) << rule.name;
  }
}

/// A part of a Dockerfile, with the FROM that it needs.
std::string whole(std::string_view part) {
  const std::string text(part);
  return text.find("FROM ") == std::string::npos ? "FROM debian:12\n" + text + "\n" : text + "\n";
}

// What the catalogue shows is what the rules find.
TEST(Rules, TheBadExampleIsFoundAndTheGoodOneIsNot) {
  for (const Rule& rule : all_rules()) {
    // These need more than the text: files, or an image.
    if (rule.name == "CopyIgnoredFile" || rule.name == "InvalidBaseImagePlatform") continue;
    const std::string on = "# check=experimental=all\n";
    EXPECT_FALSE(hits(rule.name, on + whole(rule.bad)).empty()) << rule.name << "\n" << rule.bad;
    EXPECT_TRUE(hits(rule.name, on + whole(rule.good)).empty()) << rule.name << "\n" << rule.good;
  }
}

}  // namespace
}  // namespace strake::check
