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
  StatMemo memo_;
  FileDigester digester_{memo_};

  void write(const std::string& name, std::string_view content) {
    std::ofstream(directory_.path() / name, std::ios::binary) << content;
  }
  base::FileDescriptor open(const std::string& name) {
    return base::FileDescriptor(
        ::open((directory_.path() / name).c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  }
  static FileStamp stamp_of_open(const base::FileDescriptor& file) {
    struct ::stat status;
    EXPECT_EQ(::fstat(file.get(), &status), 0);
    return stamp_of(status);
  }
  base::Digest digest(const std::string& name) {
    const base::FileDescriptor file = open(name);
    return digester_.digest(file.get(), stamp_of_open(file), name);
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

TEST_F(FileDigesterTest, DoesNotReadAFileThatTheMemoKnows) {
  write("file", "content");
  const base::FileDescriptor file = open("file");
  memo_.remember(stamp_of_open(file), base::Digest::of("known"),
                 std::chrono::system_clock::now() + std::chrono::hours(1));
  EXPECT_EQ(digest("file"), base::Digest::of("known"));
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
  digester_.digest(old.get(), stamp_of(status), "sh");
  EXPECT_EQ(memo_.size(), 1U);
}

TEST_F(FileDigesterTest, ReadsTheFileAsItIsNow) {
  write("file", "old");
  const FileStamp selected = stamp_of_open(open("file"));
  write("file", "newer");
  EXPECT_EQ(digester_.digest(open("file").get(), selected, "file"), base::Digest::of("newer"));
}

TEST_F(FileDigesterTest, RefusesWhatIsNoFileAnyMore) {
  write("file", "x");
  const FileStamp selected = stamp_of_open(open("file"));
  fs::remove(directory_.path() / "file");
  ASSERT_EQ(::mkfifo((directory_.path() / "file").c_str(), 0600), 0);
  EXPECT_THROW(digester_.digest(open("file").get(), selected, "file"), base::Error);
}

TEST_F(FileDigesterTest, NoticesAFileThatKeepsChanging) {
  write("log", std::string(32 << 20, 'x'));
  std::atomic<bool> stop = false;
  std::jthread writer([&] {
    const base::FileDescriptor log(
        ::open((directory_.path() / "log").c_str(), O_WRONLY | O_APPEND | O_CLOEXEC));
    while (!stop && ::write(log.get(), "y", 1) == 1) continue;
  });
  while (fs::file_size(directory_.path() / "log") == 32 << 20) std::this_thread::yield();
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
