#include <sched.h>
#include <sys/prctl.h>

#include "layers/base/fd.h"
#include "layers/snapshot/mount_stack.h"
#include "tests/snapshot/store_fixture.h"

namespace strake::layers {
namespace {

namespace fs = std::filesystem;
using test::TarBuilder;

constexpr uid_t kNobody = 65534;
constexpr int kSkip = 77;

/// Turns this process into root of a user namespace that maps nobody alone.
void become_rootless() {
  // Changing ids makes a process undumpable, and its /proc files root's.
  if (::setresgid(kNobody, kNobody, kNobody) != 0 || ::setresuid(kNobody, kNobody, kNobody) != 0 ||
      ::prctl(PR_SET_DUMPABLE, 1) != 0 || ::unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0)
    ::_exit(kSkip);
  test::write_file("/proc/self/setgroups", "deny");
  test::write_file("/proc/self/uid_map", "0 65534 1");
  test::write_file("/proc/self/gid_map", "0 65534 1");
}

/// A tree with owners that no user namespace of one id can give, and a device that it cannot make.
std::string foreign_tar() {
  return TarBuilder()
      .directory("home", {.mode = 0755, .uid = 1000, .gid = 1000, .mtime = 5})
      .file("home/f", "text", {.mode = 04640, .uid = 1000, .gid = 50, .mtime = 6})
      .hardlink("home/g", "home/f")
      .file("home/owned", "text", {.mode = 04640, .uid = 1000, .gid = 50, .mtime = 6})
      .symlink("home/link", "f", {.uid = 1000, .gid = 50, .mtime = 7})
      .fifo("home/pipe", {.mode = 0640, .uid = 1000, .gid = 50, .mtime = 7})
      .character_device("null", 1, 3)
      .file("opaque/.wh..wh..opq")
      .file(".wh.gone")
      .str();
}

oci::Layer adopt_foreign_tree(const Store& store, const LayerStore& layers) {
  base::TempDirectory work = store.make_ingest("test-");
  fs::create_directory(work.path() / "tree");
  base::StringSource source(foreign_tar());
  apply_layer(source, test::open_directory(work.path() / "tree").get(),
              {.xattrs = store.xattr_namespace()});
  return layers.adopt(std::move(work));
}

class Rootless : public test::StoreTest {
 protected:
  void SetUp() override {
    if (usable_xattr_namespace() != XattrNamespace::trusted)
      GTEST_SKIP() << "needs root, to compare with what root does";
    StoreTest::SetUp();
    fs::create_directory(top() / "nobody");
    ASSERT_EQ(::chown((top() / "nobody").c_str(), kNobody, kNobody), 0);
    fs::permissions(top(), fs::perms(0755));
  }
  void expect_success(test::Child child) {
    const int status = child.wait();
    if (status == kSkip) GTEST_SKIP() << "no user namespaces here";
    EXPECT_EQ(status, 0);
  }
};

TEST_F(Rootless, LayersHaveTheSameBytesAsForRoot) {
  const oci::Layer expected = adopt_foreign_tree(store(), layers());
  expect_success(test::Child([&] {
    become_rootless();
    const Store own = Store::open(top() / "nobody" / "store");
    const BlobStore own_blobs(own);
    const LayerStore own_layers(own, own_blobs);
    if (own.xattr_namespace() != XattrNamespace::user) ::_exit(2);
    if (adopt_foreign_tree(own, own_layers) != expected) ::_exit(3);
    base::HashingSink again;
    own_layers.write_tar(expected.diff_id, again);
    if (again.finish() != expected.diff_id.digest) ::_exit(4);
  }));
}

TEST_F(Rootless, StacksAreMountedAndGiveTheirChanges) {
  expect_success(test::Child([&] {
    become_rootless();
    const Store own = Store::open(top() / "nobody" / "store");
    const BlobStore own_blobs(own);
    const LayerStore own_layers(own, own_blobs);
    const std::string lower = TarBuilder().file("d/old").file("gone").str();
    base::StringSource source(lower);
    const std::vector<base::DiffId> layers = {own_layers.unpack(source, diff_id_of(lower)).diff_id};
    for (const char* forbidden : {"0", "1"}) {
      ::setenv("STRAKE_NO_FSOPEN", forbidden, 1);
      MountStack stack(own, own_layers, layers, Writable::yes);
      stack.root().remove_file("gone");
      stack.root().remove_tree("d");  // needs userxattr
      stack.root().make_directory("d", 0755);
      const std::vector<base::DiffId> both = {
          layers[0], own_layers.adopt(std::move(stack).take_upper()).diff_id};
      const MountStack merged(own, own_layers, both, Writable::no);
      if (merged.root().list("") != std::vector<std::string>{"d"}) ::_exit(2);
      if (!merged.root().list("d").empty()) ::_exit(3);
    }
  }));
}

}  // namespace
}  // namespace strake::layers
