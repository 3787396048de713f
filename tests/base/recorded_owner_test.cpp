#include "layers/base/recorded_owner.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <filesystem>

#include "layers/base/files.h"
#include "layers/base/rooted_directory.h"

namespace strake::base {
namespace {

namespace fs = std::filesystem;

TEST(RecordedOwner, IsWrittenAndReadAsText) {
  const RecordedOwner owner{.uid = 1000, .gid = 50};
  EXPECT_EQ(to_string(owner), "1000:50");
  const RecordedOwner device{
      .uid = 0, .gid = 6, .mode = S_IFBLK | 0660, .device_major = 8, .device_minor = 1};
  EXPECT_EQ(to_string(device), "0:6:60660:8:1");
  for (const RecordedOwner& written : {owner, device}) {
    RecordedOwner read;
    EXPECT_TRUE(parse_recorded_owner(to_string(written), read));
    EXPECT_EQ(read, written);
  }
}

TEST(RecordedOwner, OtherTextIsRefused) {
  RecordedOwner owner;
  for (const char* text : {"", "1", "1:", ":1", "1:2:", "1:2:3", "1:2:20666:1",
                           "1:2:20666:1:3:", "1:2:20666:1:3:4", "-1:2", "1:4294967296", "1:2 "})
    EXPECT_FALSE(parse_recorded_owner(text, owner)) << text;
  EXPECT_EQ(owner, RecordedOwner());
}

TEST(RecordedOwner, OfADeviceWithoutOneIsThatOfTheFile) {
  struct ::stat status {};
  status.st_uid = 1000;
  status.st_mode = S_IFREG | 0640;
  apply_recorded_owner({.mode = S_IFCHR | 0666, .device_major = 1, .device_minor = 3}, status);
  EXPECT_EQ(status.st_uid, 1000U);
  EXPECT_EQ(status.st_mode, static_cast<mode_t>(S_IFCHR | 0640));
  EXPECT_EQ(status.st_rdev, makedev(1, 3));
}

class RecordedOnFiles : public testing::Test {
 protected:
  void SetUp() override {
    const FileDescriptor file(::open(path("file").c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0644));
    ASSERT_EQ(::mkdir(path("directory").c_str(), 0755), 0);
    if (::setxattr(path("file").c_str(), kOwnerXattr, "x", 1, 0) != 0)
      GTEST_SKIP() << "the file system has no user.* attributes";
    ASSERT_EQ(::removexattr(path("file").c_str(), kOwnerXattr), 0);
    ASSERT_EQ(::symlink("file", path("link").c_str()), 0);
    ASSERT_EQ(::mkfifo(path("fifo").c_str(), 0644), 0);
  }
  fs::path path(const char* name) const { return directory_.path() / name; }
  FileDescriptor open(const char* name) const {
    return FileDescriptor(::open(path(name).c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
  }

  TempDirectory directory_{fs::temp_directory_path(), "strake-owner-"};
};

TEST_F(RecordedOnFiles, EveryKindOfFileCanHaveOne) {
  if (::geteuid() != 0) GTEST_SKIP() << "symlinks and FIFOs need CAP_SETFCAP";
  for (const char* name : {"file", "directory", "link", "fifo"}) {
    const FileDescriptor file = open(name);
    struct ::stat status;
    ASSERT_EQ(::fstat(file.get(), &status), 0);
    const DescriptorPath file_name(file.get());
    EXPECT_EQ(read_recorded_owner(file_name.c_str(), status.st_mode), std::nullopt);
    const RecordedOwner owner{.uid = 4294967294, .gid = 50};
    EXPECT_EQ(record_owner(file_name.c_str(), status.st_mode, owner), 0) << name;
    EXPECT_EQ(read_recorded_owner(file_name.c_str(), status.st_mode), owner) << name;
    EXPECT_EQ(record_owner(file_name.c_str(), status.st_mode, {}), 0) << name;
    EXPECT_EQ(record_owner(file_name.c_str(), status.st_mode, {}), 0) << name;
    EXPECT_EQ(read_recorded_owner(file_name.c_str(), status.st_mode), std::nullopt) << name;
  }
}

TEST_F(RecordedOnFiles, FileCapabilitiesAreNoRecord) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs CAP_SETFCAP";
  const unsigned char net_raw[20] = {0, 0, 0, 2, 0, 0x20};
  ASSERT_EQ(::lsetxattr(path("link").c_str(), "security.capability", net_raw, sizeof net_raw, 0),
            0);
  EXPECT_EQ(read_recorded_owner(DescriptorPath(open("link").get()).c_str(), S_IFLNK), std::nullopt);
}

TEST_F(RecordedOnFiles, RootedDirectoriesShowThem) {
  const RootedDirectory real = RootedDirectory::open_host(directory_.path().native());
  const RootedDirectory recorded(
      FileDescriptor(::open(directory_.path().c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC)), "",
      Owners::recorded);
  ASSERT_EQ(record_owner(path("file").c_str(), S_IFREG, {.uid = 7, .gid = 8}), 0);
  EXPECT_EQ(recorded.lstat("file")->st_uid, 7U);
  EXPECT_EQ(recorded.stat("link")->st_gid, 8U);
  EXPECT_EQ(real.lstat("file")->st_uid, ::geteuid());
  EXPECT_TRUE(recorded.xattrs("file").empty());
  EXPECT_EQ(real.xattrs("file").size(), 1U);
  // What can be had is had, and no record left.
  recorded.set_owner("file", ::geteuid(), ::getegid());
  EXPECT_EQ(real.lstat("file")->st_uid, ::geteuid());
  EXPECT_TRUE(real.xattrs("file").empty());
}

}  // namespace
}  // namespace strake::base
