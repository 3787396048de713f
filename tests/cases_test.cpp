// Each case of security/CASES.md has a test that says so in a comment "Case A05: …", and the test
// that its row names is there.

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <regex>
#include <set>
#include <string>

namespace strake {
namespace {

namespace fs = std::filesystem;

const fs::path kTests = fs::path(STRAKE_SOURCE_DIR) / "tests";

std::string text_of(const fs::path& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

/// Case -> the test of its row, "Suite.Name" or "integration/name.sh".
std::map<std::string, std::string> rows() {
  static const std::regex kRow(R"(^\| ([ABCD]\d\d) \|[^|]*\|[^|]*\| (\S+) \|$)",
                               std::regex::multiline);
  const std::string text = text_of(kTests / "security/CASES.md");
  std::map<std::string, std::string> found;
  for (std::sregex_iterator row(text.begin(), text.end(), kRow), end; row != end; ++row)
    EXPECT_TRUE(found.emplace((*row)[1], (*row)[2]).second) << (*row)[1];
  return found;
}

/// What the tests have: cases in comments, and names of tests.
struct Shown {
  std::set<std::string> cases, tests;
};
Shown shown() {
  static const std::regex kCase(R"((?:^|\n) *(?://|#) Case ([ABCD]\d\d):)");
  static const std::regex kTest(R"(\nTEST(?:_F|_P)?\((\w+),\s+(\w+)\))");
  Shown result;
  for (const auto& entry : fs::recursive_directory_iterator(kTests)) {
    const fs::path& path = entry.path();
    if (path.extension() != ".cpp" && path.extension() != ".sh") continue;
    if (path.filename() == "cases_test.cpp") continue;
    const std::string text = text_of(path);
    for (std::sregex_iterator mark(text.begin(), text.end(), kCase), end; mark != end; ++mark)
      result.cases.insert((*mark)[1]);
    for (std::sregex_iterator test(text.begin(), text.end(), kTest), end; test != end; ++test)
      result.tests.insert((*test)[1].str() + "." + (*test)[2].str());
    if (path.extension() == ".sh") result.tests.insert("integration/" + path.filename().native());
  }
  return result;
}

TEST(Cases, EachHasATest) {
  const auto cases = rows();
  EXPECT_EQ(cases.size(), 32U + 28 + 20 + 38);
  const Shown have = shown();
  for (const auto& [name, test] : cases) {
    EXPECT_TRUE(have.cases.contains(name)) << name;
    EXPECT_TRUE(have.tests.contains(test)) << name << ": " << test;
  }
  for (const std::string& name : have.cases) EXPECT_TRUE(cases.contains(name)) << name;
}

}  // namespace
}  // namespace strake
