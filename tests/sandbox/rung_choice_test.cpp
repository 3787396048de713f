#include "builder/sandbox/rung_choice.h"

#include <gtest/gtest.h>

#include "layers/base/error.h"

namespace strake::sandbox {
namespace {

constexpr int kSetGid = 6, kSetUid = 7, kSysChroot = 18, kSysAdmin = 21, kSetFcap = 31;

CapabilitySet capabilities(std::initializer_list<int> numbers) {
  CapabilitySet set = 0;
  for (const int number : numbers) set |= CapabilitySet{1} << number;
  return set;
}

/// An ordinary user of a machine with everything installed.
IsolationFacts ordinary_user() {
  IsolationFacts facts;
  facts.caller = {1000, 1001};
  facts.user_name = "alice";
  facts.subuid = "alice:100000:65536\n";
  facts.subgid = "alice:200000:65536\n";
  facts.newuidmap = "/usr/bin/newuidmap";
  facts.newgidmap = "/usr/bin/newgidmap";
  facts.own_users = facts.own_groups = {{0, 0, 4294967295}};
  return facts;
}

RungOption option(const IsolationFacts& facts, Isolation isolation) {
  for (const RungOption& option : rung_options(facts))
    if (option.isolation == isolation) return option;
  ADD_FAILURE() << "no such rung";
  return {};
}

TEST(RungChoice, OffersTheBestFirst) {
  std::vector<Isolation> order;
  for (const RungOption& option : rung_options(ordinary_user())) order.push_back(option.isolation);
  EXPECT_EQ(order, (std::vector{Isolation::root, Isolation::user_range, Isolation::user_one,
                                Isolation::chroot}));
}

TEST(RungChoice, TakesRootForCapSysAdminWhateverTheUser) {
  IsolationFacts facts = ordinary_user();
  EXPECT_EQ(option(facts, Isolation::root).impossible, "not root");
  facts.capabilities = capabilities({kSysAdmin});
  EXPECT_EQ(option(facts, Isolation::root).impossible, "");
  facts.capabilities = 0;
  facts.caller.uid = 0;
  EXPECT_EQ(option(facts, Isolation::root).impossible, "no CAP_SYS_ADMIN");
}

TEST(RungChoice, GivesAUserHisRangesThroughTheSetuidPrograms) {
  const RungOption range = option(ordinary_user(), Isolation::user_range);
  EXPECT_EQ(range.impossible, "");
  EXPECT_EQ(range.maps.users, (IdMap{{0, 1000, 1}, {1, 100000, 65536}}));
  EXPECT_EQ(range.maps.groups, (IdMap{{0, 1001, 1}, {1, 200000, 65536}}));
  EXPECT_EQ(range.maps.writer, NamespaceMaps::Writer::newidmap);
  EXPECT_FALSE(range.maps.give_up_setgroups);
}

TEST(RungChoice, SaysWhatARangeLacks) {
  IsolationFacts facts = ordinary_user();
  facts.subuid = "bob:100000:65536\n";
  RungOption range = option(facts, Isolation::user_range);
  EXPECT_EQ(range.impossible, "no range in /etc/subuid for \"alice\"");
  EXPECT_NE(range.knob.find("usermod --add-subuids"), std::string::npos);
  EXPECT_EQ(range.knob.find("uidmap,"), std::string::npos);

  facts.newuidmap = "";
  EXPECT_EQ(option(facts, Isolation::user_range).knob.find("install the package uidmap"), 0U);

  facts = ordinary_user();
  facts.subgid = "";
  EXPECT_EQ(option(facts, Isolation::user_range).impossible,
            "no range in /etc/subgid for \"alice\"");

  facts = ordinary_user();
  facts.newgidmap = "";
  EXPECT_EQ(option(facts, Isolation::user_range).impossible, "no newgidmap");
}

TEST(RungChoice, GivesRootOfAContainerAllTheIdsItHas) {
  IsolationFacts facts = ordinary_user();
  facts.caller = {0, 0};
  facts.own_users = {{0, 1000, 1}, {1, 100000, 65536}};
  facts.own_groups = {{0, 1000, 1}, {1, 200000, 65536}};
  facts.subuid = facts.subgid = "";
  facts.capabilities = capabilities({kSetUid, kSetGid, kSetFcap});
  const RungOption range = option(facts, Isolation::user_range);
  EXPECT_EQ(range.impossible, "");
  EXPECT_EQ(range.maps.users, (IdMap{{0, 0, 1}, {1, 1, 65536}}));
  EXPECT_EQ(range.maps.groups, (IdMap{{0, 0, 1}, {1, 1, 65536}}));
  EXPECT_EQ(range.maps.writer, NamespaceMaps::Writer::builder);

  // The kernel lets nobody map the id 0 of the namespace above without it.
  facts.capabilities = capabilities({kSetUid, kSetGid});
  EXPECT_NE(option(facts, Isolation::user_range).impossible, "");
}

TEST(RungChoice, MapsOneIdForAnybody) {
  IsolationFacts facts = ordinary_user();
  facts.subuid = facts.subgid = facts.newuidmap = facts.newgidmap = "";
  const RungOption one = option(facts, Isolation::user_one);
  EXPECT_EQ(one.impossible, "");
  EXPECT_EQ(one.maps.users, (IdMap{{0, 1000, 1}}));
  EXPECT_EQ(one.maps.groups, (IdMap{{0, 1001, 1}}));
  EXPECT_TRUE(one.maps.give_up_setgroups);
  EXPECT_EQ(one.maps.writer, NamespaceMaps::Writer::builder);
}

TEST(RungChoice, NeedsACapabilityForTheChroot) {
  IsolationFacts facts = ordinary_user();
  EXPECT_EQ(option(facts, Isolation::chroot).impossible, "no CAP_SYS_CHROOT");
  facts.capabilities = capabilities({kSysChroot});
  EXPECT_EQ(option(facts, Isolation::chroot).impossible, "");
}

TEST(RungNames, HasAWordForEachRung) {
  for (const Isolation isolation :
       {Isolation::root, Isolation::user_range, Isolation::user_one, Isolation::chroot})
    EXPECT_EQ(parse_isolation(name_of(isolation)), isolation);
  EXPECT_EQ(parse_isolation("auto"), std::nullopt);
}

TEST(RungNames, RefusesOtherWordsAndGuesses) {
  try {
    parse_isolation("user_one");
    FAIL() << "accepted";
  } catch (const base::Error& error) {
    EXPECT_EQ(error.code(), base::ErrorCode::invalid_input);
    EXPECT_EQ(error.hint(), "did you mean \"user-one\"?");
  }
  EXPECT_THROW(parse_isolation(""), base::Error);
  EXPECT_THROW(parse_isolation("vm"), base::Error);
}

TEST(RungNames, IsDescribedWithTheReason) {
  EXPECT_EQ((Rung{Isolation::user_one, "no newuidmap"}).describe(),
            "user namespace with one id (no newuidmap)");
  EXPECT_EQ((Rung{Isolation::chroot, ""}).describe(), "chroot");
}

}  // namespace
}  // namespace strake::sandbox
