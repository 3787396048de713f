// Steps in a user namespace with many ids, where owners are real and devices are not.

#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>

#include "builder/sandbox/id_map.h"
#include "builder/sandbox/owners/calls.h"
#include "layers/base/recorded_owner.h"
#include "tests/sandbox/step_fixture.h"

namespace strake::sandbox {
namespace {

class RangeOfIds : public StepTest {
 protected:
  void SetUp() override {
    if (::geteuid() != 0 || !has_capability(own_capabilities(), 21))
      GTEST_SKIP() << "needs root, to map ids";
    if (!enter_namespace()) GTEST_SKIP() << "no user namespaces here";
    StepTest::SetUp();
    if (!IsSkipped()) make_usual_directories();
  }

  /// There is no way back, so once for all tests of the process.
  static bool enter_namespace() {
    static const bool entered = [] {
      base::Pipe ready = base::make_pipe();
      const pid_t self = ::getpid(), helper = ::fork();
      if (helper == 0) {
        char byte;
        base::read_some(ready.read_end.get(), std::as_writable_bytes(std::span(&byte, 1)), "pipe");
        for (const char* map : {"uid_map", "gid_map"})
          std::ofstream("/proc/" + std::to_string(self) + "/" + map) << "0 0 65000";
        ::_exit(0);
      }
      const bool left = ::unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0;
      base::write_full(ready.write_end.get(), base::bytes_of("!"), "pipe");
      ::waitpid(helper, nullptr, 0);
      forget_own_maps();
      return left && needed_supervision() == Supervision::devices;
    }();
    return entered;
  }
};

TEST_F(RangeOfIds, DevicesAreRecordedAndOwnersAreReal) {
  EXPECT_EQ(output_of("umask 027; mknod null c 1 3; mknod sda b 8 0; chown 1000:6 sda;"
                      "mknod pipe p; touch file; chown 1000:50 file; stat -c %u:%g sda file"),
            "1000:6\n1000:50\n");
  const auto recorded = [this](const char* name) {
    return base::read_recorded_owner((upper() / name).c_str(), S_IFREG);
  };
  struct ::stat status;
  ASSERT_EQ(::lstat((upper() / "sda").c_str(), &status), 0);
  ASSERT_TRUE(recorded("sda"));
  base::apply_recorded_owner(*recorded("sda"), status);
  EXPECT_EQ(status.st_uid, 1000U);
  EXPECT_EQ(status.st_gid, 6U);
  EXPECT_EQ(status.st_mode, static_cast<mode_t>(S_IFBLK | 0640));
  EXPECT_EQ(status.st_rdev, makedev(8, 0));
  EXPECT_TRUE(recorded("null"));
  EXPECT_FALSE(recorded("file"));
  EXPECT_EQ(changes(), (std::set<std::string>{"file", "null", "pipe", "sda"}));
}

TEST_F(RangeOfIds, OnlyRootMakesDevices) {
  Spec app = shell("mknod null c 1 3");
  app.uid = app.gid = 1000;
  const Result result = run(app);
  EXPECT_NE(result.status.code, 0);
  EXPECT_EQ(changes(), (std::set<std::string>{}));
}

}  // namespace
}  // namespace strake::sandbox
