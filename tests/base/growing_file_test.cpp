#include "layers/base/growing_file.h"

#include <fcntl.h>
#include <gtest/gtest.h>

#include <string>
#include <thread>
#include <vector>

#include "layers/base/error.h"
#include "layers/base/files.h"
#include "tests/base/expect_error.h"

namespace strake::base {
namespace {

class GrowingFileTest : public ::testing::Test {
 protected:
  void append(std::string_view text) {
    write_full(writer.get(), bytes_of(text), "test file");
    size_bytes += text.size();
    file.grown_to(size_bytes);
  }

  std::string read(std::uint64_t offset) const {
    std::string text(100, '\0');
    text.resize(file.read_at(offset, std::as_writable_bytes(std::span(text))));
    return text;
  }

  const TempDirectory directory{"/tmp", "growing-file-"};
  const std::string path = directory.path() / "file";
  FileDescriptor writer{::open(path.c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0600)};
  GrowingFile file{FileDescriptor(::open(path.c_str(), O_RDONLY | O_CLOEXEC))};
  std::uint64_t size_bytes = 0;
};

TEST_F(GrowingFileTest, OnlyWhatTheWriterToldOfIsRead) {
  append("first");
  write_full(writer.get(), bytes_of("not told"), "test file");
  EXPECT_EQ(read(0), "first");
  EXPECT_EQ(read(2), "rst");
  EXPECT_EQ(read(5), "");
  EXPECT_EQ(read(50), "");
}

TEST_F(GrowingFileTest, WhoWaitsForALargeFileIsCalledOnceWhenItIs) {
  std::vector<std::string> calls;
  file.when_beyond(4, [&] { calls.push_back("5"); });
  file.when_beyond(9, [&] { calls.push_back("10"); });
  append("four");
  EXPECT_TRUE(calls.empty());
  append(".");
  EXPECT_EQ(calls, std::vector<std::string>{"5"});
  file.when_beyond(4, [&] { calls.push_back("already"); });
  file.finish(size_bytes, Digest::of("four."));
  file.when_beyond(9, [&] { calls.push_back("never"); });
  EXPECT_EQ(calls, (std::vector<std::string>{"5", "already"}));
}

TEST_F(GrowingFileTest, ReadersGetAllBytesWhileTheyAreWritten) {
  std::vector<std::string> seen(3);
  {
    std::vector<std::jthread> readers;
    for (std::string& text : seen)
      readers.emplace_back([&] {
        while (file.wait_beyond(text.size(), {}).size_bytes > text.size())
          text += read(text.size());
      });
    for (int i = 0; i < 100; ++i) append("line " + std::to_string(i) + "\n");
    file.finish(size_bytes, Digest::of("all"));
  }
  EXPECT_EQ(seen[0].size(), size_bytes);
  EXPECT_TRUE(seen[0].ends_with("line 98\nline 99\n"));
  EXPECT_EQ(seen[1], seen[0]);
  EXPECT_EQ(seen[2], seen[0]);
}

TEST_F(GrowingFileTest, ItsEndHasTheDigest) {
  append("all");
  file.finish(size_bytes, Digest::of("all"));
  const GrowingFile::Progress end = file.wait_beyond(3, {});
  EXPECT_EQ(end.state, GrowingFile::State::finished);
  EXPECT_EQ(end.size_bytes, 3u);
  EXPECT_EQ(end.digest, Digest::of("all"));
}

TEST_F(GrowingFileTest, AnAbandonedFileWakesItsReaders) {
  std::jthread reader(
      [&] { EXPECT_EQ(file.wait_beyond(0, {}).state, GrowingFile::State::abandoned); });
  file.abandon();
}

TEST_F(GrowingFileTest, HasOneEnd) {
  file.finish(0, Digest::of(""));
  file.abandon();
  EXPECT_EQ(file.progress().state, GrowingFile::State::finished);
}

TEST_F(GrowingFileTest, WaitingForMoreCanBeStopped) {
  std::stop_source stop;
  std::jthread reader(
      [&] { expect_error(ErrorCode::cancelled, [&] { file.wait_beyond(0, stop.get_token()); }); });
  stop.request_stop();
}

}  // namespace
}  // namespace strake::base
