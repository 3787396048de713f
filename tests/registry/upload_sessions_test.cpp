#include "registry/upload_sessions.h"

#include <sys/stat.h>
#include <utime.h>

#include <ctime>
#include <fstream>

#include "tests/registry/expect_error.h"

namespace strake::registry {
namespace {

namespace fs = std::filesystem;

class UploadSessionsTest : public ::testing::Test {
 protected:
  UploadSessions::Record open() const { return *UploadSessions(directory()).open(to_, blob_); }
  fs::path directory() const { return parent_.path() / "uploads"; }
  fs::path record() const {
    for (const auto& entry : fs::directory_iterator(directory()))
      if (entry.path().extension() != ".lock") return entry.path();
    return "";
  }
  std::size_t file_count() const {
    const fs::directory_iterator files(directory());
    return static_cast<std::size_t>(std::distance(begin(files), end(files)));
  }
  static mode_t mode_of(const fs::path& path) {
    struct ::stat status {};
    ::stat(path.c_str(), &status);
    return status.st_mode & 0777;
  }

  const base::TempDirectory parent_{fs::temp_directory_path(), "strake-sessions-"};
  const oci::Repository to_{"reg.example.com", "team/app"};
  const base::Digest blob_ = base::Digest::of("blob");
};

TEST_F(UploadSessionsTest, RecordOutlivesItsProcessUntilTheBlobIsThere) {
  EXPECT_FALSE(open().found());
  open().write({"https://reg.example.com/up/1?secret=x", 42});
  {
    UploadSessions::Record again = open();
    ASSERT_TRUE(again.found());
    EXPECT_EQ(again.found()->location, "https://reg.example.com/up/1?secret=x");
    EXPECT_EQ(again.found()->offset_bytes, 42u);
    again.remove();
  }
  EXPECT_FALSE(open().found());
  EXPECT_EQ(file_count(), 0u);
}

TEST_F(UploadSessionsTest, NobodyElseCanReadIt) {
  open().write({"https://reg.example.com/up/1", 0});
  EXPECT_EQ(mode_of(directory()), 0700u);
  EXPECT_EQ(mode_of(record()), 0600u);
}

TEST_F(UploadSessionsTest, RecordsAreOfOneBlobInOneRepository) {
  open().write({"https://reg.example.com/up/1", 1});
  const UploadSessions sessions(directory());
  EXPECT_FALSE(sessions.open(to_, base::Digest::of("other"))->found());
  EXPECT_FALSE(sessions.open({"reg.example.com", "team/other"}, blob_)->found());
  EXPECT_FALSE(sessions.open({"reg.example.org", "team/app"}, blob_)->found());
}

TEST_F(UploadSessionsTest, SecondUploadOfTheSameBlobHasToWait) {
  UploadSessions::Record first = open();
  first.write({"https://reg.example.com/up/1", 1});
  EXPECT_FALSE(UploadSessions(directory()).open(to_, blob_));
  first = UploadSessions::Record();
  ASSERT_TRUE(open().found());
  EXPECT_EQ(open().found()->offset_bytes, 1u);
}

TEST_F(UploadSessionsTest, DamagedAndOldRecordsAreIgnored) {
  open().write({"https://reg.example.com/up/1", 1});
  const std::string good = *base::read_file(record());
  for (const std::string& bad : {std::string(), std::string("{}"), good.substr(0, 20), "[" + good,
                                 std::string(100'000, ' ')}) {
    std::ofstream(record(), std::ios::trunc) << bad;
    EXPECT_FALSE(open().found()) << bad.substr(0, 40);
  }
  std::string old = good;
  const std::string now = std::to_string(std::time(nullptr) / 1000);  // but for the last digits
  old.replace(old.find(now), now.size(), std::to_string(std::time(nullptr) / 1000 - 87));
  std::ofstream(record(), std::ios::trunc) << old;
  EXPECT_FALSE(open().found());
}

TEST_F(UploadSessionsTest, OldRecordsOfOthersAreRemoved) {
  open().write({"https://reg.example.com/up/1", 1});
  const ::utimbuf yesterday{std::time(nullptr) - 90'000, std::time(nullptr) - 90'000};
  ASSERT_EQ(::utime(record().c_str(), &yesterday), 0);
  (void)UploadSessions(directory()).open(to_, base::Digest::of("other"));
  EXPECT_EQ(record(), "");
}

TEST_F(UploadSessionsTest, WithoutADirectoryNothingIsKept) {
  UploadSessions::Record record = *UploadSessions("").open(to_, blob_);
  record.write({"https://reg.example.com/up/1", 1});
  EXPECT_FALSE(UploadSessions("").open(to_, blob_)->found());
  std::ofstream(parent_.path() / "file") << "x";
  EXPECT_FALSE(UploadSessions(parent_.path() / "file" / "x").open(to_, blob_)->found());
}

}  // namespace
}  // namespace strake::registry
