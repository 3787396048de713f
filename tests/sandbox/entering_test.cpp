// Each test is one child process: there is no way back out of a user namespace.

#include <grp.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include <cstdio>
#include <functional>

#include "builder/sandbox/id_map.h"
#include "builder/sandbox/isolation.h"
#include "tests/sandbox/step_fixture.h"

namespace strake::sandbox {
namespace {

constexpr uid_t kNobody = 65534;
constexpr int kPassed = 0, kFailed = 1, kSkipped = 77;

/// In the child, where googletest's failures would be lost.
void expect(bool what, const char* said) {
  if (what) return;
  std::fprintf(stderr, "child: not so: %s\n", said);
  ::_exit(kFailed);
}
#define CHILD_EXPECT(what) expect(what, #what)

/// The ids of `ranges` for nobody, over the machine's files, for this process alone.
bool lend_ids(const fs::path& directory, const std::string& ranges) {
  if (::unshare(CLONE_NEWNS) != 0 ||
      ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0)
    return false;
  std::ofstream(directory / "ranges") << ranges;
  for (const char* file : {"/etc/subuid", "/etc/subgid"})
    if (::mount((directory / "ranges").c_str(), file, nullptr, MS_BIND, nullptr) != 0) return false;
  return true;
}

bool become_nobody() {
  return ::setgroups(0, nullptr) == 0 && ::setresgid(kNobody, kNobody, kNobody) == 0 &&
         ::setresuid(kNobody, kNobody, kNobody) == 0 && ::prctl(PR_SET_DUMPABLE, 1) == 0;
}

class Entering : public testing::Test {
 protected:
  void SetUp() override {
    if (!is_first_user_namespace() || !has_capability(own_capabilities(), 21))
      GTEST_SKIP() << "needs root, to become nobody";
    temporary_ = base::TempDirectory(fs::temp_directory_path(), "strake-entering-");
    ASSERT_EQ(::chown(temporary_.path().c_str(), kNobody, kNobody), 0);
  }

  /// Runs `body` as nobody, who may use `ranges`.
  void as_nobody(const std::string& ranges, const std::function<void()>& body) {
    in_child([&] {
      if (!lend_ids(temporary_.path(), ranges) || !become_nobody()) ::_exit(kSkipped);
      body();
    });
  }
  void in_child(const std::function<void()>& body) {
    const pid_t child = ::fork();
    if (child == 0) {
      try {
        body();
      } catch (const base::Error& error) {
        std::fprintf(stderr, "child: %s (%s)\n", error.what(), error.hint().c_str());
        ::_exit(kFailed);
      }
      ::_exit(kPassed);
    }
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    if (WIFEXITED(status) && WEXITSTATUS(status) == kSkipped) GTEST_SKIP() << "not possible here";
    EXPECT_EQ(status, 0);
  }

  const fs::path& temporary() const { return temporary_.path(); }

  /// A step on a real overlay, in busybox.
  std::string output_of_step(std::vector<std::string> argv) const {
    const fs::path image = temporary() / "image";
    fs::create_directories(image / "bin");
    fs::copy_file("/bin/busybox", image / "bin/busybox", fs::copy_options::overwrite_existing);
    const test::OverlayMount root(image, temporary() / "step");
    Spec spec;
    spec.rootfs_fd = root.fd();
    spec.upper_fd = root.upper_fd();
    spec.argv = std::move(argv);
    base::StringSink output;
    const ExitStatus status = RootSandbox().run(spec, output, {});
    expect(status.success(), output.text.c_str());
    return output.text;
  }

 private:
  base::TempDirectory temporary_;
};

constexpr const char* kRange = "nobody:1000000:65536\n";

TEST_F(Entering, WithOneIdMakesTheCallerRootOfItsNamespace) {
  as_nobody("", [] {
    const Rung rung = enter_isolation(Isolation::user_one);
    CHILD_EXPECT(rung.isolation == Isolation::user_one);
    CHILD_EXPECT(current_isolation() == Isolation::user_one);
    CHILD_EXPECT(::getuid() == 0 && ::getgid() == 0);
    CHILD_EXPECT(caller().uid == kNobody && caller().gid == kNobody);
    CHILD_EXPECT(own_user_map() == (IdMap{{0, kNobody, 1}}));
    CHILD_EXPECT(is_mapped_user(0) && !is_mapped_user(1) && !is_mapped_group(5));
    CHILD_EXPECT(has_capability(own_capabilities(), 21));
  });
}

TEST_F(Entering, WithARangeGivesTheIdsThatWereLent) {
  if (!fs::exists("/usr/bin/newuidmap")) GTEST_SKIP() << "needs the package uidmap";
  as_nobody(kRange, [] {
    const Rung rung = enter_isolation(std::nullopt);
    CHILD_EXPECT(rung.isolation == Isolation::user_range);
    CHILD_EXPECT(own_user_map() == (IdMap{{0, kNobody, 1}, {1, 1000000, 65536}}));
    CHILD_EXPECT(own_group_map() == own_user_map());
    CHILD_EXPECT(is_mapped_group(5) && is_mapped_user(65536) && !is_mapped_user(65537));
    const gid_t groups[] = {5, 1000};
    CHILD_EXPECT(::setgroups(2, groups) == 0);
  });
}

TEST_F(Entering, TakesTheNextRungWhenNothingIsLent) {
  as_nobody("somebody:1000000:65536\n", [] {
    const Rung rung = enter_isolation(std::nullopt);
    CHILD_EXPECT(rung.isolation == Isolation::user_one);
    CHILD_EXPECT(rung.why.find("no range in /etc/subuid for \"nobody\"") == 0);
  });
}

TEST_F(Entering, TakesTheNextRungWhenTheRangeIsRefused) {
  if (!fs::exists("/usr/bin/newuidmap")) GTEST_SKIP() << "needs the package uidmap";
  as_nobody(kRange, [] {
    // newuidmap is setuid, which does nothing any more.
    CHILD_EXPECT(::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
    const Rung rung = enter_isolation(std::nullopt);
    CHILD_EXPECT(rung.isolation == Isolation::user_one);
    CHILD_EXPECT(rung.why.find("no_new_privs") != std::string::npos);
    CHILD_EXPECT(::getuid() == 0);
  });
}

TEST_F(Entering, SaysWhatIsMissingForTheRungAskedFor) {
  as_nobody("", [] {
    for (const Isolation wanted : {Isolation::root, Isolation::user_range, Isolation::chroot}) {
      try {
        enter_isolation(wanted);
        expect(false, "refused");
      } catch (const base::Error& error) {
        CHILD_EXPECT(error.code() == base::ErrorCode::unsupported);
        CHILD_EXPECT(!error.hint().empty());
      }
    }
    CHILD_EXPECT(::getuid() == kNobody);
    CHILD_EXPECT(!entered_rung());
  });
}

TEST_F(Entering, FailsWithTheReasonWhereNamespacesAreUsedUp) {
  in_child([&] {
    // A namespace of its own to count in; below it there may be none.
    enter_isolation(Isolation::user_range);
    std::ofstream limit("/proc/sys/user/max_user_namespaces");
    limit << "0" << std::flush;
    if (!limit) ::_exit(kSkipped);
    try {
      enter_isolation(Isolation::user_one);
      expect(false, "refused");
    } catch (const base::Error& error) {
      CHILD_EXPECT(error.hint().find("user.max_user_namespaces") != std::string::npos);
    }
  });
}

TEST_F(Entering, KeepsTheWorkingDirectoryAndSharesNoMounts) {
  as_nobody("", [this] {
    fs::current_path(temporary());
    enter_isolation(Isolation::user_one);
    CHILD_EXPECT(fs::current_path() == temporary());
    CHILD_EXPECT(::mount("none", temporary().c_str(), "tmpfs", 0, nullptr) == 0);
    const std::string mounts = base::read_file("/proc/self/mountinfo").value();
    CHILD_EXPECT(mounts.find("shared:") == std::string::npos);
    CHILD_EXPECT(mounts.find("master:") == std::string::npos);
  });
  EXPECT_TRUE(fs::is_directory(temporary()));
  EXPECT_EQ(base::read_file("/proc/self/mountinfo")->find(temporary()), std::string::npos);
}

TEST_F(Entering, RunsStepsOnAnOverlay) {
  if (!fs::exists("/bin/busybox")) GTEST_SKIP() << "needs the package busybox-static";
  for (const Isolation isolation : {Isolation::user_one, Isolation::user_range}) {
    if (isolation == Isolation::user_range && !fs::exists("/usr/bin/newuidmap")) continue;
    as_nobody(kRange, [&] {
      enter_isolation(isolation);
      const std::string output = output_of_step(
          {"/bin/busybox", "sh", "-c", "id -u; busybox rm -r /bin && echo $$; echo made > /made"});
      CHILD_EXPECT(output == "0\n2\n");
      CHILD_EXPECT(base::read_file(temporary() / "step/upper/made") == "made\n");
    });
    fs::remove_all(temporary() / "step");
  }
}

TEST_F(Entering, RefusesUsersThatTheRangeLacks) {
  if (!fs::exists("/usr/bin/newuidmap")) GTEST_SKIP() << "needs the package uidmap";
  as_nobody("nobody:1000000:100\n", [this] {
    enter_isolation(Isolation::user_range);
    fs::create_directories(temporary() / "image/bin");
    const test::OverlayMount root(temporary() / "image", temporary() / "step");
    Spec spec;
    spec.rootfs_fd = root.fd();
    spec.argv = {"/bin/true"};
    spec.uid = 1000;
    base::StringSink output;
    try {
      RootSandbox().run(spec, output, {});
      expect(false, "refused");
    } catch (const base::Error& error) {
      CHILD_EXPECT(error.code() == base::ErrorCode::unsupported);
      CHILD_EXPECT(std::string(error.what()).find("1000") != std::string::npos);
    }
  });
}

TEST_F(Entering, IsTriedWithoutBeingDone) {
  as_nobody("", [] {
    CHILD_EXPECT(best_isolation().isolation == Isolation::user_one);
    CHILD_EXPECT(::getuid() == kNobody);
    CHILD_EXPECT(!entered_rung());
  });
}

}  // namespace
}  // namespace strake::sandbox
