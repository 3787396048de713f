#include "builder/exec/cache_mounts.h"

#include <gtest/gtest.h>
#include <sys/wait.h>

#include <atomic>
#include <chrono>
#include <optional>
#include <set>
#include <thread>

#include "layers/base/error.h"
#include "tests/exec/exec_support.h"

namespace strake::builder {
namespace {

using dockerfile::CacheSharing;
using std::chrono::steady_clock;

struct Directory {
  dev_t device;
  ino_t inode;
  auto operator<=>(const Directory&) const = default;
};

Directory directory_of(const CacheMount& mount) {
  struct ::stat status = {};
  EXPECT_EQ(::fstat(mount.fd(), &status), 0);
  return {status.st_dev, status.st_ino};
}

void put(const CacheMount& mount, const char* name) {
  const base::FileDescriptor file(::openat(mount.fd(), name, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
  EXPECT_TRUE(file);
}

bool has(const CacheMount& mount, const char* name) {
  return ::faccessat(mount.fd(), name, F_OK, 0) == 0;
}

class CacheMounts : public testing::Test {
 protected:
  CacheMountRequest request(CacheSharing sharing, const std::string& id = "id") const {
    CacheMountRequest made;
    made.id = id;
    made.sharing = sharing;
    made.uid = ::geteuid();
    made.gid = ::getegid();
    return made;
  }
  CacheMount take(const CacheMountRequest& request, std::stop_token stop = {},
                  const std::function<void()>& on_wait = {}) const {
    return CacheMount(store_, request, stop, on_wait);
  }
  CacheMount take(CacheSharing sharing) const { return take(request(sharing)); }
  /// Whether a step that asks for this would have to wait now.
  bool waits(CacheSharing sharing) const {
    std::stop_source stop;
    try {
      take(request(sharing), stop.get_token(), [&] { stop.request_stop(); });
    } catch (const base::Error& error) {
      EXPECT_EQ(error.code(), base::ErrorCode::cancelled);
      return true;
    }
    return false;
  }

  base::TempDirectory directory_{testing::TempDir(), "strake-caches-"};
  layers::Store store_ = layers::Store::open(directory_.path() / "store");
};

TEST_F(CacheMounts, KeepWhatIsPutIntoThem) {
  Directory first;
  {
    const CacheMount mount = take(CacheSharing::shared);
    put(mount, "kept");
    first = directory_of(mount);
  }
  const CacheMount again = take(CacheSharing::locked);
  EXPECT_EQ(directory_of(again), first);
  EXPECT_TRUE(has(again, "kept"));
}

TEST_F(CacheMounts, OnesThatWouldBeMadeDifferentlyAreApart) {
  CacheMountRequest base = request(CacheSharing::shared);
  std::set<std::string> names = {cache_mount_name(base)};
  const auto add = [&](auto change) {
    CacheMountRequest other = base;
    change(other);
    EXPECT_TRUE(names.insert(cache_mount_name(other)).second);
  };
  add([](CacheMountRequest& r) { r.id = "other"; });
  add([](CacheMountRequest& r) { r.id += '\0'; });
  add([](CacheMountRequest& r) { r.mode = 0700; });
  add([](CacheMountRequest& r) { r.uid += 1; });
  add([](CacheMountRequest& r) { r.gid += 2; });
  add([](CacheMountRequest& r) { r.source = "sha256:1"; });
  CacheMountRequest locked = base;
  locked.sharing = CacheSharing::locked;
  EXPECT_EQ(cache_mount_name(locked), cache_mount_name(base));
}

// F05: an id is never a path.
// Case D04: the id of a cache is a name, whatever is in it.
TEST_F(CacheMounts, IdsLeadNowhere) {
  for (const char* id : {"../../escape", "/etc", "..", "a/b", "\n"}) {
    const CacheMount mount = take(request(CacheSharing::shared, id));
    const std::string path =
        std::filesystem::read_symlink("/proc/self/fd/" + std::to_string(mount.fd()));
    EXPECT_TRUE(path.starts_with(store_.mounts().native() + "/")) << path;
  }
}

TEST_F(CacheMounts, HaveTheModeAskedForWhateverTheUmask) {
  const mode_t before = ::umask(077);
  CacheMountRequest asked = request(CacheSharing::shared);
  asked.mode = 01777;
  const CacheMount mount = take(asked);
  ::umask(before);
  struct ::stat status;
  ASSERT_EQ(::fstat(mount.fd(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777, 01777U);
}

TEST_F(CacheMounts, SharedOnesAreForAllAtOnceAndLockedOnesForOne) {
  std::optional<CacheMount> first = take(CacheSharing::shared);
  const Directory directory = directory_of(*first);
  EXPECT_EQ(directory_of(take(CacheSharing::shared)), directory);
  EXPECT_TRUE(waits(CacheSharing::locked));
  first.reset();
  const CacheMount locked = take(CacheSharing::locked);
  EXPECT_EQ(directory_of(locked), directory);
  EXPECT_TRUE(waits(CacheSharing::locked));
  EXPECT_TRUE(waits(CacheSharing::shared));
}

TEST_F(CacheMounts, PrivateOnesNeverWaitAndAreNeverShared) {
  std::optional<CacheMount> first = take(CacheSharing::private_);
  put(*first, "of the first");
  const Directory directory = directory_of(*first);
  const CacheMount second = take(CacheSharing::private_);
  const CacheMount third = take(CacheSharing::private_);
  EXPECT_NE(directory_of(second), directory);
  EXPECT_NE(directory_of(third), directory);
  EXPECT_NE(directory_of(third), directory_of(second));
  EXPECT_FALSE(has(second, "of the first"));
  first.reset();
  EXPECT_EQ(directory_of(take(CacheSharing::private_)), directory);  // what is free is used again
}

TEST_F(CacheMounts, WhoWaitsIsToldOnceAndGoesOnWhenItMay) {
  std::optional<CacheMount> held = take(CacheSharing::locked);
  std::atomic<int> told = 0;
  std::atomic<bool> had = false;
  std::jthread waiter([&] {
    const CacheMount mount = take(request(CacheSharing::locked), {}, [&] { ++told; });
    had = true;
  });
  while (told == 0) std::this_thread::yield();
  std::this_thread::sleep_for(std::chrono::milliseconds(150));
  EXPECT_FALSE(had);
  held.reset();
  waiter.join();
  EXPECT_TRUE(had);
  EXPECT_EQ(told, 1);
}

TEST_F(CacheMounts, AStopEndsTheWaitingAtOnce) {
  const CacheMount held = take(CacheSharing::locked);
  std::stop_source stop;
  std::atomic<bool> waiting = false;
  std::jthread stopper([&] {
    while (!waiting) std::this_thread::yield();
    stop.request_stop();
  });
  const auto start = steady_clock::now();
  EXPECT_THROW(take(request(CacheSharing::shared), stop.get_token(), [&] { waiting = true; }),
               base::Error);
  EXPECT_LT(steady_clock::now() - start, std::chrono::seconds(2));
}

TEST_F(CacheMounts, AKilledProcessHoldsNothing) {
  base::Pipe ready = base::make_pipe();
  const pid_t child = ::fork();
  if (child == 0) {
    const CacheMount mount = take(CacheSharing::locked);
    put(mount, "half");
    (void)!::write(ready.write_end.get(), "r", 1);
    ::pause();
    ::_exit(0);
  }
  char byte = 0;
  ASSERT_EQ(::read(ready.read_end.get(), &byte, 1), 1);
  EXPECT_TRUE(waits(CacheSharing::locked));
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  EXPECT_FALSE(waits(CacheSharing::locked));
  EXPECT_TRUE(has(take(CacheSharing::shared), "half"));
}

TEST_F(CacheMounts, AreFilledOnceWhenTheyAreMade) {
  std::atomic<int> filled = 0;
  CacheMountRequest asked = request(CacheSharing::shared);
  asked.source = "sha256:1";
  asked.fill = [&](int directory) {
    ++filled;
    const base::FileDescriptor file(
        ::openat(directory, "seed", O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
  };
  EXPECT_TRUE(has(take(asked), "seed"));
  EXPECT_TRUE(has(take(asked), "seed"));
  EXPECT_EQ(filled, 1);
}

TEST_F(CacheMounts, AFillThatFailsLeavesNone) {
  CacheMountRequest asked = request(CacheSharing::shared);
  asked.fill = [](int directory) {
    const base::FileDescriptor file(
        ::openat(directory, "half", O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    throw base::Error(base::ErrorCode::system, "no space");
  };
  EXPECT_THROW(take(asked), base::Error);
  asked.fill = {};
  EXPECT_FALSE(has(take(asked), "half"));
}

// Of several that make it at the same time all get the same one, whole.
TEST_F(CacheMounts, SeveralMakersAgree) {
  for (int round = 0; round < 20; ++round) {
    CacheMountRequest asked = request(CacheSharing::shared, "round" + std::to_string(round));
    asked.fill = [](int directory) {
      const base::FileDescriptor file(
          ::openat(directory, "seed", O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    };
    std::array<Directory, 4> seen;
    {
      std::vector<std::jthread> makers;
      for (Directory& directory : seen)
        makers.emplace_back([&] {
          const CacheMount mount = take(asked);
          EXPECT_TRUE(has(mount, "seed"));
          directory = directory_of(mount);
        });
    }
    for (const Directory& directory : seen) EXPECT_EQ(directory, seen[0]);
  }
}

}  // namespace
}  // namespace strake::builder
