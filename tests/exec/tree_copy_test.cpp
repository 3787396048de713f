#include "builder/exec/tree_copy.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "layers/archive/tar_writer.h"
#include "layers/base/error.h"
#include "layers/base/stream.h"
#include "tests/snapshot/store_fixture.h"
#include "tests/support/tar_builder.h"

namespace strake::builder {
namespace {

namespace fs = std::filesystem;

class TreeCopy : public test::TreeTest {
 protected:
  void SetUp() override {
    TreeTest::SetUp();
    if (IsSkipped()) return;
    ::signal(SIGPIPE, SIG_IGN);  // as in the program
    store_.emplace(layers::Store::open(top() / "store"));
    to_ = make("to");
  }
  void unpack(const std::string& tar) {
    unpack_stream([&](base::ByteSink& sink) { sink.write(base::bytes_of(tar)); },
                  test::open_directory(to_).get(), *store_);
  }
  std::string failure_of(const std::function<void()>& act) {
    try {
      act();
    } catch (const base::Error& error) {
      return error.what();
    }
    return "no error";
  }

  std::optional<layers::Store> store_;
  fs::path to_;
};

TEST_F(TreeCopy, KeepsWhatATreeIs) {
  const fs::path from = make("from");
  fs::create_directories(from / "d/e");
  test::write_file(from / "d/file", "text");
  fs::create_hard_link(from / "d/file", from / "d/link");
  fs::create_symlink("/nowhere", from / "symlink");
  ASSERT_EQ(::chown((from / "d/file").c_str(), 1000, 1001), 0);
  ASSERT_EQ(::chmod((from / "d/file").c_str(), 04711), 0);
  ASSERT_EQ(::mkfifo((from / "fifo").c_str(), 0600), 0);
  ASSERT_EQ(::setxattr((from / "d/file").c_str(), "user.note", "n", 1, 0), 0);
  ASSERT_EQ(::chown(from.c_str(), 7, 8), 0);
  ASSERT_EQ(::chmod(from.c_str(), 01770), 0);
  copy_tree(test::open_directory(from).get(), test::open_directory(to_).get(), *store_);
  EXPECT_EQ(test::listing(to_), test::listing(from));
  EXPECT_EQ(test::stat_of(to_).st_mode, S_IFDIR | 01770U);
  EXPECT_EQ(test::stat_of(to_).st_uid, 7U);
  EXPECT_EQ(test::stat_of(to_).st_gid, 8U);
  EXPECT_EQ(test::stat_of(to_ / "d/file").st_ino, test::stat_of(to_ / "d/link").st_ino);
}

TEST_F(TreeCopy, LeavesSocketsOut) {
  const fs::path from = make("from");
  const base::FileDescriptor socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  (from / "socket").native().copy(address.sun_path, sizeof address.sun_path - 1);
  ASSERT_EQ(::bind(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  copy_tree(test::open_directory(from).get(), test::open_directory(to_).get(), *store_);
  EXPECT_TRUE(fs::is_empty(to_));
}

TEST_F(TreeCopy, LinksOfTheSourceLeadNowhere) {
  const fs::path from = make("from");
  fs::create_symlink(canary(), from / "out");
  copy_tree(test::open_directory(from).get(), test::open_directory(to_).get(), *store_);
  EXPECT_EQ(fs::read_symlink(to_ / "out"), canary());
}

TEST_F(TreeCopy, AFailureOfThePackerIsTheOneThatIsTold) {
  const std::string failure = failure_of([&] {
    unpack_stream(
        [](base::ByteSink& sink) {
          sink.write(base::bytes_of(std::string(100, 'x')));
          throw base::Error(base::ErrorCode::system, "the source is gone");
        },
        test::open_directory(to_).get(), *store_);
  });
  EXPECT_NE(failure.find("the source is gone"), std::string::npos) << failure;
}

// However much the packer still has to say, it is not waited for.
TEST_F(TreeCopy, AFailureOfTheUnpackerEndsThePacker) {
  const std::string bad = test::TarBuilder().file("../x").str();
  EXPECT_NE(failure_of([&] { unpack(bad + std::string(8 << 20, 'x')); }), "no error");
}

TEST_F(TreeCopy, WhatFollowsTheEndOfTheTarIsReadAway) {
  unpack(test::TarBuilder().file("f", "x").str() + std::string(1 << 20, '\0'));
  EXPECT_EQ(test::read_file(to_ / "f"), "x");
}

}  // namespace
}  // namespace strake::builder
