#include "layers/oci/platform.h"

#include "tests/oci/expect_error.h"

namespace strake::oci {
namespace {

TEST(ParsePlatform, BringsSpellingsToTheNormalForm) {
  const std::pair<const char*, const char*> rows[] = {
      {"linux/amd64", "linux/amd64"},    {"amd64", "linux/amd64"},
      {"x86_64", "linux/amd64"},         {"linux/x86-64", "linux/amd64"},
      {"linux/amd64/v1", "linux/amd64"}, {"linux/amd64/v3", "linux/amd64/v3"},
      {"Linux/AMD64", "linux/amd64"},    {"i386", "linux/386"},
      {"aarch64", "linux/arm64"},        {"linux/arm64/v8", "linux/arm64"},
      {"linux/arm64/8", "linux/arm64"},  {"linux/arm64/v9", "linux/arm64/v9"},
      {"arm", "linux/arm/v7"},           {"linux/arm/7", "linux/arm/v7"},
      {"linux/arm/v6", "linux/arm/v6"},  {"armhf", "linux/arm/v7"},
      {"armel", "linux/arm/v6"},         {"macos/arm64", "darwin/arm64"},
      {"riscv64", "linux/riscv64"},      {"windows/amd64", "windows/amd64"},
  };
  for (const auto& [text, expected] : rows) EXPECT_EQ(parse_platform(text).str(), expected) << text;
  EXPECT_EQ(parse_platform("linux"), host_platform());
}

TEST(ParsePlatform, RefusesWhatIsNoPlatform) {
  for (const char* text : {"", "/", "linux/", "/amd64", "linux//v7", "a/b/c/d", "foo", "linux/*",
                           "linux/am d64", "linux/amd64\n", "linux/arm/v7/"})
    expect_error(base::ErrorCode::invalid_input, [&] { parse_platform(text); });
}

TEST(MatchPlatform, RanksLesserMatchesBelowExactOnes) {
  const auto rank = [](const char* wanted, const char* image) {
    return match_rank(parse_platform(wanted), parse_platform(image));
  };
  EXPECT_EQ(rank("linux/amd64", "linux/amd64"), 0);
  EXPECT_EQ(rank("linux/amd64", "linux/arm64"), -1);
  EXPECT_EQ(rank("linux/amd64", "windows/amd64"), -1);
  EXPECT_EQ(rank("linux/amd64", "linux/amd64/v2"), -1);
  EXPECT_EQ(rank("linux/arm/v7", "linux/arm/v8"), -1);
  EXPECT_EQ(rank("linux/arm/v7", "linux/arm/v4"), -1);
  EXPECT_EQ(rank("linux/arm/v6", "linux/arm/v7"), -1);
  EXPECT_EQ(rank("linux/arm64", "linux/arm64/v9"), -1);
  EXPECT_EQ(rank("linux/386", "linux/amd64"), -1);
  EXPECT_EQ(rank("linux/riscv64", "linux/riscv64"), 0);

  const std::vector<std::vector<const char*>> best_first = {
      {"linux/arm/v7", "linux/arm/v6", "linux/arm/v5"},
      {"linux/amd64/v3", "linux/amd64/v2", "linux/amd64", "linux/386"},
      {"linux/amd64", "linux/386"},
      {"linux/arm64/v9", "linux/arm64", "linux/arm/v8", "linux/arm/v7", "linux/arm/v5"},
      {"linux/arm64", "linux/arm/v7", "linux/arm/v6"},
  };
  for (const auto& row : best_first)
    for (std::size_t i = 1; i < row.size(); ++i) {
      EXPECT_GE(rank(row[0], row[i - 1]), 0);
      EXPECT_LT(rank(row[0], row[i - 1]), rank(row[0], row[i])) << row[0] << " " << row[i];
    }
}

TEST(MatchPlatform, TakesTheFirstOfEqualsAndNoneOfStrangers) {
  const std::vector<Platform> index = {
      parse_platform("linux/arm/v6"), parse_platform("linux/amd64"), parse_platform("linux/arm/v7"),
      parse_platform("linux/amd64"), Platform{"unknown", "unknown", ""}};
  EXPECT_EQ(best_match(parse_platform("linux/amd64"), index), 1);
  EXPECT_EQ(best_match(parse_platform("linux/arm/v7"), index), 2);
  EXPECT_EQ(best_match(parse_platform("linux/arm/v6"), index), 0);
  EXPECT_EQ(best_match(parse_platform("linux/s390x"), index), -1);
  EXPECT_EQ(best_match(parse_platform("linux/amd64"), {}), -1);
}

}  // namespace
}  // namespace strake::oci
