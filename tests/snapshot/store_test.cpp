#include "layers/store.h"

#include <gmock/gmock.h>

#include "layers/tree_owners.h"
#include "tests/snapshot/store_fixture.h"

namespace strake::layers {
namespace {

namespace fs = std::filesystem;

class StoreOpen : public test::StoreTest {
 protected:
  std::string refusal() {
    try {
      Store::open(root());
    } catch (const base::Error& error) {
      return error.what();
    }
    return "";
  }
};

TEST_F(StoreOpen, MakesThePrivateLayout) {
  EXPECT_EQ(test::stat_of(root()).st_mode, S_IFDIR | 0700U);
  EXPECT_EQ(test::read_file(root() / "version"), "1\n");
  for (const fs::path& path :
       {store().blobs(), store().layers(), store().images(), store().cache(), store().memo(),
        store().mounts(), store().ingest(), store().locks(), store().quarantine()})
    EXPECT_TRUE(fs::is_directory(path)) << path;
  EXPECT_TRUE(fs::is_empty(store().blobs() / "sha256"));
}

TEST_F(StoreOpen, TakesNoTreesOfOtherOwners) {
  store().make_ingest("test-");
  EXPECT_EQ(test::read_file(root() / "owners"), describe_owners(store().xattr_namespace()));
  for (const auto& [owners, isolation] :
       {std::pair("user; users 0 1000 1; groups 0 1000 1\n", "user-one"),
        std::pair("user; users 0 1000 1 1 100000 9; groups 0 1000 1 1 100000 9\n", "user")}) {
    test::write_file(root() / "owners", owners);
    const Store other = Store::open(root());
    try {
      other.make_ingest("test-");
      ADD_FAILURE() << "accepted";
    } catch (const base::Error& error) {
      EXPECT_EQ(error.code(), base::ErrorCode::unsupported);
      EXPECT_THAT(error.hint(),
                  testing::StartsWith(std::string("build with --isolation=") + isolation + ","));
    }
  }
}

TEST_F(StoreOpen, RefusesANewerFormat) {
  close();
  test::write_file(root() / "version", "2\n");
  EXPECT_THAT(refusal(), testing::HasSubstr("has format 2, this strake knows 1"));
}

TEST_F(StoreOpen, RefusesADamagedVersionFile) {
  close();
  test::write_file(root() / "version", "one");
  EXPECT_THAT(refusal(), testing::HasSubstr("not the version file"));
}

TEST_F(StoreOpen, RefusesAStoreThatOthersCanEnter) {
  close();
  fs::permissions(root(), fs::perms(0755));
  EXPECT_THAT(refusal(), testing::HasSubstr("accessible to other users"));
}

TEST_F(StoreOpen, RefusesSomebodyElsesStore) {
  close();
  if (::chown(root().c_str(), 1234, 0) != 0) GTEST_SKIP() << "needs root to give the store away";
  EXPECT_THAT(refusal(), testing::HasSubstr("belongs to user 1234"));
}

TEST_F(StoreOpen, RefusesASymlink) {
  close();
  fs::rename(root(), top() / "real");
  fs::create_symlink("real", root());
  EXPECT_NE(refusal(), "");
}

TEST_F(StoreOpen, RefusesADirectoryWithOtherThingsInIt) {
  close();
  const fs::path home = top() / "home";
  fs::create_directory(home);
  fs::permissions(home, fs::perms(0700));
  test::write_file(home / "letter.txt", "dear");
  EXPECT_THROW(Store::open(home), base::Error);
  EXPECT_FALSE(fs::exists(home / "blobs"));
}

TEST_F(StoreOpen, GoesOnWhereMakingItWasInterrupted) {
  close();
  fs::remove(root() / "version");
  fs::remove(root() / "quarantine");
  open();
  EXPECT_TRUE(fs::exists(root() / "quarantine"));
}

/// As a power cut can leave them: neither file is synced when it is made.
TEST_F(StoreOpen, FilesThatLostTheirContentAreMadeAgain) {
  store().make_ingest("x");
  close();
  test::write_file(root() / "version", "");
  test::write_file(root() / "owners", "");
  test::write_file(root() / "blobs/sha256/kept", "kept");
  fs::create_directory(root() / "mount-points");
  open();
  EXPECT_EQ(test::read_file(root() / "version"), "1\n");
  EXPECT_EQ(test::read_file(root() / "blobs/sha256/kept"), "kept");
  store().make_ingest("x");
  EXPECT_EQ(test::read_file(root() / "owners"), describe_owners(store().xattr_namespace()));
}

TEST_F(StoreOpen, ExclusiveUseExcludesEverybodyElse) {
  EXPECT_FALSE(Store::try_open_exclusive(root()));
  close();
  const auto exclusive = Store::try_open_exclusive(root());
  EXPECT_TRUE(exclusive);
  EXPECT_FALSE(Store::try_open_exclusive(root()));
}

TEST_F(StoreOpen, SeveralProcessesShareIt) {
  EXPECT_EQ(test::Child([&] { Store::open(root()); }).wait(), 0);
}

TEST_F(StoreOpen, LeftoversOfDeadProcessesGoWithTheFirstWrite) {
  const base::TempDirectory mine = store().make_ingest("mine-");
  test::Child([&] {
    const Store theirs = Store::open(root());
    base::TempDirectory dead = theirs.make_ingest("dead-");
    test::write_file(dead.path() / "file", "x");
    ::_exit(0);  // no destructors: as if killed
  }).wait();
  EXPECT_EQ(ingest_files(), 1U);

  const Store other = Store::open(root());
  EXPECT_EQ(ingest_files(), 1U);  // opening looks at nothing
  const base::TempDirectory fresh = other.make_ingest("fresh-");
  EXPECT_EQ(ingest_files(), 0U);
  EXPECT_TRUE(fs::exists(mine.path()));
  EXPECT_TRUE(fs::exists(fresh.path()));
}

TEST_F(StoreOpen, OwnIngestGoesWithTheStore) {
  { const base::TempDirectory work = store().make_ingest("work-"); }
  close();
  for (const auto& entry : fs::directory_iterator(root() / "ingest"))
    EXPECT_EQ(entry.path().filename(), "partial");
}

TEST_F(StoreOpen, WhatNothingWaitsForIsFoundByItsAge) {
  test::write_file(root() / "ingest/partial/half", "x");
  fs::create_directories(root() / "uploads");
  test::write_file(root() / "uploads/record", "x");
  fs::create_directories(root() / "quarantine/tree/usr");
  const auto now = std::chrono::system_clock::now();
  EXPECT_TRUE(store().abandoned(now - std::chrono::hours(1)).empty());
  EXPECT_THAT(store().abandoned(now + std::chrono::seconds(1)),
              testing::UnorderedElementsAre(root() / "ingest/partial/half",
                                            root() / "uploads/record", root() / "quarantine/tree"));
}

}  // namespace
}  // namespace strake::layers
