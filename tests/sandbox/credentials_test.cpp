#include "builder/sandbox/owners/credentials.h"

#include <gtest/gtest.h>

#include <cerrno>

namespace strake::sandbox {
namespace {

constexpr Ids kRoot = {0, 0, 0, 0};
constexpr Ids kUser = {1000, 1000, 1000, 1000};
constexpr Ids kRootAsUser = {0, 1000, 0, 1000};  // after seteuid(1000)

TEST(Credentials, SetuidOfRootIsForGood) {
  Ids ids = kRoot;
  EXPECT_EQ(set_id(ids, true, 1000), 0);
  EXPECT_EQ(ids, kUser);
  EXPECT_EQ(set_id(ids, false, 0), EPERM);
  EXPECT_EQ(ids, kUser);
}

TEST(Credentials, SetuidOfOthersGoesBackToTheRealOrSavedUser) {
  Ids ids = kRootAsUser;
  EXPECT_EQ(set_id(ids, false, 0), 0);
  EXPECT_EQ(ids, kRoot);
  ids = {1000, 1000, 7, 1000};
  EXPECT_EQ(set_id(ids, false, 7), 0);
  EXPECT_EQ(ids, (Ids{1000, 7, 7, 7}));
}

TEST(Credentials, NoIdIsMinusOne) {
  Ids ids = kRoot;
  EXPECT_EQ(set_id(ids, true, kUnchanged), EINVAL);
}

TEST(Credentials, SetreuidSavesTheNewEffectiveUser) {
  Ids ids = {1000, 0, 0, 0};  // a set-user-id program
  EXPECT_EQ(set_real_and_effective(ids, true, 0, 1000), 0);
  EXPECT_EQ(ids, (Ids{0, 1000, 1000, 1000}));
  ids = kRoot;
  EXPECT_EQ(set_real_and_effective(ids, true, kUnchanged, 1000), 0);
  EXPECT_EQ(ids, (Ids{0, 1000, 1000, 1000}));
  ids = {1000, 7, 9, 7};
  EXPECT_EQ(set_real_and_effective(ids, false, kUnchanged, 1000), 0);
  EXPECT_EQ(ids, (Ids{1000, 1000, 9, 1000}));  // it is the real one: nothing is saved
}

TEST(Credentials, SetreuidTakesTheRealUserFromRealOrEffectiveOnly) {
  Ids ids = {1000, 7, 9, 7};
  EXPECT_EQ(set_real_and_effective(ids, false, 9, kUnchanged), EPERM);
  EXPECT_EQ(set_real_and_effective(ids, false, 7, 9), 0);
  EXPECT_EQ(ids, (Ids{7, 9, 9, 9}));
}

TEST(Credentials, SetresuidChoosesAmongTheThree) {
  Ids ids = kRootAsUser;
  EXPECT_EQ(set_all_ids(ids, false, 5, kUnchanged, kUnchanged), EPERM);
  EXPECT_EQ(set_all_ids(ids, false, 1000, 0, 1000), 0);
  EXPECT_EQ(ids, (Ids{1000, 0, 1000, 0}));
  EXPECT_EQ(set_all_ids(ids, true, 1, 2, 3), 0);
  EXPECT_EQ(ids, (Ids{1, 2, 3, 2}));
}

TEST(Credentials, SetfsuidSaysWhoItWas) {
  Ids ids = kRoot;
  EXPECT_EQ(set_file_system_id(ids, true, 1000), 0U);
  EXPECT_EQ(ids, (Ids{0, 0, 0, 1000}));
  ids = kUser;
  EXPECT_EQ(set_file_system_id(ids, false, 0), 1000U);
  EXPECT_EQ(ids, kUser);
}

TEST(Credentials, ExecSavesWhatIsEffective) {
  Ids ids = {1000, 1000, 0, 1000};
  execute_as(ids, kUnchanged);
  EXPECT_EQ(ids, kUser);
  execute_as(ids, 0);
  EXPECT_EQ(ids, (Ids{1000, 0, 0, 0}));
}

TEST(Credentials, OwnersGiveFilesToTheirOwnGroupsOnly) {
  Credentials who = credentials_of(1000, 1000, {42});
  EXPECT_EQ(check_change_of_owner(who, 1000, 1000, kUnchanged, 42), 0);
  EXPECT_EQ(check_change_of_owner(who, 1000, 7, 1000, 7), 0);
  EXPECT_EQ(check_change_of_owner(who, 1000, 1000, kUnchanged, 50), EPERM);
  EXPECT_EQ(check_change_of_owner(who, 1000, 1000, 0, kUnchanged), EPERM);
  EXPECT_EQ(check_change_of_owner(who, 0, 0, 1000, kUnchanged), EPERM);
  EXPECT_EQ(check_change_of_owner(credentials_of(0, 0, {}), 1000, 1000, 5, 6), 0);
}

}  // namespace
}  // namespace strake::sandbox
