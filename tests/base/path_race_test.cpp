#include <atomic>
#include <thread>

#include "tests/base/rooted_fixture.h"

namespace strake::base {
namespace {

class PathRace : public RootedTest {
 protected:
  void SetUp() override {
    RootedTest::SetUp();
    std::filesystem::create_directories(host("root/swapped"));
    write("root/swapped/secret", "harmless");
    link("root/evil", host("outside").native());
  }

  /// Runs `lookup` 20,000 times while another thread keeps running `disturb`.
  template <typename Disturb, typename Lookup>
  void race(const Disturb& disturb, const Lookup& lookup) {
    std::atomic<bool> stop{false};
    std::jthread racer([&] {
      while (!stop) disturb();
    });
    for (int i = 0; i < 20000; ++i) lookup();
    stop = true;
  }
};

void exchange(const std::filesystem::path& a, const std::filesystem::path& b) {
  ASSERT_EQ(::renameat2(AT_FDCWD, a.c_str(), AT_FDCWD, b.c_str(), RENAME_EXCHANGE), 0);
}

TEST_P(PathRace, ADirectorySwappedWithASymlinkNeverLeadsOutside) {
  const RootedDirectory directory = root();
  int reached = 0;
  race([&] { exchange(host("root/swapped"), host("root/evil")); },
       [&] {
         const int fd = open_in_root(directory.fd(), "swapped/secret", O_RDONLY | O_NONBLOCK);
         if (fd < 0) {
           ASSERT_TRUE(fd == -ENOENT || fd == -EAGAIN || fd == -ELOOP || fd == -ENOTDIR) << -fd;
           return;
         }
         const FileDescriptor file(fd);
         char text[16] = {};
         ASSERT_GT(::read(fd, text, sizeof text - 1), 0);
         ASSERT_STREQ(text, "harmless");
         ++reached;
       });
  EXPECT_GT(reached, 0);
}

TEST_P(PathRace, AFileSwappedWithASymlinkNeverLeadsOutside) {
  write("root/file", "harmless");
  link("root/link", host("outside/secret").native());
  const RootedDirectory directory = root();
  int reached = 0;
  race([&] { exchange(host("root/file"), host("root/link")); },
       [&] {
         const int fd = open_in_root(directory.fd(), "file", O_RDONLY | O_NONBLOCK);
         if (fd < 0) return;
         const FileDescriptor file(fd);
         char text[16] = {};
         ASSERT_GT(::read(fd, text, sizeof text - 1), 0);
         ASSERT_STREQ(text, "harmless");
         ++reached;
       });
  EXPECT_GT(reached, 0);
}

TEST_P(PathRace, ADirectoryMovedOutOfTheRootDoesNotTakeDotDotWithIt) {
  std::filesystem::create_directories(host("root/deep/er/most"));
  write("root/deep/secret", "harmless");
  const RootedDirectory directory = root();
  int reached = 0;
  // While "er" is in outside/, the ".." of "most/.." leads to outside/er and the next to outside.
  race(
      [&] {
        std::filesystem::rename(host("root/deep/er"), host("outside/er"));
        std::filesystem::rename(host("outside/er"), host("root/deep/er"));
      },
      [&] {
        const int fd =
            open_in_root(directory.fd(), "deep/er/most/../../secret", O_RDONLY | O_NONBLOCK);
        if (fd < 0) return;
        const FileDescriptor file(fd);
        char text[16] = {};
        ASSERT_GT(::read(fd, text, sizeof text - 1), 0);
        ASSERT_STREQ(text, "harmless");
        ++reached;
      });
  EXPECT_GT(reached, 0);
}

TEST_P(PathRace, RemovingATreeThatIsSwappedLeavesTheOutsideAlone) {
  std::filesystem::create_directories(host("root/parent"));
  const RootedDirectory directory = root();
  std::atomic<bool> stop{false};
  std::jthread racer([&] {
    while (!stop) {
      ::renameat2(AT_FDCWD, host("root/parent/tree").c_str(), AT_FDCWD, host("root/evil").c_str(),
                  RENAME_EXCHANGE);
    }
  });
  for (int i = 0; i < 300; ++i) {
    try {
      directory.make_directories("parent/tree/sub", 0755);
      directory.create_file("parent/tree/sub/file", 0644);
    } catch (const std::exception&) {
      // The symlink was there, and leads to nothing in this root.
    }
    try {
      directory.remove_tree("parent/tree");
    } catch (const std::exception&) {
      // Moved while it was being removed.
    }
    ASSERT_TRUE(std::filesystem::exists(host("outside/secret")));
  }
  stop = true;
}

STRAKE_FOR_BOTH_RESOLVERS(PathRace);

}  // namespace
}  // namespace strake::base
