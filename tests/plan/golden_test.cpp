// Golden cases: tests/golden/plan/<case>/Dockerfile with plan.txt, what --dry-run prints for it, or
// with error.txt, what it is refused with. UPDATE_GOLDEN=1 rewrites the expectations and skips.

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "layers/base/error.h"
#include "tests/plan/plan_support.h"

namespace strake::plan {
namespace {

namespace fs = std::filesystem;

std::string read(const fs::path& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

/// The plan of a Dockerfile whose images all exist and have one layer each.
std::string plan_text(const std::string& text) {
  const dockerfile::Dockerfile file = parsed(text);
  const PlanOptions options = options_for("linux/arm64");
  ResolvedImages images;
  while (true) {
    const StageGraph graph = make_graph(file, options, images);
    bool complete = true;
    for (const auto& [request, where] : graph.required_images())
      complete &=
          !images.insert(image(request.image.familiar(), {}, request.platform.str())).second;
    if (complete) return to_text(make_plan(graph, options, images));
  }
}

class GoldenPlan : public testing::TestWithParam<std::string> {};

TEST_P(GoldenPlan, IsAsRecorded) {
  const fs::path folder = fs::path(STRAKE_GOLDEN_DIR) / GetParam();
  std::string got, file = "plan.txt";
  try {
    got = plan_text(read(folder / "Dockerfile"));
  } catch (const base::Error& error) {
    file = "error.txt";
    got = std::string(error.what()) + "\nline " +
          std::to_string(error.location() ? error.location()->first_line : 0) + "\n";
    if (!error.hint().empty()) got += "hint: " + error.hint() + "\n";
  }
  if (std::getenv("UPDATE_GOLDEN") != nullptr) {
    std::ofstream(folder / file) << got;
    GTEST_SKIP() << "rewrote " << folder / file;
  }
  ASSERT_TRUE(fs::exists(folder / file)) << got;
  EXPECT_EQ(got, read(folder / file));
}

std::vector<std::string> cases() {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(STRAKE_GOLDEN_DIR))
    names.push_back(entry.path().filename().string());
  std::sort(names.begin(), names.end());
  return names;
}

INSTANTIATE_TEST_SUITE_P(Plan, GoldenPlan, testing::ValuesIn(cases()), [](const auto& instance) {
  std::string name = instance.param;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
});

}  // namespace
}  // namespace strake::plan
