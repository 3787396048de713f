#include "cache/file_digester.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <fstream>
#include <thread>

#include "layers/base/error.h"
#include "layers/base/fd.h"
#include "layers/base/files.h"

namespace strake::cache {
namespace {

namespace fs = std::filesystem;

class FileDigesterTest : public ::testing::Test {
 protected:
  base::TempDirectory directory_{fs::temp_directory_path(), "strake-digester-"};
  base::FileDescriptor fd_{::open(directory_.path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
  StatMemo memo_;
  FileDigester digester_{memo_};

  void write(const std::string& name, std::string_view content) {
    std::ofstream(directory_.path() / name, std::ios::binary) << content;
  }
  struct ::stat status_of(const std::string& name) {
    struct ::stat status;
    EXPECT_EQ(::fstatat(fd_.get(), name.c_str(), &status, AT_SYMLINK_NOFOLLOW), 0);
    return status;
  }
  base::Digest digest(const std::string& name) {
    struct ::stat status = status_of(name);
    return digester_.digest_at(fd_.get(), name, status, name);
  }
};

TEST_F(FileDigesterTest, GivesTheDigestOfTheBytes) {
  for (const std::size_t size :
       {std::size_t{0}, std::size_t{1}, std::size_t{128 * 1024 - 1}, std::size_t{128 * 1024},
        std::size_t{128 * 1024 + 1}, std::size_t{1'000'000}}) {
    const std::string content(size, 'x');
    write("file", content);
    EXPECT_EQ(digest("file"), base::Digest::of(content)) << size;
  }
}

TEST_F(FileDigesterTest, LargeFilesAreDigestedByPieces) {
  const std::string piece(kDigestPieceBytes, 'x');
  write("file", piece);
  EXPECT_EQ(digest("file"), base::Digest::of(piece));
  write("file", piece + piece + "y");
  const std::vector<base::Digest> pieces = {base::Digest::of(piece), base::Digest::of(piece),
                                            base::Digest::of("y")};
  EXPECT_EQ(digest("file"), content_digest(pieces));
  EXPECT_NE(digest("file"), base::Digest::of(piece + piece + "y"));
}

TEST_F(FileDigesterTest, DoesNotOpenAFileThatTheMemoKnows) {
  struct ::stat status = {};
  status.st_mode = S_IFREG | 0644;
  status.st_ino = 7;
  memo_.remember(stamp_of(status), base::Digest::of("known"), std::chrono::system_clock::now());
  EXPECT_EQ(digester_.digest_at(fd_.get(), "not there", status, "not there"),
            base::Digest::of("known"));
}

TEST_F(FileDigesterTest, RemembersOldFilesButNotFreshOnes) {
  write("fresh", "1");
  digest("fresh");
  EXPECT_EQ(memo_.size(), 0U);
  // The shell of this machine was not written just now.
  const base::FileDescriptor old(::open("/bin/sh", O_RDONLY | O_CLOEXEC));
  struct ::stat status;
  ASSERT_EQ(::fstat(old.get(), &status), 0);
  const auto age = std::chrono::system_clock::now() -
                   std::chrono::system_clock::from_time_t(status.st_ctim.tv_sec);
  if (age < std::chrono::seconds(5)) GTEST_SKIP() << "this machine was installed just now";
  digester_.digest(old.get(), status, "sh");
  EXPECT_EQ(memo_.size(), 1U);
}

TEST_F(FileDigesterTest, BringsAnOutdatedStatusUpToDate) {
  write("file", "old");
  struct ::stat status = status_of("file");
  write("file", "newer");
  ::chmod((directory_.path() / "file").c_str(), 0751);
  EXPECT_EQ(digester_.digest_at(fd_.get(), "file", status, "file"), base::Digest::of("newer"));
  EXPECT_EQ(status.st_size, 5);
  EXPECT_EQ(status.st_mode & 07777, 0751U);
}

TEST_F(FileDigesterTest, RefusesWhatIsNoFileAnyMore) {
  write("file", "x");
  struct ::stat status = status_of("file");
  fs::remove(directory_.path() / "file");
  EXPECT_THROW(digester_.digest_at(fd_.get(), "file", status, "file"), base::Error);
  fs::create_symlink("/etc/passwd", directory_.path() / "file");
  EXPECT_THROW(digester_.digest_at(fd_.get(), "file", status, "file"), base::Error);
  fs::remove(directory_.path() / "file");
  ASSERT_EQ(::mkfifo((directory_.path() / "file").c_str(), 0600), 0);
  EXPECT_THROW(digester_.digest_at(fd_.get(), "file", status, "file"), base::Error);  // at once
}

TEST_F(FileDigesterTest, NoticesAFileThatKeepsChanging) {
  write("log", std::string(32 << 20, 'x'));
  std::atomic<bool> stop = false;
  std::jthread writer([&] {
    const base::FileDescriptor log(
        ::open((directory_.path() / "log").c_str(), O_WRONLY | O_APPEND | O_CLOEXEC));
    while (!stop && ::write(log.get(), "y", 1) == 1) continue;
  });
  while (status_of("log").st_size == 32 << 20) std::this_thread::yield();
  try {
    digest("log");
    ADD_FAILURE() << "no error";
  } catch (const base::Error& error) {
    EXPECT_EQ(std::string(error.what()), "cannot read \"log\": it changes while it is read");
  }
  stop = true;
}

}  // namespace
}  // namespace strake::cache
