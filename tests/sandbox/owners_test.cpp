#include <grp.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include "builder/sandbox/id_map.h"
#include "builder/sandbox/owners/calls.h"
#include "layers/base/recorded_owner.h"
#include "tests/sandbox/step_fixture.h"

namespace strake::sandbox {
namespace {

/// Steps of a builder that is user nobody, in a user namespace with one id.
class Owners : public StepTest {
 protected:
  void SetUp() override {
    if (::geteuid() != 0 || !has_capability(own_capabilities(), 21))
      GTEST_SKIP() << "needs root, to become nobody";
    if (!become_nobody()) GTEST_SKIP() << "no user namespaces here";
    StepTest::SetUp();
    if (IsSkipped()) return;
    install("owner_probe", STRAKE_OWNER_PROBE);
    install("tar", kBusybox);
    install("su", kBusybox);
    make_usual_directories();
    write("etc/passwd", "root:x:0:0::/root:/bin/sh\napp:x:1000:1000::/home:/bin/sh\n");
    write("etc/group", "root:x:0:\napp:x:1000:\nshadow:x:42:app\n");
  }

  /// There is no way back, so once for all tests of the process.
  static bool become_nobody() {
    static const bool entered = [] {
      constexpr uid_t kNobody = 65534;
      if (::setgroups(0, nullptr) != 0 || ::setresgid(kNobody, kNobody, kNobody) != 0 ||
          ::setresuid(kNobody, kNobody, kNobody) != 0 || ::prctl(PR_SET_DUMPABLE, 1) != 0 ||
          ::unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0)
        return false;
      std::ofstream("/proc/self/setgroups") << "deny";
      std::ofstream("/proc/self/uid_map") << "0 65534 1";
      std::ofstream("/proc/self/gid_map") << "0 65534 1";
      forget_own_maps();
      return needed_supervision() == Supervision::owners;
    }();
    return entered;
  }

  std::string probe(const std::string& words) { return output_of("owner_probe " + words); }
  std::string recorded(const fs::path& below_upper) const {
    const base::FileDescriptor file(
        ::open((upper() / below_upper).c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
    struct ::stat status;
    if (::fstat(file.get(), &status) != 0) return "absent";
    const auto owner =
        base::read_recorded_owner(base::DescriptorPath(file.get()).c_str(), status.st_mode);
    return owner ? base::to_string(*owner) : "nothing";
  }
};

TEST_F(Owners, ChangesOfOwnerAreRecordedAndSeen) {
  EXPECT_EQ(output_of("touch f; mkdir d; ln -s f l; mkfifo p;"
                      "chown 1000:50 f; chown 1000 d; chown :42 p; chown -h 7:8 l;"
                      "stat -c %n=%u:%g f d p l; stat -Lc %n=%u:%g l; cd d; stat -c %u:%g . ../f"),
            "f=1000:50\nd=1000:0\np=0:42\nl=7:8\nl=1000:50\n1000:0\n1000:50\n");
  EXPECT_EQ(recorded("f"), "1000:50");
  EXPECT_EQ(recorded("d"), "1000:0");
  EXPECT_EQ(recorded("p"), "0:42");
  EXPECT_EQ(recorded("l"), "7:8");
}

TEST_F(Owners, OwnersFollowTheFileAndAreTakenBack) {
  EXPECT_EQ(output_of("touch f g; ln -s f l; chown 1000:50 f g; chown -h 7:8 l;"
                      "mv f f2; ln f2 f3; mv l l2; chown 0:0 g; stat -c %n=%u:%g f2 f3 l2 g"),
            "f2=1000:50\nf3=1000:50\nl2=7:8\ng=0:0\n");
  EXPECT_EQ(recorded("g"), "nothing");
}

TEST_F(Owners, FilesOfTheImageAreCopiedUpWithTheirOwners) {
  write("lower", "text");
  const std::string owner = "1000:50";
  ASSERT_EQ(
      ::setxattr((image() / "lower").c_str(), base::kOwnerXattr, owner.data(), owner.size(), 0), 0);
  EXPECT_EQ(output_of("stat -c %u:%g /lower; echo more >> /lower; stat -c %u:%g /lower;"
                      "chown :7 /lower; stat -c %u:%g /lower"),
            "1000:50\n1000:50\n1000:7\n");
  EXPECT_EQ(recorded("lower"), "1000:7");
}

TEST_F(Owners, ChangingTheOwnerClearsSetuidAsItDoesForRoot) {
  EXPECT_EQ(
      output_of("touch f; chmod 6755 f; chown 1000 f; stat -c %a f; chmod 4755 f; stat -c %a f"),
      "755\n4755\n");
}

TEST_F(Owners, EveryKindOfStatShowsThem) {
  EXPECT_EQ(probe("create f chown f 1 2 stat /f lstat f fstat f statx f"),
            "open 0\nchown 0\n/f 1:2 100644 0,0\nf 1:2 100644 0,0\nf 1:2 100644 0,0\n"
            "f 1:2 100644 0,0\n");
}

TEST_F(Owners, DevicesAreRecorded) {
  EXPECT_EQ(output_of("mknod -m 640 null c 1 3; mknod sda b 8 0; chown 0:6 sda; chmod 660 sda;"
                      "stat -c '%n %F %a %u:%g %t,%T' null sda; test -c null; test -b sda"),
            "null character special file 640 0:0 1,3\nsda block special file 660 0:6 8,0\n");
  EXPECT_EQ(recorded("null"), "0:0:20640:1:3");
  EXPECT_EQ(recorded("sda"), "0:6:60666:8:0");
}

TEST_F(Owners, ProcessesAreWhoTheySayAndPassItOn) {
  EXPECT_EQ(probe("setgroups 2 42 50 setresgid 1000 1000 1000 setresuid 1000 1000 1000 "
                  "ids groups fork ids groups exec /bin/sh -c 'id -u; id -G'"),
            "setgroups 0\nsetresgid 0\nsetresuid 0\nids 1000 1000 1000 1000 1000 1000\n"
            "groups 42 50\nids 1000 1000 1000 1000 1000 1000\ngroups 42 50\n1000\n1000 42 50\n");
}

TEST_F(Owners, WhoIsNoLongerRootCannotBecomeRootAgain) {
  EXPECT_EQ(probe("setuid 1000 setuid 0 setgid 0 setgroups 0 setresuid -1 0 -1 device null"),
            "setuid 0\nsetuid -EPERM\nsetgid 0\nsetgroups -EPERM\nsetresuid -EPERM\n"
            "device -EPERM\n");
  EXPECT_EQ(probe("seteuid 1000 create a seteuid 0 create b stat a stat b"),
            "seteuid 0\nopen 0\nseteuid 0\nopen 0\na 1000:0 100644 0,0\nb 0:0 100644 0,0\n");
}

TEST_F(Owners, AllThreadsOfAProcessAreTheSameUser) {
  EXPECT_EQ(probe("thread setuid 1000 ids thread ids"),
            "setuid 0\nids 1000 1000 1000 0 0 0\nids 1000 1000 1000 0 0 0\n");
}

TEST_F(Owners, WhoSetsAllLimitsStaysWhoHeIs) {
  EXPECT_EQ(
      probe("setgroups 1 42 setuid 1000 reset-limits ids groups"),
      "setgroups 0\nsetuid 0\nequal 1\nreset-limits 0\nids 1000 1000 1000 0 0 0\ngroups 42\n");
}

TEST_F(Owners, NewFilesBelongToTheirMaker) {
  EXPECT_EQ(
      probe("mkdir w setresgid 50 50 50 setresuid 1000 1000 1000 umask 027 create w/a new w/b "
            "unnamed w w/u mkdir w/d fifo w/p symlink w/l stat w/a stat w/b stat w/u stat w/d "
            "stat w/p lstat w/l new w/b create w/a"),
      "mkdir 0\nsetresgid 0\nsetresuid 0\numask 18\nopen 0\nopen 0\nunnamed 0\nmkdir 0\nfifo 0\n"
      "symlink 0\nw/a 1000:50 100640 0,0\nw/b 1000:50 100640 0,0\nw/u 1000:50 100600 0,0\n"
      "w/d 1000:50 40750 0,0\nw/p 1000:50 10640 0,0\nw/l 1000:50 120777 0,0\n"
      "open -EEXIST\nopen 0\n");
}

TEST_F(Owners, OpeningAFileThatIsThereDoesNotChangeItsOwner) {
  EXPECT_EQ(probe("create f setuid 1000 create f stat f"),
            "open 0\nsetuid 0\nopen 0\nf 0:0 100644 0,0\n");
}

TEST_F(Owners, ASymlinkToNothingIsFollowedWhenAFileIsMade) {
  EXPECT_EQ(output_of("mkdir d; ln -s /d/file l; owner_probe setuid 1000 create l; "
                      "stat -c %u:%g d/file"),
            "setuid 0\nopen 0\n1000:0\n");
}

TEST_F(Owners, TheGroupOfADirectoryWithSetgidIsInherited) {
  EXPECT_EQ(output_of("mkdir d; chown 0:42 d; chmod 2775 d; touch d/f; mkdir d/e; ln -s x d/l;"
                      "stat -c '%n %u:%g %a' d/f d/e d/l"),
            "d/f 0:42 644\nd/e 0:42 2755\nd/l 0:42 777\n");
}

TEST_F(Owners, OnlyRootGivesFilesAway) {
  EXPECT_EQ(
      probe("create f mkdir w chown w 1000 1000 setgroups 1 42 setresgid 1000 1000 1000 setuid "
            "1000 chown f 1000 1000 create w/f chown w/f 0 -1 chown w/f -1 42 chown w/f -1 50"),
      "open 0\nmkdir 0\nchown 0\nsetgroups 0\nsetresgid 0\nsetuid 0\nchown -EPERM\nopen 0\n"
      "chown -EPERM\nchown 0\nchown -EPERM\n");
}

TEST_F(Owners, SetuidProgramsMakeRoot) {
  EXPECT_EQ(output_of("cp /bin/owner_probe /bin/mine; chown 7:42 /bin/mine; chmod 6755 /bin/mine;"
                      "cp /bin/owner_probe /bin/root; chmod 4755 /bin/root;"
                      "owner_probe setresgid 1000 1000 1000 setuid 1000 exec /bin/root ids;"
                      "owner_probe setresgid 1000 1000 1000 setuid 1000 exec /bin/mine ids"),
            "setresgid 0\nsetuid 0\nids 1000 0 0 1000 1000 1000\n"
            "setresgid 0\nsetuid 0\nids 1000 7 7 1000 42 42\n");
}

TEST_F(Owners, SuBecomesAnotherUser) {
  EXPECT_EQ(output_of("su app -c 'id; touch /tmp/of-app; stat -c %U:%G /tmp/of-app'"),
            "uid=1000(app) gid=1000(app) groups=1000(app),42(shadow)\napp:app\n");
}

TEST_F(Owners, ACommandCanBeAnotherUserFromTheStart) {
  Spec app = shell("id; id -G; touch f; stat -c %u:%g f .");
  app.uid = app.gid = 1000;
  app.groups = {42};
  app.working_dir = "/made/here";
  const Result result = run(app);
  EXPECT_EQ(
      result.output,
      "uid=1000(app) gid=1000(app) groups=1000(app),42(shadow)\n1000 42\n1000:1000\n1000:1000\n");
  EXPECT_EQ(recorded("made/here"), "1000:1000");
}

TEST_F(Owners, ArchivesKeepOwners) {
  EXPECT_EQ(output_of("mkdir d; touch d/f; chown 1000:50 d/f; ln -s f d/l; chown -h 7:8 d/l;"
                      "tar cf a.tar d/f; mkdir out; tar xf a.tar -C out; cp -a d/l out/d/l; stat "
                      "-c %u:%g out/d/f out/d/l"),
            "1000:50\n7:8\n");
}

TEST_F(Owners, TheRecordIsNoAttributeOfTheFile) {
  EXPECT_EQ(probe("create f chown f 1 2 attributes f"), "open 0\nchown 0\nattributes 0\n");
}

TEST_F(Owners, PathsBeginAtTheRootOfTheProcess) {
  EXPECT_EQ(output_of("mkdir -p r/bin r/etc; cp /bin/owner_probe r/bin; ln -s /etc/f r/link;"
                      "busybox chroot r /bin/owner_probe create /etc/f chown /link 5 6 stat /link;"
                      "stat -c %u:%g r/etc/f; test ! -e /etc/f"),
            "open 0\nchown 0\n/link 5:6 100644 0,0\n5:6\n");
}

TEST_F(Owners, TheOutputOfAStepCanBeGivenAway) {
  EXPECT_EQ(output_of("chown 1000 /dev/stdout /proc/self/fd/2 && echo done"), "done\n");
}

TEST_F(Owners, ManyProcessesAtOnceGetTheirOwnAnswers) {
  EXPECT_EQ(output_of("mkdir t; for i in 1 2 3 4 5 6 7 8; do (for j in 1 2 3 4 5 6 7 8 9 10; do "
                      "touch t/$i-$j; chown $i:$j t/$i-$j; done) & done; wait;"
                      "for i in 1 2 3 4 5 6 7 8; do for j in 1 2 3 4 5 6 7 8 9 10; do "
                      "test $(stat -c %u:%g t/$i-$j) = $i:$j || echo wrong $i $j; done; done"),
            "");
}

TEST_F(Owners, AStepThatIsKilledLeavesNothingBehind) {
  std::stop_source stop;
  sandbox_->kill_now();
  std::jthread killer([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(300));
    stop.request_stop();
  });
  const Spec busy = shell("while true; do stat /etc/passwd; chown 1 /etc/group; done");
  EXPECT_THROW(run(busy, stop.get_token()), base::Error);
}

}  // namespace
}  // namespace strake::sandbox
