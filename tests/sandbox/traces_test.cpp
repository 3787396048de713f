// What a step leaves in the upper directory: its own changes and nothing else.

#include <sys/stat.h>

#include "layers/base/error.h"
#include "tests/sandbox/step_fixture.h"

namespace strake::sandbox {
namespace {

using base::Error;
using Paths = std::set<std::string>;

class Traces : public StepTest {
 protected:
  static timespec mtime(const fs::path& path) {
    struct ::stat status {};
    EXPECT_EQ(::lstat(path.c_str(), &status), 0) << path;
    return status.st_mtim;
  }
  void age(const fs::path& path) {
    const timespec times[2] = {{1000000000, 5}, {1000000000, 5}};
    ASSERT_EQ(::utimensat(AT_FDCWD, path.c_str(), times, AT_SYMLINK_NOFOLLOW), 0);
  }
};

TEST_F(Traces, AreNoneInAnImageWithoutAnyDirectory) {
  output_of("true");
  EXPECT_EQ(changes(), Paths{});
}

TEST_F(Traces, AreNoneInAnImageWithTheUsualDirectories) {
  make_usual_directories();
  output_of("true");
  EXPECT_EQ(changes(), Paths{});
}

TEST_F(Traces, AreNoneInAnImageWithItsOwnNetworkFiles) {
  make_usual_directories();
  for (const char* name : {"etc/resolv.conf", "etc/hosts", "etc/hostname"})
    write(name, "image's\n");
  EXPECT_EQ(output_of("cat /etc/hostname"), "strake\n");
  EXPECT_EQ(changes(), Paths{});
  EXPECT_EQ(base::read_file(image() / "etc/resolv.conf"), "image's\n");
}

TEST_F(Traces, AreNoneWhereTheResolverFileIsADanglingSymlink) {
  make_usual_directories();
  fs::create_symlink("../run/systemd/resolve/stub-resolv.conf", image() / "etc/resolv.conf");
  Spec step = shell("cat /etc/resolv.conf");
  step.resolv_conf = "nameserver 192.0.2.1\n";
  EXPECT_EQ(run(step).output, "nameserver 192.0.2.1\n");
  EXPECT_EQ(changes(), Paths{});
}

TEST_F(Traces, AreNoneWhereTheResolverFileIsADirectory) {
  fs::create_directories(image() / "etc/resolv.conf");
  output_of("ls /etc/resolv.conf/");
  EXPECT_EQ(changes(), Paths{});
}

TEST_F(Traces, AreNoneWhereEtcIsASymlink) {
  fs::create_directories(image() / "usr/etc");
  fs::create_symlink("usr/etc", image() / "etc");
  EXPECT_EQ(output_of("cat /usr/etc/hostname"), "strake\n");
  EXPECT_EQ(changes(), Paths{});
}

TEST_F(Traces, AreNoneOfMountTargets) {
  fs::create_directories(image() / "root");
  fs::create_directories(temporary() / "cache");
  const base::FileDescriptor cache(::open((temporary() / "cache").c_str(), O_PATH | O_DIRECTORY));
  Spec step = shell("echo kept > /root/.cache/go/build/x; cat /run/secrets/token; df /var/scratch");
  step.mounts = {BindMount{cache.get(), "/root/.cache/go/build"},
                 InlineFile{"/run/secrets/token", "hush\n"}, TmpfsMount{"/var/scratch"}};
  const Result result = run(step);
  EXPECT_EQ(result.status.code, 0) << result.output;
  EXPECT_EQ(result.output.substr(0, 5), "hush\n");
  EXPECT_EQ(base::read_file(temporary() / "cache/x"), "kept\n");
  EXPECT_EQ(changes(), Paths{});
}

TEST_F(Traces, AreNoneInACacheThatHoldsAnotherMount) {
  fs::create_directories(temporary() / "cache");
  const base::FileDescriptor cache(::open((temporary() / "cache").c_str(), O_PATH | O_DIRECTORY));
  Spec step = shell("ls /cache; cat /cache/inner/file");
  step.mounts = {BindMount{cache.get(), "/cache"}, InlineFile{"/cache/inner/file", "in\n"}};
  EXPECT_EQ(run(step).output, "inner\nin\n");
  EXPECT_TRUE(fs::is_empty(temporary() / "cache"));
  EXPECT_EQ(changes(), Paths{});
}

TEST_F(Traces, AreNoneOfAStepThatCouldNotStart) {
  Spec step = shell("true");
  step.working_dir = "/bin/busybox";
  EXPECT_THROW(run(step), Error);
  EXPECT_EQ(changes(), Paths{});
  run(spec({"missing"}));
  EXPECT_EQ(changes(), Paths{});
}

TEST_F(Traces, KeepWhatTheStepWroteBesideThem) {
  make_usual_directories();
  output_of("echo x > /etc/motd; mkdir /srv; echo y > /run/pid");
  EXPECT_EQ(changes(), (Paths{"etc", "etc/motd", "run", "run/pid", "srv"}));
}

TEST_F(Traces, KeepADirectoryMadeForATargetThatTheStepUses) {
  Spec step = shell("echo x > /opt/app/own");
  step.mounts = {TmpfsMount{"/opt/app/cache"}};
  run(step);
  EXPECT_EQ(changes(), (Paths{"opt", "opt/app", "opt/app/own"}));
}

TEST_F(Traces, KeepChangedMetadataOfADirectoryWithAStub) {
  make_usual_directories();
  output_of("chmod 700 /etc");
  EXPECT_EQ(changes(), Paths{"etc"});
}

TEST_F(Traces, LeaveTheTimesOfDirectories) {
  make_usual_directories();
  age(image() / "etc");
  output_of("true");
  const timespec root = mtime(upper());
  EXPECT_EQ(output_of("stat -c %Y /etc"), "1000000000\n");

  // The step's own change counts, and is not hidden by taking a stub away.
  Spec step = shell("touch -d @1234567890 /etc");
  run(step);
  EXPECT_EQ(changes(), Paths{"etc"});
  EXPECT_EQ(mtime(upper() / "etc").tv_sec, 1234567890);
  EXPECT_GT(root.tv_sec, 0);
}

TEST_F(Traces, LeaveTheTimeOfTheRoot) {
  const Spec step = shell("stat -c %Y /");
  age(upper());
  EXPECT_EQ(run(step).output, "1000000000\n");
  EXPECT_EQ(mtime(upper()).tv_sec, 1000000000);
  EXPECT_EQ(mtime(upper()).tv_nsec, 5);
}

TEST_F(Traces, DoNotFollowAParentThatTheStepReplaced) {
  // The parent of the target is moved away and a symlink to a directory with a file of the same
  // name is put in its place: that one must survive.
  fs::create_directories(image() / "canary/b");
  Spec step = shell("mv /a /moved && ln -s /canary /a");
  step.mounts = {TmpfsMount{"/a/b"}};
  EXPECT_EQ(run(step).status.code, 0);
  EXPECT_TRUE(fs::is_directory(image() / "canary/b"));
  EXPECT_FALSE(changes().contains("canary/b"));
  EXPECT_FALSE(fs::exists(upper() / "moved/b"));
}

TEST_F(Traces, AreNoneOverALayerOfMountPoints) {
  fs::create_directories(temporary() / "points");
  make_mount_point_layer(temporary() / "points");
  make_mount_point_layer(temporary() / "points");
  const test::OverlayMount root(image().native() + ":" + (temporary() / "points").native(),
                                temporary() / "stacked");
  Spec step = shell("cat /etc/hostname; echo $$");
  step.rootfs_fd = root.fd();
  step.upper_fd = root.upper_fd();
  EXPECT_EQ(run(step).output, "strake\n2\n");
  EXPECT_TRUE(fs::is_empty(root.upper()));
}

TEST_F(Traces, RefuseAnImageWhoseKernelDirectoriesAreSymlinks) {
  fs::create_directories(image() / "elsewhere");
  for (const char* name : {"proc", "sys", "dev"}) {
    fs::create_symlink("/elsewhere", image() / name);
    try {
      run(shell("true"));
      FAIL() << name;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), base::ErrorCode::invalid_input);
    }
    fs::remove(image() / name);
  }
}

TEST_F(Traces, RefuseTargetsThatAreNotTheUsers) {
  fs::create_symlink("/proc", image() / "link");
  for (const char* target :
       {"/", "/proc", "/proc/self", "/sys/fs", "/dev", "relative", "/link/1"}) {
    Spec step = shell("true");
    step.mounts = {TmpfsMount{target}};
    EXPECT_THROW(run(step), Error) << target;
    EXPECT_EQ(changes(), Paths{}) << target;
  }
}

TEST_F(Traces, RefuseAFileOnADirectoryAndTheReverse) {
  fs::create_directories(image() / "d");
  Spec file = shell("true");
  file.mounts = {InlineFile{"/d", "x"}};
  EXPECT_THROW(run(file), Error);
  Spec directory = shell("true");
  directory.mounts = {TmpfsMount{"/bin/busybox"}};
  EXPECT_THROW(run(directory), Error);
}

}  // namespace
}  // namespace strake::sandbox
