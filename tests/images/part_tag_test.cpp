#include "builder/images/part_tag.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

namespace strake::builder {
namespace {

bool is_legal_tag(const std::string& tag) {
  const auto is_word = [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) || c == '_';
  };
  return !tag.empty() && tag.size() <= 128 && is_word(tag.front()) &&
         std::ranges::all_of(tag, [&](char c) { return is_word(c) || c == '.' || c == '-'; });
}

TEST(PartTag, NamesTagAndPlatform) {
  EXPECT_EQ(part_tag("1.0", {"linux", "arm64", ""}), "1.0--part-linux-arm64");
  EXPECT_EQ(part_tag("latest", {"linux", "arm", "v7"}), "latest--part-linux-arm-v7");
  EXPECT_EQ(part_tag("w", {"windows", "amd64", "", "10.0.20348.1"}),
            "w--part-windows-amd64-10.0.20348.1");
}

TEST(PartTag, BeginsWithThePrefixOfItsTag) {
  for (const std::string& tag : {std::string("1.0"), std::string(128, 'x')})
    EXPECT_TRUE(part_tag(tag, {"linux", "amd64", ""}).starts_with(part_prefix(tag)));
}

TEST(PartTag, IsLegalForTheLongestTagAndPlatform) {
  const std::string tag(128, 'x');
  EXPECT_TRUE(is_legal_tag(part_tag(tag, {"linux", "amd64", ""})));
  EXPECT_TRUE(is_legal_tag(part_tag(tag, {"linux", std::string(300, 'y'), "v1"})));
  EXPECT_TRUE(is_legal_tag(part_tag("1.0", {"linux", "a b/c", "\xff"})));
}

TEST(PartTag, DiffersForLongTagsThatBeginAlike) {
  const std::string begin(120, 'x');
  EXPECT_NE(part_prefix(begin + "1"), part_prefix(begin + "2"));
}

TEST(PartTag, DiffersForPlatformsThatLookAlike) {
  std::set<std::string> tags;
  for (const oci::Platform& platform :
       {oci::Platform{"linux", "arm", "v7"}, oci::Platform{"linux", "arm-v7", ""},
        oci::Platform{"linux", "arm v7", ""}, oci::Platform{"linux", "arm+v7", ""}})
    tags.insert(part_tag("1.0", platform));
  EXPECT_EQ(tags.size(), 4U);
}

}  // namespace
}  // namespace strake::builder
