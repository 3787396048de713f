#include "layers/base/tree_removal.h"

#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "tests/base/expect_error.h"
#include "tests/base/rooted_fixture.h"

namespace strake::base {
namespace {

/// Runs `body` in a child process as the user 65534; returns whether it returned true.
template <typename Body>
bool as_nobody(const Body& body) {
  const pid_t child = ::fork();
  if (child == 0) {
    const bool dropped =
        ::setresgid(65534, 65534, 65534) == 0 && ::setresuid(65534, 65534, 65534) == 0;
    ::_exit(dropped && body() ? 0 : 1);
  }
  int status = -1;
  ::waitpid(child, &status, 0);
  return status == 0;
}

class TreeRemovalTest : public RootedTest {
 protected:
  /// root/deep/d/d/d/… with a file in each directory.
  void make_deep_tree(int depth) const {
    FileDescriptor directory(::open(host("root").c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    for (int i = 0; i < depth; ++i) {
      const char* name = i == 0 ? "deep" : "d";
      ASSERT_EQ(::mkdirat(directory.get(), name, 0700), 0);
      directory = FileDescriptor(::openat(directory.get(), name, O_PATH | O_DIRECTORY | O_CLOEXEC));
      ASSERT_TRUE(directory);
      const FileDescriptor file(
          ::openat(directory.get(), "f", O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
      ASSERT_TRUE(file);
    }
  }
};

TEST_P(TreeRemovalTest, RemovesEverythingBelowAndNothingElse) {
  std::filesystem::create_directories(host("root/tree/a/b/c"));
  std::filesystem::create_directories(host("root/tree/e/f"));
  write("root/tree/a/file", "x");
  write("root/tree/a/b/c/file", "x");
  link("root/tree/link", host("outside").native());
  link("root/tree/a/link", "../../../../../../outside/secret");
  ::mkfifo(host("root/tree/e/fifo").c_str(), 0600);
  write("root/sibling", "stays");
  root().remove_tree("tree");
  EXPECT_EQ(root().list(""), std::vector<std::string>{"sibling"});
  EXPECT_EQ(content("outside/secret"), "canary");
}

TEST_P(TreeRemovalTest, TakesFilesLinksAndWhatIsNotThere) {
  write("root/file", "x");
  link("root/link", host("outside").native());
  for (const char* path : {"file", "link", "missing", "missing/x", "file/x", "link"})
    root().remove_tree(path);
  EXPECT_TRUE(root().list("").empty());
  EXPECT_TRUE(std::filesystem::exists(host("outside/secret")));
}

TEST_P(TreeRemovalTest, ResolvesTheParentInsideTheRoot) {
  link("root/escape", host("outside").native());
  root().remove_tree("escape/secret");
  root().remove_tree("../outside/secret");
  EXPECT_EQ(content("outside/secret"), "canary");
}

TEST_P(TreeRemovalTest, NeedsFewDescriptorsAndLittleStackForAnyDepth) {
  make_deep_tree(5000);
  struct ::rlimit before, few;
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  few = before;
  few.rlim_cur = 32;
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &few), 0);
  root().remove_tree("deep");
  EXPECT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
  EXPECT_TRUE(root().list("").empty());
}

TEST_P(TreeRemovalTest, RemovesLargeDirectories) {
  std::filesystem::create_directories(host("root/tree"));
  for (int i = 0; i < 1200; ++i) write("root/tree/file-with-a-long-name-" + std::to_string(i), "");
  for (int i = 0; i < 50; ++i)
    std::filesystem::create_directory(host("root/tree/directory-" + std::to_string(i)));
  root().remove_tree("tree");
  EXPECT_TRUE(root().list("").empty());
}

TEST_P(TreeRemovalTest, RemovesDirectoriesNobodyMayEnter) {
  std::filesystem::create_directories(host("root/tree/closed/sub"));
  write("root/tree/closed/file", "x");
  ASSERT_EQ(::chmod(host("root/tree/closed/sub").c_str(), 0), 0);
  ASSERT_EQ(::chmod(host("root/tree/closed").c_str(), 0), 0);
  ASSERT_EQ(::chmod(host("root/tree").c_str(), 0500), 0);
  root().remove_tree("tree");
  EXPECT_TRUE(root().list("").empty());
}

TEST_P(TreeRemovalTest, RemovesAnOrdinaryUsersClosedDirectories) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root to become another user";
  ASSERT_EQ(::chmod(host("").c_str(), 0755), 0);
  ASSERT_EQ(::chmod(host("root").c_str(), 0777), 0);
  const RootedDirectory directory = root();
  EXPECT_TRUE(as_nobody([&] {
    directory.make_directories("tree/closed/sub", 0700);
    directory.create_file("tree/closed/sub/file", 0400);
    directory.set_mode("tree/closed/sub", 0);
    directory.set_mode("tree/closed", 0);
    directory.set_mode("tree", 0500);
    directory.remove_tree("tree");
    return !directory.lstat("tree");
  }));
  EXPECT_FALSE(directory.lstat("tree"));
}

TEST_P(TreeRemovalTest, LeavesMountsAlone) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root to mount";
  std::filesystem::create_directories(host("root/tree/sub/mounted"));
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    // A bind mount of the same file system: the device number alone would not tell.
    const bool mounted = ::unshare(CLONE_NEWNS) == 0 &&
                         ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
                         ::mount(host("outside").c_str(), host("root/tree/sub/mounted").c_str(),
                                 nullptr, MS_BIND, nullptr) == 0;
    if (!mounted) ::_exit(2);
    const FileDescriptor top(::open(host("root").c_str(), O_PATH | O_CLOEXEC));
    const FileDescriptor sub(::open(host("root/tree/sub").c_str(), O_PATH | O_CLOEXEC));
    const bool refused =
        remove_entry(top.get(), "tree") == -EBUSY && remove_entry(sub.get(), "mounted") == -EBUSY;
    ::_exit(refused ? 0 : 1);
  }
  int status = -1;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  if (WEXITSTATUS(status) == 2) GTEST_SKIP() << "mounting is not allowed here";
  EXPECT_EQ(status, 0);
  EXPECT_EQ(content("outside/secret"), "canary");
}

// Only the parent's path is resolved: one resolver will do.
INSTANTIATE_TEST_SUITE_P(Resolver, TreeRemovalTest, ::testing::Values(PathResolver::walk),
                         resolver_name);

}  // namespace
}  // namespace strake::base
