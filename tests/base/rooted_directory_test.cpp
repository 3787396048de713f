#include "layers/base/rooted_directory.h"

#include <sys/resource.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include "tests/base/expect_error.h"
#include "tests/base/rooted_fixture.h"

namespace strake::base {
namespace {

class RootedDirectoryTest : public RootedTest {
 protected:
  void SetUp() override {
    RootedTest::SetUp();
    std::filesystem::create_directories(host("root/dir/sub"));
    write("root/dir/file", "text");
    link("root/to-dir", "/dir");
    link("root/to-file", "dir/file");
    link("root/to-outside", host("outside").native());
    link("root/climbing", "../../outside");
    root_ = std::make_unique<RootedDirectory>(root());
  }
  struct ::stat status(std::string_view path) const {
    struct ::stat status = {};
    EXPECT_EQ(::lstat(host(path).c_str(), &status), 0) << path;
    return status;
  }
  mode_t mode(std::string_view path) const { return status(path).st_mode & 07777; }
  const RootedDirectory& in() const { return *root_; }

 private:
  std::unique_ptr<RootedDirectory> root_;
};

TEST_P(RootedDirectoryTest, OpensAndLooksInside) {
  EXPECT_EQ(read_all(in().open("to-file", O_RDONLY).get(), 100, "x"), "text");
  EXPECT_TRUE(S_ISDIR(in().stat("to-dir")->st_mode));
  EXPECT_TRUE(S_ISLNK(in().lstat("to-dir")->st_mode));
  EXPECT_EQ(in().read_link("to-dir"), "/dir");
  EXPECT_EQ(in().list("to-dir"), (std::vector<std::string>{"file", "sub"}));
  EXPECT_EQ(in().subdirectory("to-dir").list(""), in().list("/dir"));
  EXPECT_EQ(in().stat("")->st_ino, status("root").st_ino);
}

TEST_P(RootedDirectoryTest, TellsAbsentFromFailing) {
  link("root/itself", "itself");
  for (const char* path :
       {"missing", "dir/missing/x", "dir/file/x", "to-outside/secret", "climbing", "itself"}) {
    EXPECT_FALSE(in().stat(path)) << path;
    EXPECT_FALSE(in().try_open(path, O_RDONLY)) << path;
    EXPECT_ANY_THROW(in().open(path, O_RDONLY)) << path;
  }
  EXPECT_TRUE(in().lstat("itself"));
  EXPECT_FALSE(in().try_open("itself/x", O_PATH | O_NOFOLLOW));
  // Something is there, though it cannot be opened like this.
  expect_error(ErrorCode::system, [&] { in().try_open("itself", O_RDONLY | O_NOFOLLOW); });
  expect_error(ErrorCode::system, [&] { in().stat(std::string("dir\0x", 5)); });
  expect_error(ErrorCode::system, [&] { in().stat(std::string(300, 'x')); });
}

TEST_P(RootedDirectoryTest, NamesRootAndPathInErrors) {
  const std::string name = host("root").native();
  EXPECT_EQ(expect_error(ErrorCode::not_found, [&] { in().open("a/b", O_RDONLY); }),
            "cannot open \"" + name + "/a/b\": no such file or directory");
  const RootedDirectory unnamed(in().duplicate().open("", O_PATH));
  EXPECT_EQ(expect_error(ErrorCode::not_found, [&] { unnamed.open("/a/b", O_RDONLY); }),
            "cannot open \"/a/b\": no such file or directory");
  const RootedDirectory sub = in().subdirectory("dir");
  EXPECT_EQ(expect_error(ErrorCode::not_found, [&] { sub.open("b", O_RDONLY); }),
            "cannot open \"" + name + "/dir/b\": no such file or directory");
}

TEST_P(RootedDirectoryTest, DoesNotWaitForAFifosWriter) {
  in().make_node("fifo", S_IFIFO | 0600, 0);
  in().open("fifo", O_RDONLY);
}

TEST_P(RootedDirectoryTest, ReadsLinksOnly) {
  expect_error(ErrorCode::system, [&] { in().read_link("dir/file"); });
  expect_error(ErrorCode::system, [&] { in().read_link("to-dir/"); });
  expect_error(ErrorCode::not_found, [&] { in().read_link("missing"); });
}

TEST_P(RootedDirectoryTest, CreatesFilesWithTheExactMode) {
  const mode_t before = ::umask(0777);
  const FileDescriptor file = in().create_file("to-dir/new", 04755);
  in().make_directory("dir/made/", 01777);
  in().make_directories("x/y", 0755);
  in().make_node("fifo", S_IFIFO | 0644, 0);
  ::umask(before);
  write_full(file.get(), bytes_of("abc"), "x");
  EXPECT_EQ(content("root/dir/new"), "abc");
  EXPECT_EQ(mode("root/dir/new"), 04755U);
  EXPECT_EQ(mode("root/dir/made"), 01777U);
  EXPECT_EQ(mode("root/x"), 0755U);
  EXPECT_EQ(mode("root/x/y"), 0755U);
  EXPECT_EQ(mode("root/fifo"), 0644U);
}

TEST_P(RootedDirectoryTest, NeverWritesThroughTheLastComponent) {
  link("root/trap", host("outside/secret").native());
  link("root/dangling", "/dir/created");
  for (const char* path : {"trap", "dangling", "to-dir", "dir/file"}) {
    expect_error(ErrorCode::system, [&] { in().create_file(path, 0644); });
    expect_error(ErrorCode::system, [&] { in().make_directory(path, 0755); });
    expect_error(ErrorCode::system, [&] { in().make_symlink("x", path); });
    expect_error(ErrorCode::system, [&] { in().make_node(path, S_IFIFO | 0600, 0); });
    expect_error(ErrorCode::system, [&] { in().make_link("dir/file", path); });
  }
  EXPECT_FALSE(std::filesystem::exists(host("root/dir/created")));
  EXPECT_EQ(content("outside/secret"), "canary");
}

// Case C08: an empty path, "." or "/" is nothing to remove.
TEST_P(RootedDirectoryTest, NeedsANameToMakeOrRemove) {
  for (const char* path : {"", "/", "//", ".", "..", "dir/..", "dir/.", "dir/./"}) {
    expect_error(ErrorCode::invalid_input, [&] { in().create_file(path, 0644); });
    expect_error(ErrorCode::invalid_input, [&] { in().open_parent(path); });
    expect_error(ErrorCode::invalid_input, [&] { in().rename(path, "x"); });
    expect_error(ErrorCode::system, [&] { in().remove_tree(path); });
    expect_error(ErrorCode::system, [&] { in().remove_file(path); });
  }
  EXPECT_TRUE(std::filesystem::exists(host("root/dir/file")));
  EXPECT_ANY_THROW(in().open("new", O_CREAT | O_WRONLY));
  EXPECT_ANY_THROW(in().try_open("new", O_CREAT | O_WRONLY));
}

TEST_P(RootedDirectoryTest, OpensParents) {
  const auto [parent, name] = in().open_parent("to-dir/sub/");
  EXPECT_EQ(name, "sub");
  struct ::stat found;
  ASSERT_EQ(::fstat(parent.get(), &found), 0);
  EXPECT_EQ(found.st_ino, status("root/dir").st_ino);
  EXPECT_EQ(in().open_parent("/x").second, "x");
  expect_error(ErrorCode::not_found, [&] { in().open_parent("to-outside/secret"); });
}

TEST_P(RootedDirectoryTest, MakesDirectoriesOneByOneAndTellsWhich) {
  using Paths = std::vector<std::string>;
  EXPECT_EQ(in().make_directories("to-dir/a/b", 0750), (Paths{"/dir/a", "/dir/a/b"}));
  EXPECT_EQ(mode("root/dir/a"), 0750U);
  EXPECT_EQ(in().make_directories("dir/a/b/", 0755), Paths{});
  EXPECT_EQ(in().make_directories("/", 0755), Paths{});
  EXPECT_EQ(in().make_directories("to-dir", 0755), Paths{});
  // A symlink out of the root leads to a directory in it that is made.
  EXPECT_EQ(in().make_directories("climbing/x", 0755), (Paths{"/outside", "/outside/x"}));
  EXPECT_FALSE(std::filesystem::exists(host("outside/x")));
  EXPECT_ANY_THROW(in().make_directories("dir/file", 0755));
  EXPECT_ANY_THROW(in().make_directories("to-file/x", 0755));
}

TEST_P(RootedDirectoryTest, GoesDeepWithFewDescriptors) {
  std::string path;
  for (int i = 0; i < 2000; ++i) path += "d/";
  struct ::rlimit before, few;
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  few = before;
  few.rlim_cur = 64;
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &few), 0);
  EXPECT_EQ(in().make_directories(path, 0755).size(), 2000U);
  EXPECT_EQ(in().canonical(path + "../../d").size(), 2 * 1999U);
  in().remove_tree("d");
  EXPECT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
  EXPECT_FALSE(in().lstat("d"));
}

TEST_P(RootedDirectoryTest, LinksAndRenamesEntriesNotWhatTheyLeadTo) {
  in().make_symlink("whatever/../text", "link");
  EXPECT_EQ(in().read_link("link"), "whatever/../text");
  in().make_link("to-outside", "hard");
  EXPECT_EQ(status("root/hard").st_ino, status("root/to-outside").st_ino);
  in().rename("to-outside", "to-dir/moved");
  EXPECT_TRUE(S_ISLNK(status("root/dir/moved").st_mode));
  in().make_link("dir/file", "dir/second");
  EXPECT_EQ(status("root/dir/file").st_nlink, 2U);
  expect_error(ErrorCode::not_found, [&] { in().rename("climbing/secret", "stolen"); });
}

TEST_P(RootedDirectoryTest, MakesWhiteoutDevices) {
  try {
    in().make_node("whiteout", S_IFCHR, ::makedev(0, 0));
  } catch (const Error& error) {
    GTEST_SKIP() << error.what();
  }
  EXPECT_TRUE(S_ISCHR(status("root/whiteout").st_mode));
  EXPECT_EQ(status("root/whiteout").st_rdev, 0U);
}

TEST_P(RootedDirectoryTest, RemovesFilesButNoDirectories) {
  in().remove_file("to-outside");
  EXPECT_FALSE(in().lstat("to-outside"));
  EXPECT_TRUE(std::filesystem::exists(host("outside/secret")));
  in().remove_file("missing");
  in().remove_file("missing/x");
  in().remove_file("dir/file/x");
  EXPECT_ANY_THROW(in().remove_file("dir"));
}

TEST_P(RootedDirectoryTest, ChangesModesButNotThroughSymlinks) {
  in().set_mode("dir/file", 04711);
  EXPECT_EQ(mode("root/dir/file"), 04711U);
  in().set_mode("dir", 01700);
  EXPECT_EQ(mode("root/dir"), 01700U);
  in().set_mode("", 0711);
  EXPECT_EQ(mode("root"), 0711U);
  link("root/trap", host("outside/secret").native());
  const mode_t before = mode("outside/secret");
  expect_error(ErrorCode::system, [&] { in().set_mode("trap", 0777); });
  EXPECT_EQ(mode("outside/secret"), before);
}

TEST_P(RootedDirectoryTest, ChangesOwnersOfLinksThemselves) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root to change owners";
  link("root/trap", host("outside/secret").native());
  in().set_owner("trap", 1234, 2345);
  in().set_owner("dir/file", 12, 23);
  in().set_owner("/", 1, 2);
  EXPECT_EQ(status("root/trap").st_uid, 1234U);
  EXPECT_EQ(status("root/trap").st_gid, 2345U);
  EXPECT_EQ(status("root/dir/file").st_gid, 23U);
  EXPECT_EQ(status("root").st_gid, 2U);
  EXPECT_EQ(status("outside/secret").st_uid, 0U);
}

TEST_P(RootedDirectoryTest, ChangesTimesOfLinksThemselves) {
  link("root/trap", host("outside/secret").native());
  const auto before = status("outside/secret").st_mtim.tv_sec;
  for (const time_t seconds : {time_t{0}, time_t{-1}, time_t{2147483648}, time_t{4294967296}}) {
    for (const char* path : {"trap", "dir/file", "dir"}) {
      in().set_mtime(path, {.tv_sec = seconds, .tv_nsec = 5});
      const auto time = status(std::string("root/") + path).st_mtim;
      EXPECT_EQ(time.tv_sec, seconds);
      EXPECT_EQ(time.tv_nsec, 5);
    }
  }
  EXPECT_EQ(status("outside/secret").st_mtim.tv_sec, before);
}

TEST_P(RootedDirectoryTest, ReadsAndWritesAttributes) {
  if (::setxattr(host("root").c_str(), "user.test", "x", 1, 0) != 0)
    GTEST_SKIP() << "the temporary file system has no user attributes";
  const std::string large(3000, 'v');
  const std::string binary("\0\xff", 2);
  in().set_xattr("to-dir/file", "user.b", large);
  in().set_xattr("dir/file", "user.a", binary);
  in().set_xattr("dir/file", "user.c", "");
  const std::vector<Xattr> expected = {{"user.a", binary}, {"user.b", large}, {"user.c", ""}};
  EXPECT_EQ(in().xattrs("dir/file"), expected);
  EXPECT_EQ(xattrs_of(in().open("dir/file", O_RDONLY).get(), "x"), expected);
  const FileDescriptor directory = in().open("dir", O_RDONLY | O_DIRECTORY);
  EXPECT_EQ(xattrs_at(directory.get(), "file", "x"), expected);
  in().create_file("dir/plain", 0644);
  EXPECT_EQ(xattrs_at(directory.get(), "plain", "x"), std::vector<Xattr>{});
  expect_error(ErrorCode::not_found, [&] { xattrs_at(directory.get(), "missing", "x"); });
  in().make_symlink("file", "dir/link");
  EXPECT_EQ(xattrs_at(directory.get(), "link", "x"), std::vector<Xattr>{});
  if (::lsetxattr(host("root/dir/link").c_str(), "trusted.test", "y", 1, 0) == 0) {
    EXPECT_EQ(xattrs_at(directory.get(), "link", "x"), (std::vector<Xattr>{{"trusted.test", "y"}}));
  }
  EXPECT_EQ(in().xattrs(""), (std::vector<Xattr>{{"user.test", "x"}}));
  EXPECT_EQ(in().xattrs("to-file"), std::vector<Xattr>{});  // the symlink's own
  EXPECT_ANY_THROW(in().set_xattr("to-file", "user.a", "x"));
  expect_error(ErrorCode::not_found, [&] { in().xattrs("missing"); });
}

TEST_P(RootedDirectoryTest, WritesAttributesOfLinksThemselves) {
  link("root/trap", host("outside/secret").native());
  try {
    in().set_xattr("trap", "trusted.test", "x");
  } catch (const Error& error) {
    GTEST_SKIP() << error.what();
  }
  EXPECT_EQ(in().xattrs("trap"), (std::vector<Xattr>{{"trusted.test", "x"}}));
  EXPECT_LT(::getxattr(host("outside/secret").c_str(), "trusted.test", nullptr, 0), 0);
}

TEST_P(RootedDirectoryTest, ListsNamesBytewiseAndTwice) {
  for (const char* name : {"b", "a", "B", ".hidden", "\xff", "a b", "\n"}) {
    in().create_file(std::string("dir/sub/") + name, 0600);
  }
  const std::vector<std::string> expected = {"\n", ".hidden", "B", "a", "a b", "b", "\xff"};
  EXPECT_EQ(in().list("dir/sub"), expected);
  const FileDescriptor directory = in().open("dir/sub", O_RDONLY | O_DIRECTORY);
  EXPECT_EQ(list_directory(directory.get(), "x"), expected);
  EXPECT_EQ(list_directory(directory.get(), "x"), expected);
  expect_error(ErrorCode::system, [&] { in().list("dir/file"); });
}

TEST_P(RootedDirectoryTest, ListsDirectoriesLargerThanOneReading) {
  in().make_directory("many", 0755);
  const RootedDirectory many = in().subdirectory("many");
  for (int i = 0; i < 1200; ++i)
    many.create_file("file-with-a-long-name-" + std::to_string(i), 0600);
  EXPECT_EQ(many.list("").size(), 1200U);
}

TEST_P(RootedDirectoryTest, WorksInDirectoriesItMayNotRead) {
  const RootedDirectory copy = in().duplicate();
  EXPECT_NE(copy.fd(), in().fd());
  EXPECT_EQ(copy.name(), in().name());
  EXPECT_NE(::fcntl(copy.fd(), F_GETFL) & O_PATH, 0);
  expect_error(ErrorCode::not_found, [&] { RootedDirectory::open_host(host("missing").native()); });
  expect_error(ErrorCode::system,
               [&] { RootedDirectory::open_host(host("outside/secret").native()); });
}

STRAKE_FOR_BOTH_RESOLVERS(RootedDirectoryTest);

}  // namespace
}  // namespace strake::base
