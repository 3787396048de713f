// Programs of other architectures.

#include "builder/sandbox/emulation.h"

#include <cstdlib>

#include "layers/base/error.h"
#include "tests/sandbox/step_fixture.h"

namespace strake::sandbox {
namespace {

using base::Error;

TEST(Emulation, OwnArchitectureIsNative) {
  EXPECT_TRUE(runs_natively(""));
  EXPECT_TRUE(runs_natively(native_architecture()));
  EXPECT_EQ(find_emulation("").kind, Emulation::Kind::native);
}

TEST(Emulation, UnknownArchitectureIsRefused) {
  try {
    find_emulation("pdp11");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), base::ErrorCode::unsupported);
    EXPECT_NE(std::string(error.what()).find("pdp11"), std::string::npos);
  }
}

TEST(FindQemu, TakesOnlyStaticProgramsOfAbsoluteDirectories) {
  const base::TempDirectory directory(fs::temp_directory_path(), "strake-qemu-");
  const Architecture& arm64 = *find_architecture("arm64");
  EXPECT_EQ(find_qemu(arm64, directory.path().native()), "");
  fs::copy_file("/proc/self/exe", directory.path() / "qemu-aarch64-static");  // dynamic
  EXPECT_EQ(find_qemu(arm64, directory.path().native()), "");
  if (!fs::exists("/bin/busybox")) GTEST_SKIP() << "needs the package busybox-static";
  const fs::path qemu = directory.path() / "qemu-aarch64";
  fs::copy_file("/bin/busybox", qemu);
  EXPECT_EQ(find_qemu(arm64, "relative:/nowhere:" + directory.path().native()), qemu);
  EXPECT_EQ(find_qemu(*find_architecture("riscv64"), directory.path().native()), "");
}

std::string program_of(const std::vector<std::uint32_t>& arm64_code, std::string_view data = "") {
  std::string code;
  for (const std::uint32_t word : arm64_code)
    for (int shift = 0; shift < 32; shift += 8) code += static_cast<char>(word >> shift & 0xff);
  code += data;
  Architecture arm64 = *find_architecture("arm64");
  arm64.exit = code;
  return smallest_program(arm64);
}

/// Prints the first five bytes of argv[0] and the line "arm64", then exits with code 7.
std::string arm64_program() {
  return program_of(
      {
          0xd2800020,  // mov x0, #1
          0xf94007e1,  // ldr x1, [sp, #8]
          0xd28000a2,  // mov x2, #5
          0xd2800808,  // mov x8, #64 (write)
          0xd4000001,  // svc #0
          0xd2800020,  // mov x0, #1
          0x100000e1,  // adr x1, #28: behind the code
          0xd28000e2,  // mov x2, #7
          0xd2800808,  // mov x8, #64
          0xd4000001,  // svc #0
          0xd28000e0,  // mov x0, #7
          0xd2800ba8,  // mov x8, #93 (exit)
          0xd4000001,  // svc #0
      },
      "\narm64\n");
}

/// Exits with its effective user id.
std::string arm64_program_that_tells_its_user() {
  return program_of({0xd28015e8,    // mov x8, #175 (geteuid)
                     0xd4000001,    // svc #0
                     0xd2800ba8,    // mov x8, #93 (exit)
                     0xd4000001});  // svc #0
}

class EmulatedStep : public StepTest {
 protected:
  void SetUp() override {
    StepTest::SetUp();
    if (IsSkipped()) return;
    if (native_architecture() == "arm64") GTEST_SKIP() << "arm64 is native here";
    try {
      find_emulation("arm64");
    } catch (const Error& error) {
      GTEST_SKIP() << error.what();
    }
    write("bin/prog1", arm64_program(), 0755);
  }
  Spec foreign(std::vector<std::string> argv) {
    Spec step = spec(std::move(argv));
    step.architecture = "arm64";
    return step;
  }
};

TEST_F(EmulatedStep, RunsWithoutAnythingOfTheEmulatorInTheImage) {
  const Result result = run(foreign({"prog1"}));
  EXPECT_EQ(result.output, "prog1\narm64\n");  // argv[0] as it was given
  EXPECT_EQ(result.status.code, 7);
  EXPECT_TRUE(changes().empty());
}

TEST_F(EmulatedStep, CannotRunThemWithoutAskingForIt) {
  Spec step = foreign({"prog1"});
  step.architecture = "";
  if (find_emulation("arm64").kind == Emulation::Kind::host_registered)
    GTEST_SKIP() << "the host runs them";
  EXPECT_EQ(run(step).status.code, 126);
}

TEST_F(EmulatedStep, IsAsIsolatedAsANativeOne) {
  make_usual_directories();
  // Native programs go on working in it.
  const Result result = run(foreign(
      {"/bin/busybox", "sh", "-c",
       "id -u; touch /own; chown 1000:1000 /own; stat -c %u:%g /own; grep CapEff /proc/self/status;"
       "ls /proc/sys/fs/binfmt_misc; cat /proc/1/fd/5/status; ls /..; prog1"}));
  EXPECT_EQ(result.output.substr(0, 2), "0\n");
  EXPECT_NE(result.output.find("1000:1000\n"), std::string::npos) << result.output;
  EXPECT_NE(result.output.find("00000000a80425fb"), std::string::npos) << result.output;
  EXPECT_NE(result.output.find("/proc/1/fd/5/status': Permission denied"), std::string::npos)
      << result.output;
  EXPECT_EQ(result.output.find("home"), std::string::npos) << result.output;
  EXPECT_EQ(result.output.find("strake-arm64"), std::string::npos) << result.output;
  EXPECT_EQ(result.status.code, 7) << result.output;
  EXPECT_EQ(changes(), std::set<std::string>{"own"});
}

TEST_F(EmulatedStep, TakesMountsAndNetworksLikeANativeOne) {
  Spec step =
      foreign({"/bin/busybox", "sh", "-c",
               "cat /run/secrets/t; ls /sys/class/net; ls -d /sys/kernel; touch /scratch/x"});
  step.network = Network::none;
  step.mounts = {InlineFile{"/run/secrets/t", "hush\n"}, TmpfsMount{"/scratch"}};
  const Result result = run(step);
  EXPECT_EQ(result.output, "hush\nlo\n/sys/kernel\n");
  EXPECT_EQ(result.status.code, 0);
  EXPECT_TRUE(changes().empty());
}

TEST_F(EmulatedStep, LeavesTheHostAsItWas) {
  const auto before = base::read_file("/proc/self/mountinfo");
  run(foreign({"prog1"}));
  EXPECT_EQ(base::read_file("/proc/self/mountinfo"), before);
  EXPECT_FALSE(fs::exists("/proc/sys/fs/binfmt_misc/strake-arm64"));
}

/// D33: without the flag "C" the emulator runs with the rights of whoever starts it.
TEST_F(EmulatedStep, GivesNoRightsToSetuidPrograms) {
  write("bin/whoami1", arm64_program_that_tells_its_user(), 04755);
  Spec step = foreign({"whoami1"});
  step.uid = step.gid = 77;
  EXPECT_EQ(run(step).status.code, 77);
  EXPECT_EQ(run(foreign({"whoami1"})).status.code, 0);
}

/// D32: what is registered matches nothing but what it is for.
TEST_F(EmulatedStep, LeavesNativeProgramsAndScriptsToTheKernel) {
  const Result result = run(foreign(
      {"/bin/busybox", "sh", "-c",
       "echo '#!/bin/busybox echo' >/script; chmod 755 /script; /script a; "
       "printf '\\177ELF' >/short; chmod 755 /short; /short || echo refused; /bin/busybox true"}));
  EXPECT_EQ(result.output.substr(0, 10), "/script a\n");
  EXPECT_NE(result.output.find("refused\n"), std::string::npos) << result.output;
  EXPECT_EQ(result.status.code, 0);
}

TEST_F(EmulatedStep, CanBeOfEveryArchitectureThereIsAnEmulatorFor) {
  std::string missing;
  for (const Architecture& architecture : architectures()) {
    try {
      find_emulation(architecture.name);
    } catch (const Error&) {
      missing += " " + std::string(architecture.name);
      continue;
    }
    write("bin/smallest", smallest_program(architecture), 0755);
    Spec step = spec({"smallest"});
    step.architecture = architecture.name;
    const Result result = run(step);
    EXPECT_EQ(result.status.code, 0)
        << architecture.name << ": " << result.output << result.status.explanation;
  }
  if (!missing.empty()) GTEST_SKIP() << "no emulator for" << missing;
}

TEST(EmulationSurvey, NamesEveryArchitecture) {
  const EmulationSurvey survey = survey_emulation();
  for (const Architecture& architecture : architectures()) {
    if (architecture.name == native_architecture()) continue;
    EXPECT_NE((" " + survey.detail).find(" " + std::string(architecture.name)), std::string::npos)
        << survey.detail;
  }
  EXPECT_EQ(survey.any, survey.knob.empty()) << survey.detail;
}

TEST_F(EmulatedStep, RunsABusyboxAndItsApplets) {
  const char* busybox = std::getenv("STRAKE_TEST_ARM64_BUSYBOX");
  if (busybox == nullptr) GTEST_SKIP() << "set STRAKE_TEST_ARM64_BUSYBOX to an arm64 busybox";
  fs::remove(image() / "bin/busybox");
  install("busybox", busybox);
  const Result result = run(foreign({"/bin/sh", "-c", "uname -m; echo a | cat; exit 3"}));
  EXPECT_EQ(result.output, "aarch64\na\n");
  EXPECT_EQ(result.status.code, 3);
}

}  // namespace
}  // namespace strake::sandbox
