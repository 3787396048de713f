// RUN --security=insecure, and parts of mounts.

#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "tests/sandbox/step_fixture.h"

namespace strake::sandbox {
namespace {

class Insecure : public StepTest {
 protected:
  Result run_script(const std::string& script, bool insecure) {
    Spec step = shell(script);
    step.insecure = insecure;
    return run(step);
  }
  /// The value of a line of /proc/self/status.
  std::string status(const std::string& name, bool insecure) {
    const std::string output = run_script("grep ^" + name + ": /proc/self/status", insecure).output;
    const std::size_t value = output.find_first_not_of(": \t", name.size());
    return output.substr(value, output.find('\n') - value);
  }
};

TEST_F(Insecure, HasTheBuildersCapabilitiesAndNoFilter) {
  EXPECT_EQ(std::stoull(status("CapEff", true), nullptr, 16), own_capabilities());
  EXPECT_NE(status("CapEff", false), status("CapEff", true));
  // None but those that the builder itself may be under.
  const auto filters = [](const std::string& count) { return count == "" ? 0 : std::stoi(count); };
  const std::string own = base::read_file("/proc/self/status").value();
  const std::size_t at = own.find("Seccomp_filters:");
  const int builders = at == std::string::npos ? 0 : std::stoi(own.substr(at + 16));
  EXPECT_EQ(filters(status("Seccomp_filters", true)), builders);
  EXPECT_EQ(filters(status("Seccomp_filters", false)), builders + 1);
}

TEST_F(Insecure, MayMount) {
  const std::string script = "mkdir /t && mount -t tmpfs none /t && touch /t/f && umount /t";
  const Result result = run_script(script, true);
  EXPECT_TRUE(result.status.success()) << result.output;
  EXPECT_FALSE(run_script(script, false).status.success());
}

// The host name is of the step's own namespace: the machine's stays.
TEST_F(Insecure, MayChangeTheKernelsSettings) {
  const std::string script = "echo changed > /proc/sys/kernel/hostname && hostname";
  const Result result = run_script(script, true);
  EXPECT_EQ(result.output, "changed\n");
  EXPECT_FALSE(run_script(script, false).status.success());
}

TEST_F(Insecure, MayUseDeviceNodes) {
  const std::string script = "mknod /zero c 1 5 && head -c 3 /zero | wc -c";
  EXPECT_EQ(run_script(script, true).output, "3\n");
  EXPECT_NE(run_script(script, false).output, "3\n");
}

TEST_F(Insecure, IsStillAloneWithItsProcessesAndMounts) {
  const Result result = run_script("set -- /proc/[0-9]*; echo $#; ls /..; echo; ls /", true);
  const std::string& output = result.output;
  EXPECT_EQ(output.substr(0, 2), "2\n") << output;  // init, sh
  const std::size_t half = output.find("\n\n");
  ASSERT_NE(half, std::string::npos);
  EXPECT_EQ(output.substr(2, half - 1), output.substr(half + 2));
}

TEST_F(Insecure, LeavesNothingForTheNextStep) {
  ASSERT_TRUE(run_script("mkdir /t && mount -t tmpfs none /t", true).status.success());
  EXPECT_EQ(run_script("grep -c ' /t ' /proc/self/mountinfo", false).output, "0\n");
}

class PartsOfMounts : public StepTest {
 protected:
  base::FileDescriptor open(int directory, const char* path) const {
    return base::FileDescriptor(::openat(directory, path, O_PATH | O_CLOEXEC));
  }
};

TEST_F(PartsOfMounts, AreFileSystemsOfTheirOwn) {
  write("d/f", "in d");
  write("beside", "beside");
  const base::FileDescriptor directory = open(new_root().fd(), "d");
  const auto part = clone_part(directory.get());
  if (!part) GTEST_SKIP() << "the kernel takes no part of a detached mount (before 6.15)";
  Spec step = shell("cat /mnt/f; cat /mnt/../beside /beside; echo x > /mnt/f");
  step.mounts = {BindMount{part->get(), "/mnt", true}};
  const Result result = run(step);
  EXPECT_EQ(result.output.substr(0, 4), "in d");
  EXPECT_NE(result.output.find("Read-only file system"), std::string::npos) << result.output;
  // Nothing leads above the part.
  struct ::stat top, above;
  ASSERT_EQ(::fstat(part->get(), &top), 0);
  ASSERT_EQ(::fstatat(part->get(), "..", &above, 0), 0);
  EXPECT_EQ(above.st_ino, top.st_ino);
}

TEST_F(PartsOfMounts, MayBeSingleFiles) {
  write("d/f", "text\n");
  const base::FileDescriptor file = open(new_root().fd(), "d/f");
  const auto part = clone_part(file.get());
  if (!part) GTEST_SKIP() << "the kernel takes no part of a detached mount (before 6.15)";
  Spec step = shell("cat /mnt");
  step.mounts = {BindMount{part->get(), "/mnt", true}};
  EXPECT_EQ(run(step).output, "text\n");
}

}  // namespace
}  // namespace strake::sandbox
