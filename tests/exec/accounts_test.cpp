#include "builder/exec/accounts.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "layers/base/error.h"
#include "tests/exec/exec_support.h"

namespace strake::builder {
namespace {

using testing::ElementsAre;

constexpr const char* kPasswd =
    "root:x:0:0:root:/root:/bin/sh\n# comment\nbroken line\napp:x:1000:1001:App:/home/app:/bin/sh\n"
    "12:x:5:5::/twelve:\nhuge:x:4294967296:0::/:\n";
constexpr const char* kGroup = "root:x:0:\napp:x:1001:\nwheel:x:10:root,app\nvideo:x:44:app\n";

Tree image() {
  Tree tree;
  tree.file("etc/passwd", kPasswd).file("etc/group", kGroup);
  return tree;
}

// Rule 57: a USER without a group has its primary and supplementary ones.
TEST(Accounts, ANameHasItsPrimaryAndListedGroups) {
  const Tree tree = image();
  const Account account = resolve_account(tree.root(), "app");
  EXPECT_EQ(account.uid, 1000U);
  EXPECT_EQ(account.gid, 1001U);
  EXPECT_THAT(account.groups, ElementsAre(10U, 44U, 1001U));
  EXPECT_EQ(account.home, "/home/app");
}

// Rule 57: with a group it has that one only.
TEST(Accounts, AnExplicitGroupIsTheOnlyOne) {
  const Tree tree = image();
  EXPECT_THAT(resolve_account(tree.root(), "app:video").groups, ElementsAre(44U));
  EXPECT_THAT(resolve_account(tree.root(), "1000:7").groups, ElementsAre(7U));
}

TEST(Accounts, DigitsAreNeverAName) {
  const Tree tree = image();
  EXPECT_EQ(resolve_account(tree.root(), "12").uid, 12U);
  EXPECT_EQ(resolve_account(tree.root(), "12").gid, 0U);
  EXPECT_EQ(resolve_account(tree.root(), "1000").gid, 1001U);
}

TEST(Accounts, NoUserIsRootEvenWithoutAccountFiles) {
  const Tree empty;
  EXPECT_EQ(resolve_account(empty.root(), "").uid, 0U);
  EXPECT_EQ(resolve_account(empty.root(), "").home, "/root");
  EXPECT_EQ(resolve_account(empty.root(), "7:8").gid, 8U);
  EXPECT_THROW(resolve_account(empty.root(), "app"), base::Error);
}

// Case B23: users whose number is too large, or a name that looks like one.
TEST(Accounts, NumbersAboveTheSignedRangeAreRefused) {
  const Tree tree = image();
  EXPECT_EQ(resolve_account(tree.root(), "2147483647").uid, 2147483647U);
  EXPECT_EQ(resolve_account(tree.root(), "00").uid, 0U);
  for (const char* bad :
       {"2147483648", "4294967296", "4294967295", "0:2147483648", "2147483648:0", "-1", "0:-1",
        "0x0", "1e3", "1000:abc", "99999999999999999999", "18446744073709551616", "huge"})
    EXPECT_THROW(resolve_account(tree.root(), bad), base::Error) << bad;
  // A number is never looked up, whatever the image calls its root.
  Tree named;
  named.file("etc/passwd", "1234:x:0:0::/:\n2147483648:x:0:0::/:\n-1:x:0:0::/:\n");
  EXPECT_EQ(resolve_account(named.root(), "1234").uid, 1234U);
  EXPECT_THROW(resolve_account(named.root(), "2147483648"), base::Error);
}

// Rule 38: --chown=N is group N too, a name its primary group; unknown is an error.
TEST(Accounts, OwnersTakeTheNumberForBothOrTheNamesGroup) {
  const Tree tree = image();
  EXPECT_EQ(resolve_owner(tree.root(), "5"), (Owner{5, 5}));
  EXPECT_EQ(resolve_owner(tree.root(), "app"), (Owner{1000, 1001}));
  EXPECT_EQ(resolve_owner(tree.root(), "app:wheel"), (Owner{1000, 10}));
  EXPECT_EQ(resolve_owner(tree.root(), "1:2"), (Owner{1, 2}));
  EXPECT_EQ(resolve_owner(Tree().root(), "root:root"), (Owner{0, 0}));
  EXPECT_THROW(resolve_owner(tree.root(), "nobody"), base::Error);
  EXPECT_THROW(resolve_owner(tree.root(), "app:nogroup"), base::Error);
}

// Case C15: accounts of a hostile image are read with limits, inside the image.
TEST(Accounts, FilesOfTheImageAreNotTrusted) {
  Tree fifo;
  fifo.directory("etc");
  ASSERT_EQ(::mkfifo((fifo.path() / "etc/passwd").c_str(), 0644), 0);
  EXPECT_THROW(resolve_account(fifo.root(), "app"), base::Error);
  Tree outside;
  outside.directory("etc").symlink("etc/passwd", "/etc/passwd");  // inside the root: a loop
  EXPECT_THROW(resolve_account(outside.root(), "daemon"), base::Error);
}

// Case B24: account files that are no files, or too large.
TEST(Accounts, FilesOfTheImageAreLimited) {
  const auto refused = [](const Tree& tree) {
    EXPECT_THROW(resolve_account(tree.root(), "app"), base::Error);
  };
  Tree directory;
  refused(directory.directory("etc").directory("etc/passwd"));
  Tree loop;
  refused(loop.directory("etc").symlink("etc/passwd", "passwd"));
  constexpr std::size_t kLimit = 10 << 20;
  const std::string line = "app:x:1000:1001::/:\n";
  for (const std::size_t size : {kLimit, kLimit + 1}) {
    Tree large;
    large.file("etc/passwd", line + std::string(size - line.size(), 'x'));
    if (size > kLimit) {
      refused(large);
    } else {
      EXPECT_EQ(resolve_account(large.root(), "app").uid, 1000U);
    }
  }
  Tree many;  // a million lines
  std::string lines;
  while (lines.size() < kLimit - 100) lines += "a:x:1::\n";
  EXPECT_EQ(resolve_account(many.file("etc/passwd", lines + line).root(), "app").uid, 1000U);
}

// Rule 39: only names read the account files.
TEST(Accounts, OnlyNamesNeedAccountFiles) {
  EXPECT_FALSE(needs_account_files(""));
  EXPECT_FALSE(needs_account_files("root"));
  EXPECT_FALSE(needs_account_files("1:2"));
  EXPECT_TRUE(needs_account_files("app"));
  EXPECT_TRUE(needs_account_files("1:app"));
}

}  // namespace
}  // namespace strake::builder
