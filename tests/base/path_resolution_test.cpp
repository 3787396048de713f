#include <linux/filter.h>
#include <linux/openat2.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <array>
#include <cstddef>
#include <cstdlib>
#include <random>
#include <tuple>

#include "tests/base/rooted_fixture.h"

namespace strake::base {
namespace {

struct Row {
  const char* path;
  int flags;
  const char* leads_to;  // below the root, or nullptr
  int error = 0;
};

class PathResolution : public RootedTest {
 protected:
  void SetUp() override {
    RootedTest::SetUp();
    std::filesystem::create_directories(host("root/dir/sub"));
    std::filesystem::create_directories(host("root/etc"));
    write("root/etc/passwd", "inside");
    write("root/dir/file", "file");
    link("root/relative", "etc/passwd");
    link("root/absolute", "/etc/passwd");
    link("root/dir/sub/climbing", "../../../../../../etc/passwd");
    link("root/escaping", "../outside/secret");
    link("root/escaping-absolutely", host("outside/secret").native());
    link("root/to-dir", "dir");
    link("root/to-dir-slash", "dir/");
    link("root/to-to-dir", "/to-dir");
    link("root/to-file-slash", "dir/file/");
    link("root/to-root", "/");
    link("root/to-parent", "..");
    link("root/dir/to-here", ".");
    link("root/dangling", "nowhere");
    link("root/itself", "itself");
    link("root/loop-a", "loop-b");
    link("root/loop-b", "/dir/../loop-a");
    ::mkfifo(host("root/fifo").c_str(), 0600);
    link("root/chain40", "etc/passwd");  // the first of 40 links
    for (int i = 39; i >= 1; --i) {
      link("root/chain" + std::to_string(i), "chain" + std::to_string(i + 1));
    }
    link("root/chain0", "chain1");
  }

  /// What `open_in_root` finds: an error, or device and inode.
  using Found = std::tuple<int, dev_t, ino_t>;
  static Found find(const RootedDirectory& root, const std::string& path, int flags) {
    const int fd = open_in_root(root.fd(), path, flags);
    if (fd < 0) return {-fd, 0, 0};
    const FileDescriptor file(fd);
    struct ::stat status;
    EXPECT_EQ(::fstat(fd, &status), 0);
    EXPECT_NE(::fcntl(fd, F_GETFD) & FD_CLOEXEC, 0);
    return {0, status.st_dev, status.st_ino};
  }
};

constexpr int kRead = O_RDONLY | O_NONBLOCK;
constexpr int kPathNoFollow = O_PATH | O_NOFOLLOW;

const Row kRows[] = {
    {"", O_PATH, "."},
    {".", O_PATH, "."},
    {"/", O_PATH, "."},
    {"..", O_PATH, "."},
    {"/../../..", O_PATH, "."},
    {"dir/../../../..", O_PATH, "."},
    {"etc/passwd", kRead, "etc/passwd"},
    {"/etc/passwd", kRead, "etc/passwd"},
    {"//etc///passwd", kRead, "etc/passwd"},
    {"./etc/./passwd", kRead, "etc/passwd"},
    {"dir/sub/../../etc/passwd", kRead, "etc/passwd"},
    {"../../etc/passwd", kRead, "etc/passwd"},
    {"relative", kRead, "etc/passwd"},
    {"absolute", kRead, "etc/passwd"},
    {"dir/sub/climbing", kRead, "etc/passwd"},
    {"escaping", kRead, nullptr, ENOENT},
    {"escaping-absolutely", kRead, nullptr, ENOENT},
    {"../outside/secret", kRead, nullptr, ENOENT},
    {"to-root/etc/passwd", kRead, "etc/passwd"},
    {"to-parent", O_PATH, "."},
    {"to-parent/outside/secret", kRead, nullptr, ENOENT},
    {"to-dir/file", kRead, "dir/file"},
    {"to-to-dir/sub", kRead, "dir/sub"},
    {"to-to-dir/../etc/passwd", kRead, "etc/passwd"},
    {"dir/to-here/to-here/file", kRead, "dir/file"},
    {"dangling", kRead, nullptr, ENOENT},
    {"dangling/x", kRead, nullptr, ENOENT},
    {"dangling", kPathNoFollow, "dangling"},
    {"dangling", O_NOFOLLOW | kRead, nullptr, ELOOP},
    {"dangling", O_NOFOLLOW | O_DIRECTORY | kRead, nullptr, ENOTDIR},
    {"itself", kRead, nullptr, ELOOP},
    {"itself", kPathNoFollow, "itself"},
    {"itself/x", kRead, nullptr, ELOOP},
    {"loop-a", kRead, nullptr, ELOOP},
    {"chain1", kRead, "etc/passwd"},
    {"chain0", kRead, nullptr, ELOOP},
    {"dir/", kRead, "dir"},
    {"dir/.", kRead, "dir"},
    {"dir/file/", kRead, nullptr, ENOTDIR},
    {"dir/file/.", kRead, nullptr, ENOTDIR},
    {"dir/file/..", kRead, nullptr, ENOTDIR},
    {"dir/file/x", kRead, nullptr, ENOTDIR},
    {"missing/..", kRead, nullptr, ENOENT},
    {"to-dir/", kPathNoFollow, "dir"},
    {"to-dir//", O_NOFOLLOW | kRead, "dir"},
    {"to-dir/.", kPathNoFollow, "dir"},
    {"to-dir", kPathNoFollow, "to-dir"},
    {"to-dir", O_PATH | O_DIRECTORY, "dir"},
    {"to-dir", kPathNoFollow | O_DIRECTORY, nullptr, ENOTDIR},
    {"to-dir-slash", kRead, "dir"},
    {"to-dir-slash/file", kRead, "dir/file"},
    {"to-file-slash", kRead, nullptr, ENOTDIR},
    {"relative/", kRead, nullptr, ENOTDIR},
    {"relative", O_PATH | O_DIRECTORY, nullptr, ENOTDIR},
    {"fifo", kRead, "fifo"},
    {"fifo/", kRead, nullptr, ENOTDIR},
    {"fifo/x", O_PATH, nullptr, ENOTDIR},
};

TEST_P(PathResolution, FollowsTheTableOfSymlinks) {
  const RootedDirectory directory = root();
  for (const Row& row : kRows) {
    Found expected{row.error, 0, 0};
    if (row.leads_to != nullptr) {
      struct ::stat status;
      ASSERT_EQ(::lstat((host("root") / row.leads_to).c_str(), &status), 0) << row.leads_to;
      expected = {0, status.st_dev, status.st_ino};
    }
    EXPECT_EQ(find(directory, row.path, row.flags), expected)
        << "path " << row.path << " flags " << row.flags;
  }
}

TEST_P(PathResolution, RefusesNulBytesAndPathsThatAreTooLong) {
  const RootedDirectory directory = root();
  EXPECT_EQ(open_in_root(directory.fd(), std::string("dir\0/../x", 9), O_PATH), -EINVAL);
  EXPECT_EQ(open_in_root(directory.fd(), std::string(256, 'a'), O_PATH), -ENAMETOOLONG);
  std::string path;
  while (path.size() < 4094) path += "./";
  EXPECT_GE(FileDescriptor(open_in_root(directory.fd(), path + ".", O_PATH)).get(), 0);
  EXPECT_EQ(open_in_root(directory.fd(), path + "./", O_PATH), -ENAMETOOLONG);
}

TEST_P(PathResolution, CreatesThroughDanglingSymlinksInsideTheRoot) {
  link("root/new-link", "/etc/new");
  link("root/new-outside", "../outside/new");
  const RootedDirectory directory = root();
  EXPECT_GE(
      FileDescriptor(open_in_root(directory.fd(), "new-link", O_CREAT | O_WRONLY, 0600)).get(), 0);
  EXPECT_TRUE(std::filesystem::exists(host("root/etc/new")));
  EXPECT_EQ(open_in_root(directory.fd(), "new-link", O_CREAT | O_EXCL | O_WRONLY, 0600), -EEXIST);
  EXPECT_EQ(open_in_root(directory.fd(), "new-outside", O_CREAT | O_WRONLY, 0600), -ENOENT);
  EXPECT_EQ(open_in_root(directory.fd(), "newdir/", O_CREAT | O_WRONLY, 0600), -EISDIR);
  EXPECT_EQ(open_in_root(directory.fd(), "dir/.", O_CREAT | O_WRONLY, 0600), -EISDIR);
  EXPECT_FALSE(std::filesystem::exists(host("outside/new")));
}

TEST_P(PathResolution, DoesNotFollowMagicLinksOfProc) {
  if (!std::filesystem::exists("/proc/self/exe")) GTEST_SKIP() << "/proc is not mounted";
  const RootedDirectory proc = RootedDirectory::open_host("/proc");
  const FileDescriptor secret(::open(host("outside").c_str(), O_PATH | O_CLOEXEC));
  const std::string magic = "self/fd/" + std::to_string(secret.get());
  EXPECT_EQ(open_in_root(proc.fd(), magic, O_PATH), -ELOOP);
  EXPECT_EQ(open_in_root(proc.fd(), magic + "/secret", kRead), -ELOOP);
  EXPECT_EQ(open_in_root(proc.fd(), "self/exe", kRead), -ELOOP);
  EXPECT_EQ(open_in_root(proc.fd(), "self/cwd/x", kRead), -ELOOP);
  EXPECT_EQ(open_in_root(proc.fd(), "self/ns/mnt", kRead), -ELOOP);
  EXPECT_GE(FileDescriptor(open_in_root(proc.fd(), "self/exe", kPathNoFollow)).get(), 0);
  // "self" itself is a symlink like any other.
  EXPECT_GE(FileDescriptor(open_in_root(proc.fd(), "self/status", kRead)).get(), 0);
}

TEST_P(PathResolution, FollowsLinksOfOthersInStickyDirectories) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root to make another user's symlink";
  std::filesystem::create_directory(host("root/tmp"));
  ASSERT_EQ(::chmod(host("root/tmp").c_str(), 01777), 0);
  link("root/tmp/theirs", "/etc/passwd");
  ASSERT_EQ(::lchown(host("root/tmp/theirs").c_str(), 1234, 1234), 0);
  EXPECT_GE(FileDescriptor(open_in_root(root().fd(), "tmp/theirs", kRead)).get(), 0);
}

TEST_P(PathResolution, CanonicalLeadsToTheSamePlaceWithoutSymlinks) {
  const std::pair<const char*, const char*> rows[] = {
      {"", "/"},
      {"/..", "/"},
      {"etc/passwd", "/etc/passwd"},
      {"absolute", "/etc/passwd"},
      {"dir/sub/climbing", "/etc/passwd"},
      {"to-to-dir/sub/", "/dir/sub"},
      {"to-to-dir/sub/../..", "/"},
      {"to-parent/x", "/x"},
      {"escaping", "/outside/secret"},
      {"dangling", "/nowhere"},
      {"dangling/a/../b", "/nowhere/b"},
      {"missing/../to-dir/file", "/dir/file"},
      {"dir/missing/../../etc", "/etc"},
      {"dir/file/x", "/dir/file/x"},
      {"dir/file/../sub", "/dir/sub"},
  };
  const RootedDirectory directory = root();
  for (const auto& [path, expected] : rows) EXPECT_EQ(directory.canonical(path), expected) << path;
  EXPECT_ANY_THROW(directory.canonical("itself"));
  EXPECT_ANY_THROW(directory.canonical("loop-a/x"));
  EXPECT_ANY_THROW(directory.canonical("chain0"));
}

STRAKE_FOR_BOTH_RESOLVERS(PathResolution);

/// Runs `prepare` in a child process and returns whether the walk is decided for there.
template <typename Prepare>
bool walks_after(const Prepare& prepare) {
  const pid_t child = ::fork();
  if (child == 0) {
    prepare();
    ::_exit(decide_path_resolver() == PathResolver::walk ? 1 : 0);
  }
  int status = -1;
  EXPECT_EQ(::waitpid(child, &status, 0), child);
  return WEXITSTATUS(status) == 1;
}

/// Makes openat2 fail with `error` in this process, as sandboxes do.
void forbid_openat2(std::uint32_t error) {
  ::sock_filter code[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct ::seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_openat2, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const ::sock_fprog program{.len = std::size(code), .filter = code};
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
      ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
    ::_exit(2);
}

TEST(PathResolverDecision, IsForTheWalkWhereOpenat2IsMissingOrUnwanted) {
  EXPECT_TRUE(walks_after([] { forbid_openat2(ENOSYS); }));
  EXPECT_TRUE(walks_after([] { forbid_openat2(EPERM); }));
  EXPECT_TRUE(walks_after([] { ::setenv("STRAKE_NO_OPENAT2", "1", 1); }));
}

TEST(PathResolverDecision, IsForTheKernelOtherwise) {
  const ::open_how how{.flags = O_PATH, .mode = 0, .resolve = RESOLVE_IN_ROOT};
  const FileDescriptor probe(
      static_cast<int>(::syscall(SYS_openat2, AT_FDCWD, "/", &how, sizeof how)));
  if (!probe) GTEST_SKIP() << "this system has no openat2";
  EXPECT_FALSE(walks_after([] { ::unsetenv("STRAKE_NO_OPENAT2"); }));
  EXPECT_FALSE(walks_after([] { ::setenv("STRAKE_NO_OPENAT2", "0", 1); }));
}

/// Random trees full of symlinks, random paths: the walk must answer as the kernel does.
class ResolversAgree : public PathResolution {
 protected:
  std::string random_path(int longest) {
    static constexpr const char* kNames[] = {"a",  "b", "c", "d", ".", "..",
                                             "..", "a", "b", "l", "m"};
    std::string path = pick(4) == 0 ? "/" : "";
    for (int i = 0, length = 1 + pick(longest); i < length; ++i) {
      path += kNames[pick(static_cast<int>(std::size(kNames)))];
      if (i + 1 < length || pick(6) == 0) path += pick(8) == 0 ? "//" : "/";
    }
    return path;
  }
  int pick(int below) { return std::uniform_int_distribution<int>(0, below - 1)(random_); }

  void make_random_tree(const RootedDirectory& directory) {
    for (int i = 0; i < 60; ++i) {
      const std::string path = "base/" + random_path(4);
      try {
        switch (pick(4)) {
          case 0:
            directory.make_directories(path, 0755);
            break;
          case 1:
            directory.create_file(path, 0644);
            break;
          default:
            directory.make_symlink(random_path(4), path);
            break;
        }
      } catch (const std::exception&) {
        // Taken, or below a file: the next one.
      }
    }
  }

  std::mt19937 random_{20240607};
};

TEST_P(ResolversAgree, OnRandomTreesAndPaths) {
  static constexpr std::array kFlags = {O_PATH,
                                        kPathNoFollow,
                                        kRead,
                                        kRead | O_NOFOLLOW,
                                        kRead | O_DIRECTORY,
                                        kRead | O_DIRECTORY | O_NOFOLLOW,
                                        O_PATH | O_DIRECTORY,
                                        kPathNoFollow | O_DIRECTORY};
  int found = 0;
  for (int tree = 0; tree < 20; ++tree) {
    const RootedDirectory directory = root();
    directory.make_directories("base", 0755);
    make_random_tree(directory);
    const RootedDirectory base = directory.subdirectory("base");
    for (int i = 0; i < 400; ++i) {
      const std::string path = random_path(7);
      const int flags = kFlags[static_cast<std::size_t>(pick(static_cast<int>(kFlags.size())))];
      set_path_resolver(PathResolver::walk);
      const Found by_walk = find(base, path, flags);
      set_path_resolver(PathResolver::kernel);
      const Found by_kernel = find(base, path, flags);
      ASSERT_EQ(by_walk, by_kernel) << "path " << path << " flags " << flags;
      if (std::get<0>(by_kernel) != 0) continue;
      ++found;
      if ((flags & O_NOFOLLOW) == 0) {
        ASSERT_EQ(find(base, base.canonical(path), kPathNoFollow), by_kernel) << path;
      }
    }
    directory.remove_tree("base");
  }
  EXPECT_GT(found, 500);
}

INSTANTIATE_TEST_SUITE_P(Resolver, ResolversAgree, ::testing::Values(PathResolver::kernel),
                         resolver_name);

}  // namespace
}  // namespace strake::base
