// The rules of the Dockerfile language are numbered. A test that holds one says so in a comment
// "Rule 31: …"; here it is seen to that none is without a test.

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <regex>
#include <set>
#include <string>

namespace strake {
namespace {

namespace fs = std::filesystem;

constexpr int kRules = 67;

/// The numbers in comments of `text`, in C++ or shell; a rule may be named within a sentence.
std::set<int> rules_in(const std::string& text) {
  static const std::regex kComment(R"(^\s*(?://|#).*$)", std::regex::multiline);
  static const std::regex kMark(R"([Rr]ule (\d+))");
  std::set<int> rules;
  for (std::sregex_iterator comment(text.begin(), text.end(), kComment), end; comment != end;
       ++comment) {
    const std::string line = comment->str();
    for (std::sregex_iterator mark(line.begin(), line.end(), kMark); mark != end; ++mark)
      rules.insert(std::stoi((*mark)[1]));
  }
  return rules;
}

std::set<int> rules_with_a_test() {
  std::set<int> rules;
  for (const auto& entry :
       fs::recursive_directory_iterator(fs::path(STRAKE_SOURCE_DIR) / "tests")) {
    const fs::path& path = entry.path();
    if (path.filename() == "rules_test.cpp") continue;
    if (path.extension() != ".cpp" && path.extension() != ".sh") continue;
    std::ifstream file(path);
    rules.merge(rules_in({std::istreambuf_iterator<char>(file), {}}));
  }
  return rules;
}

TEST(Rules, EachHasATest) {
  const std::set<int> tested = rules_with_a_test();
  for (int rule = 1; rule <= kRules; ++rule) EXPECT_TRUE(tested.contains(rule)) << "rule " << rule;
  EXPECT_LE(*tested.rbegin(), kRules);
}

TEST(Rules, AreMarkedInComments) {
  EXPECT_EQ(rules_in("  // Rule 3: x\n# Rule 12: y (rule 4)\n"), (std::set<int>{3, 4, 12}));
  EXPECT_EQ(rules_in("TEST(Rule 3) // Rule\n"), (std::set<int>{}));
}

}  // namespace
}  // namespace strake
