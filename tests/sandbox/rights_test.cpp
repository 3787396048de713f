#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "builder/sandbox/capabilities.h"
#include "builder/sandbox/seccomp_profile.h"
#include "layers/base/error.h"
#include "tests/sandbox/step_fixture.h"

namespace strake::sandbox {
namespace {

using base::Error;
using base::ErrorCode;
using testing::HasSubstr;

constexpr int kChown = 0, kNetRaw = 13, kSysAdmin = 21;

CapabilitySet bit(int capability) {
  return CapabilitySet{1} << capability;
}

TEST(Capabilities, HaveNamesWithAndWithoutPrefixInAnyCase) {
  for (const char* name : {"SYS_ADMIN", "CAP_SYS_ADMIN", "sys_admin", "Cap_Sys_Admin"})
    EXPECT_EQ(capability_number(name), kSysAdmin) << name;
  for (const char* name : {"", "CAP_", "SYS_ADMI", "SYS_ADMINS", "21", "ALL"})
    EXPECT_EQ(capability_number(name), std::nullopt) << name;
  EXPECT_EQ(capability_name(kSysAdmin), "CAP_SYS_ADMIN");
  EXPECT_EQ(all_capabilities() & bit(kChown), bit(kChown));
}

TEST(Capabilities, ThatAreAddedWinOverDroppedOnes) {
  const CapabilityChanges changes{.add = bit(kChown), .drop = all_capabilities()};
  EXPECT_EQ(changes.of(step_capabilities()), bit(kChown));
}

TEST(SeccompProfile, LetsThroughWhatACapabilityIsFor) {
  const auto& usual = seccomp_profile();
  const auto& more = seccomp_profile(step_capabilities() | bit(kSysAdmin));
  EXPECT_LT(more.size(), usual.size());
  EXPECT_EQ(&seccomp_profile(), &usual);
}

class StepRights : public StepTest {
 protected:
  /// The bounding set of a command, as the kernel shows it.
  std::string bounding_set(const CapabilityChanges& changes) {
    Spec step = shell("grep CapBnd /proc/self/status");
    step.capabilities = changes;
    return run(step).output;
  }
};

TEST_F(StepRights, AreDockersFourteenCapabilities) {
  EXPECT_EQ(bounding_set({}), "CapBnd:\t00000000a80425fb\n");
}

TEST_F(StepRights, CanBeTakenAndGiven) {
  EXPECT_EQ(bounding_set({.drop = bit(kNetRaw)}), "CapBnd:\t00000000a80405fb\n");
  EXPECT_EQ(bounding_set({.add = bit(kSysAdmin)}), "CapBnd:\t00000000a82425fb\n");
  EXPECT_EQ(bounding_set({.drop = all_capabilities()}), "CapBnd:\t0000000000000000\n");
  Spec step = shell("touch /f; chown 1 /f && exit 9; chmod 700 /f");
  step.capabilities.drop = bit(kChown);
  EXPECT_EQ(run(step).status.code, 0);
}

TEST_F(StepRights, ToMountComeWithTheCapability) {
  const std::string script = "mount -t tmpfs none /mnt 2>/dev/null && echo mounted || echo refused";
  fs::create_directories(image() / "mnt");
  EXPECT_EQ(run(shell(script)).output, "refused\n");
  Spec step = shell(script);
  step.capabilities.add = bit(kSysAdmin);
  EXPECT_EQ(run(step).output, "mounted\n");
}

TEST_F(StepRights, CanHaveNoFilterOfSystemCalls) {
  const std::string script = "grep Seccomp: /proc/self/status";
  EXPECT_EQ(run(shell(script)).output, "Seccomp:\t2\n");
  Spec step = shell(script);
  step.all_system_calls = true;
  EXPECT_EQ(run(step).output, "Seccomp:\t0\n");
}

TEST_F(StepRights, CannotGrowWhereThatIsAskedFor) {
  const std::string script = "grep NoNewPrivs /proc/self/status";
  EXPECT_EQ(run(shell(script)).output, "NoNewPrivs:\t0\n");
  Spec step = shell(script);
  step.no_new_privileges = true;
  EXPECT_EQ(run(step).output, "NoNewPrivs:\t1\n");
}

TEST_F(StepRights, ThatTheBuilderLacksAreRefused) {
  if (IsSkipped()) return;
  const CapabilitySet missing = all_capabilities() & ~own_capabilities();
  if (missing == 0) GTEST_SKIP() << "the builder has every capability";
  Spec step = shell("true");
  step.capabilities.add = missing;
  try {
    run(step);
    ADD_FAILURE() << "it ran";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::unsupported);
    EXPECT_THAT(error.what(), HasSubstr("strake itself does not have it here"));
  }
}

TEST_F(StepRights, IncludeTheLimitsOfEachProcess) {
  Spec step = shell("ulimit -n; ulimit -Hn; ulimit -c");
  step.ulimits = {{"nofile", 77, 99}, {"core", 0, 0}};
  EXPECT_EQ(run(step).output, "77\n99\n0\n");
}

TEST_F(StepRights, IncludeTheSizeOfSharedMemory) {
  fs::create_symlink("busybox", image() / "bin/sed");
  Spec step = shell("df -k /dev/shm | tail -n 1 | sed 's/  */ /g'");
  step.shm_size_bytes = 3 << 20;
  EXPECT_THAT(run(step).output, HasSubstr(" 3072 "));
}

}  // namespace
}  // namespace strake::sandbox
