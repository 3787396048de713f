// Mounts that a step asks for.

#include "layers/base/error.h"
#include "tests/sandbox/step_fixture.h"

namespace strake::sandbox {
namespace {

class Mounts : public StepTest {};

TEST_F(Mounts, ABoundDirectoryIsWritableUnlessReadOnly) {
  fs::create_directories(temporary() / "data");
  const base::FileDescriptor data(::open((temporary() / "data").c_str(), O_PATH | O_DIRECTORY));
  Spec step = shell("echo x > /data/file");
  step.mounts = {BindMount{data.get(), "/data"}};
  EXPECT_TRUE(run(step).status.success());
  EXPECT_EQ(base::read_file(temporary() / "data/file"), "x\n");

  step = shell("cat /data/file; echo y > /data/file");
  step.mounts = {BindMount{data.get(), "/data", true}};
  const Result result = run(step);
  EXPECT_NE(result.output.find("Read-only file system"), std::string::npos) << result.output;
  EXPECT_EQ(base::read_file(temporary() / "data/file"), "x\n");
}

TEST_F(Mounts, ABoundFileKeepsItsContent) {
  std::ofstream(temporary() / "one") << "one\n";
  const base::FileDescriptor file(::open((temporary() / "one").c_str(), O_PATH));
  Spec step = shell("cat /opt/one");
  step.mounts = {BindMount{file.get(), "/opt/one", true}};
  EXPECT_EQ(run(step).output, "one\n");
}

TEST_F(Mounts, ABindIsOfTheFileThatWasOpenedNotOfItsPath) {
  fs::create_directories(temporary() / "source");
  std::ofstream(temporary() / "source/right") << "right\n";
  const base::FileDescriptor source(::open((temporary() / "source").c_str(), O_PATH | O_DIRECTORY));
  fs::rename(temporary() / "source", temporary() / "moved");
  fs::create_symlink("/", temporary() / "source");
  Spec step = shell("ls /mnt");
  step.mounts = {BindMount{source.get(), "/mnt"}};
  EXPECT_EQ(run(step).output, "right\n");
}

TEST_F(Mounts, ATmpfsHasItsSizeAndMode) {
  Spec step = shell("stat -c %a /scratch; dd if=/dev/zero of=/scratch/f bs=1M count=2 2>&1");
  step.mounts = {TmpfsMount{"/scratch", 1 << 20, 01777}};
  const Result result = run(step);
  EXPECT_EQ(result.output.substr(0, 5), "1777\n");
  EXPECT_NE(result.output.find("No space left"), std::string::npos) << result.output;
}

TEST_F(Mounts, AnInlineFileHasItsModeAndOwnerAndIsReadOnly) {
  Spec step = shell("stat -c '%a %u:%g' /run/secrets/s; cat /run/secrets/s; echo > /run/secrets/s");
  step.uid = 1000;
  step.mounts = {InlineFile{"/run/secrets/s", "hush\n", 0400, 1000, 1001}};
  const Result result = run(step);
  EXPECT_EQ(result.output.substr(0, 19), "400 1000:1001\nhush\n");
  EXPECT_NE(result.status.code, 0);
}

TEST_F(Mounts, AnExecutableInlineFileCanBeRunFromDev) {
  Spec step = spec({"/dev/pipes/EOF"});
  step.mounts = {InlineFile{"/dev/pipes/EOF", "#!/bin/sh\necho \"$0\"\n", 0755}};
  EXPECT_EQ(run(step).output, "/dev/pipes/EOF\n");
  EXPECT_TRUE(changes().empty());
}

TEST_F(Mounts, AnInlineFileWithoutAnExecuteBitCannotBeMadeExecutable) {
  Spec step = spec({"/s"});
  step.mounts = {InlineFile{"/s", "#!/bin/sh\n", 0600}};
  EXPECT_EQ(run(step).status.code, 126);
}

TEST_F(Mounts, ATargetIsResolvedInTheImage) {
  fs::create_directories(image() / "run");
  fs::create_directories(image() / "var");
  fs::create_symlink("/run", image() / "var/run");
  Spec step = shell("cat /run/token");
  step.mounts = {InlineFile{"/var/run/token", "t\n"}};
  EXPECT_EQ(run(step).output, "t\n");
  fs::create_symlink("../../../..", image() / "var/up");
  step = shell("cat /token");
  step.mounts = {InlineFile{"/var/up/token", "t\n"}};
  EXPECT_EQ(run(step).output, "t\n");
}

TEST_F(Mounts, NoneOfThemOpensDevices) {
  fs::create_directories(temporary() / "data");
  const base::FileDescriptor data(::open((temporary() / "data").c_str(), O_PATH | O_DIRECTORY));
  // 1:11 is the host's kernel log.
  Spec step = shell(
      "for d in / /data /scratch /dev /dev/shm; do mknod $d/x c 1 11; cat $d/x; done 2>&1 |"
      "grep -c 'Permission denied'");
  step.mounts = {BindMount{data.get(), "/data"}, TmpfsMount{"/scratch"}};
  EXPECT_EQ(run(step).output, "5\n");
}

TEST_F(Mounts, TheShmSizeIsAsGiven) {
  Spec step = shell("dd if=/dev/zero of=/dev/shm/f bs=1M count=2 2>&1");
  step.shm_size_bytes = 1 << 20;
  EXPECT_NE(run(step).output.find("No space left"), std::string::npos);
}

}  // namespace
}  // namespace strake::sandbox
