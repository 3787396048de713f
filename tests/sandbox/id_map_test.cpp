#include "builder/sandbox/id_map.h"

#include <gtest/gtest.h>

namespace strake::sandbox {
namespace {

TEST(IdMap, IsReadAsTheKernelWritesIt) {
  EXPECT_EQ(parse_id_map("         0      65534          1\n         1     100000      65536\n"),
            (IdMap{{0, 65534, 1}, {1, 100000, 65536}}));
  EXPECT_EQ(parse_id_map("0 0 4294967295\n"), (IdMap{{0, 0, 4294967295}}));
  EXPECT_TRUE(parse_id_map("").empty());
  EXPECT_TRUE(parse_id_map("0 0\n0 x 1\n").empty());
}

TEST(IdMap, IsWrittenAsItIsRead) {
  const IdMap map{{0, 1000, 1}, {1, 100000, 65536}};
  EXPECT_EQ(to_text(map), "0 1000 1\n1 100000 65536\n");
  EXPECT_EQ(parse_id_map(to_text(map)), map);
}

TEST(IdMap, OfANestedNamespaceKeepsTheIdsThatThereAre) {
  EXPECT_EQ(identity_of({{0, 1000, 1}, {1, 100000, 65536}}), (IdMap{{0, 0, 1}, {1, 1, 65536}}));
}

TEST(IdMap, KnowsItsIds) {
  const IdMap map{{0, 1000, 1}, {1, 100000, 10}};
  EXPECT_TRUE(has_id(map, 0));
  EXPECT_TRUE(has_id(map, 10));
  EXPECT_FALSE(has_id(map, 11));
  EXPECT_FALSE(has_id(map, 4294967295));
  EXPECT_EQ(count_ids(map), 11U);
}

TEST(SubordinateIds, AreFoundByNameAndByNumber) {
  constexpr const char* kFile = "bob:100000:65536\nalice:200000:1000\n1000:300000:2000\n";
  EXPECT_EQ(subordinate_ids(kFile, "alice", 1000),
            (std::vector<IdRange>{{200000, 1000}, {300000, 2000}}));
  EXPECT_EQ(subordinate_ids(kFile, "bob", 1), (std::vector<IdRange>{{100000, 65536}}));
  EXPECT_TRUE(subordinate_ids(kFile, "carol", 7).empty());
}

TEST(SubordinateIds, OfAUserWithoutNameAreThoseOfTheNumber) {
  EXPECT_TRUE(subordinate_ids(":1:2\n", "", 1000).empty());
  EXPECT_EQ(subordinate_ids(":1:2\n1000:5:6\n", "", 1000), (std::vector<IdRange>{{5, 6}}));
}

TEST(SubordinateIds, LeaveOutWhatCannotBe) {
  for (const char* line : {"alice\n", "alice:1\n", "alice:x:5\n", "alice:1:0\n", "alice:-1:5\n",
                           "alice:4294967290:10\n", "alice:99999999999:1\n", "#alice:1:2\n"})
    EXPECT_TRUE(subordinate_ids(line, "alice", 1000).empty()) << line;
  EXPECT_EQ(subordinate_ids("alice:1:2", "alice", 1000), (std::vector<IdRange>{{1, 2}}));
}

TEST(SubordinateIds, FollowTheOwnIdInTheMap) {
  EXPECT_EQ(map_below_root(1000, {{100000, 10}, {300000, 20}}),
            (IdMap{{0, 1000, 1}, {1, 100000, 10}, {11, 300000, 20}}));
  EXPECT_EQ(map_below_root(1000, {}), (IdMap{{0, 1000, 1}}));
}

TEST(SubordinateIds, BeyondTheLargestIdAreCutOff) {
  const IdMap map = map_below_root(1, {{2, 4294967000}, {10, 4294967000}});
  EXPECT_EQ(count_ids(map), 4294967295U);
}

}  // namespace
}  // namespace strake::sandbox
