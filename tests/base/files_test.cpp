#include "layers/base/files.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <fstream>
#include <thread>

#include "tests/base/expect_error.h"

namespace strake::base {
namespace {

namespace fs = std::filesystem;

class FilesTest : public ::testing::Test {
 protected:
  fs::path at(std::string_view name) const { return temp_.path() / name; }
  mode_t mode(std::string_view name) const {
    struct ::stat status = {};
    EXPECT_EQ(::lstat(at(name).c_str(), &status), 0);
    return status.st_mode & 07777;
  }
  /// Names in the test's directory.
  std::vector<std::string> names() const {
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(temp_.path()))
      names.push_back(entry.path().filename().native());
    return names;
  }

 private:
  TempDirectory temp_{fs::temp_directory_path(), "strake-files-"};
};

using TempDirectoryTest = FilesTest;
using FileLockTest = FilesTest;
using WriteAtomically = FilesTest;
using ReadFile = FilesTest;
using MakeDirectories = FilesTest;
using RemoveTree = FilesTest;

TEST_F(TempDirectoryTest, IsPrivateAndRemovedWithItsContent) {
  fs::path path;
  {
    const mode_t before = ::umask(0777);
    const TempDirectory temp(at(""), "t-");
    ::umask(before);
    path = temp.path();
    EXPECT_EQ(mode(path.filename().native()), 0700U);
    fs::create_directories(path / "a/b");
    std::ofstream(path / "a/b/file") << "x";
  }
  EXPECT_FALSE(fs::exists(path));
}

TEST_F(TempDirectoryTest, StaysWhenTaken) {
  fs::path path;
  {
    TempDirectory temp(at(""), "t-");
    path = temp.take();
    EXPECT_FALSE(temp);
  }
  EXPECT_TRUE(fs::exists(path));
}

TEST_F(TempDirectoryTest, MovesItsOwnership) {
  TempDirectory first(at(""), "t-");
  TempDirectory second(at(""), "t-");
  const fs::path kept = first.path(), dropped = second.path();
  second = std::move(first);
  EXPECT_EQ(second.path(), kept);
  EXPECT_TRUE(fs::exists(kept));
  EXPECT_FALSE(fs::exists(dropped));
  const TempDirectory third(std::move(second));
  EXPECT_TRUE(fs::exists(kept));
}

TEST_F(TempDirectoryTest, ReportsAMissingParent) {
  expect_error(ErrorCode::not_found, [&] { TempDirectory(at("missing"), "t-"); });
}

TEST_F(RemoveTree, DoesNothingForPathsThatNameNoEntry) {
  fs::create_directories(at("a/b"));
  for (const fs::path& path :
       {fs::path(), fs::path("."), fs::path(".."), at("a/."), at("a/.."), at("missing/x")})
    remove_tree(path);
  EXPECT_TRUE(fs::exists(at("a/b")));
  remove_tree(at("a/"));
  EXPECT_FALSE(fs::exists(at("a")));
}

TEST_F(RemoveTree, RemovesLinksNotTheirTargets) {
  fs::create_directories(at("target/sub"));
  fs::create_symlink("target", at("link"));
  remove_tree(at("link"));
  EXPECT_FALSE(fs::is_symlink(at("link")));
  EXPECT_TRUE(fs::exists(at("target/sub")));
}

TEST_F(MakeDirectories, MakesWhatIsMissingPrivately) {
  make_directories(at("a/b/c/"));
  EXPECT_EQ(mode("a"), 0700U);
  EXPECT_EQ(mode("a/b/c"), 0700U);
  ASSERT_EQ(::chmod(at("a").c_str(), 0755), 0);
  make_directories(at("a/b/c/d"));
  EXPECT_EQ(mode("a"), 0755U);
  fs::create_symlink("a", at("link"));
  make_directories(at("link/b/e"));
  EXPECT_TRUE(fs::is_directory(at("a/b/e")));
}

TEST_F(MakeDirectories, RefusesFilesInTheWay) {
  std::ofstream(at("file")) << "x";
  expect_error(ErrorCode::system, [&] { make_directories(at("file")); });
  expect_error(ErrorCode::system, [&] { make_directories(at("file/x")); });
}

TEST_F(MakeDirectories, MayBeDoneByManyAtOnce) {
  std::vector<std::jthread> threads;
  for (int i = 0; i < 8; ++i) threads.emplace_back([&] { make_directories(at("x/y/z/w")); });
  threads.clear();
  EXPECT_TRUE(fs::is_directory(at("x/y/z/w")));
}

TEST_F(WriteAtomically, ReplacesTheWholeFileWithTheExactMode) {
  const mode_t before = ::umask(0777);
  write_file_atomically(at("file"), "first", 0644);
  ::umask(before);
  EXPECT_EQ(mode("file"), 0644U);
  write_file_atomically(at("file"), "2", 0600, Durability::none);
  EXPECT_EQ(read_file(at("file")), "2");
  EXPECT_EQ(mode("file"), 0600U);
  EXPECT_EQ(names(), std::vector<std::string>{"file"});
}

TEST_F(WriteAtomically, ReplacesASymlinkInsteadOfFollowingIt) {
  write_file_atomically(at("target"), "old");
  fs::create_symlink("target", at("link"));
  write_file_atomically(at("link"), "new");
  EXPECT_EQ(read_file(at("target")), "old");
  EXPECT_FALSE(fs::is_symlink(at("link")));
}

TEST_F(WriteAtomically, LeavesTheOldFileAndNothingElseWhenItFails) {
  write_file_atomically(at("file"), "old");
  fs::create_directory(at("directory"));
  EXPECT_ANY_THROW(write_file_atomically(at("directory"), "x"));
  EXPECT_ANY_THROW(write_file_atomically(at("missing/file"), "x"));

  const auto signal_before = ::signal(SIGXFSZ, SIG_IGN);
  struct ::rlimit before, small;
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  small = before;
  small.rlim_cur = 1000;
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  EXPECT_ANY_THROW(write_file_atomically(at("file"), std::string(5000, 'x')));
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &before), 0);
  ::signal(SIGXFSZ, signal_before);

  EXPECT_EQ(read_file(at("file")), "old");
  EXPECT_EQ(names().size(), 2U);
}

TEST_F(WriteAtomically, NeverShowsAPart) {
  const std::string a(100000, 'a'), b(100000, 'b');
  write_file_atomically(at("file"), a, 0600, Durability::none);
  std::atomic<bool> stop{false};
  std::jthread writer([&] {
    while (!stop) {
      write_file_atomically(at("file"), b, 0600, Durability::none);
      write_file_atomically(at("file"), a, 0600, Durability::none);
    }
  });
  for (int i = 0; i < 500; ++i) {
    const auto text = read_file(at("file"));
    ASSERT_TRUE(text == a || text == b);
  }
  stop = true;
}

TEST_F(ReadFile, TellsAbsentFromUnreadable) {
  EXPECT_EQ(read_file(at("missing")), std::nullopt);
  write_file_atomically(at("file"), "12345");
  EXPECT_EQ(read_file(at("file/x")), std::nullopt);
  EXPECT_EQ(read_file(at("file"), 5), "12345");
  expect_error(ErrorCode::corrupt, [&] { read_file(at("file"), 4); });
  expect_error(ErrorCode::system, [&] { read_file(at("")); });
}

/// A child process that takes the lock `file`, says so, and waits until it is let go.
class LockingChild {
 public:
  LockingChild(const fs::path& file, FileLock::Mode mode) {
    Pipe ready = make_pipe();
    pid_ = ::fork();
    if (pid_ == 0) {
      const FileLock lock(file, mode);
      std::byte byte{};
      write_full(ready.write_end.get(), {&byte, 1}, "pipe");
      static_cast<void>(read_some(go_.read_end.get(), {&byte, 1}, "pipe"));
      ::_exit(0);
    }
    std::byte byte;
    EXPECT_EQ(read_some(ready.read_end.get(), {&byte, 1}, "pipe"), 1U);
  }
  ~LockingChild() { release(); }
  void release() {
    if (pid_ < 0) return;
    // Not by closing the pipe: a child made later has it open too.
    write_full(go_.write_end.get(), bytes_of("g"), "pipe");
    ::waitpid(std::exchange(pid_, -1), nullptr, 0);
  }
  void kill() {
    ::kill(pid_, SIGKILL);
    ::waitpid(std::exchange(pid_, -1), nullptr, 0);
  }

 private:
  Pipe go_ = make_pipe();
  pid_t pid_ = -1;
};

TEST_F(FileLockTest, ExcludesOtherProcesses) {
  LockingChild other(at("lock"), FileLock::Mode::exclusive);
  EXPECT_FALSE(FileLock::try_lock(at("lock"), FileLock::Mode::exclusive));
  EXPECT_FALSE(FileLock::try_lock(at("lock"), FileLock::Mode::shared));
  other.release();
  EXPECT_TRUE(FileLock::try_lock(at("lock"), FileLock::Mode::exclusive));
  EXPECT_EQ(mode("lock"), 0600U);
}

TEST_F(FileLockTest, IsSharedAmongReaders) {
  LockingChild other(at("lock"), FileLock::Mode::shared);
  EXPECT_TRUE(FileLock::try_lock(at("lock"), FileLock::Mode::shared));
  EXPECT_FALSE(FileLock::try_lock(at("lock"), FileLock::Mode::exclusive));
}

TEST_F(FileLockTest, IsFreeOnceItsHolderWasKilled) {
  LockingChild other(at("lock"), FileLock::Mode::exclusive);
  other.kill();
  EXPECT_TRUE(FileLock::try_lock(at("lock"), FileLock::Mode::exclusive));
}

TEST_F(FileLockTest, IsNotInheritedByPrograms) {
  const FileLock lock(at("lock"), FileLock::Mode::exclusive);
  for (const auto& entry : fs::directory_iterator("/proc/self/fd")) {
    std::error_code error;
    if (fs::read_symlink(entry.path(), error) != at("lock")) continue;
    const int fd = std::stoi(entry.path().filename().native());
    EXPECT_EQ(::fcntl(fd, F_GETFD), FD_CLOEXEC);
  }
}

TEST_F(FileLockTest, WaitsForItsHolder) {
  LockingChild other(at("lock"), FileLock::Mode::exclusive);
  std::atomic<bool> locked{false};
  std::jthread waiter([&] {
    const FileLock lock(at("lock"), FileLock::Mode::exclusive);
    locked = true;
  });
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  EXPECT_FALSE(locked);
  other.release();
  waiter.join();
  EXPECT_TRUE(locked);
}

TEST_F(FileLockTest, IsTakenOnTheNewFileWhenTheOldOneWasReplaced) {
  LockingChild holder(at("lock"), FileLock::Mode::exclusive);
  std::atomic<bool> locked{false};
  std::jthread waiter([&] {
    const FileLock lock(at("lock"), FileLock::Mode::exclusive);
    locked = true;
    locked.notify_all();
    // While this one is held, nobody gets the file that is there now.
    EXPECT_FALSE(FileLock::try_lock(at("lock"), FileLock::Mode::exclusive));
  });
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  fs::remove(at("lock"));
  LockingChild newcomer(at("lock"), FileLock::Mode::exclusive);
  holder.release();  // the waiter gets the lock of the deleted file: not enough
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  EXPECT_FALSE(locked);
  newcomer.release();
  waiter.join();
  EXPECT_TRUE(locked);
}

TEST_F(FileLockTest, RefusesASymlinkInItsPlace) {
  fs::create_symlink("elsewhere", at("lock"));
  EXPECT_ANY_THROW(FileLock(at("lock"), FileLock::Mode::exclusive));
  EXPECT_FALSE(fs::exists(at("elsewhere")));
}

TEST(RandomName, IsSixteenHexDigitsAndNew) {
  const std::string name = random_name();
  EXPECT_EQ(name.size(), 16U);
  EXPECT_EQ(name.find_first_not_of("0123456789abcdef"), std::string::npos);
  EXPECT_NE(random_name(), name);
}

TEST(BootId, IsTheKernels) {
  const auto text = read_file("/proc/sys/kernel/random/boot_id");
  if (!text) GTEST_SKIP() << "/proc is not mounted";
  EXPECT_EQ(boot_id() + "\n", *text);
}

}  // namespace
}  // namespace strake::base
