// What a step does to a copied root must give the same layer as what it does to an overlay.

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cstdlib>
#include <functional>
#include <random>
#include <set>

#include "layers/archive/tar_writer.h"
#include "layers/snapshot/copied_roots.h"
#include "layers/snapshot/diff.h"
#include "layers/snapshot/layer_onto_tree.h"
#include "layers/snapshot/root_tree.h"
#include "tests/snapshot/store_fixture.h"
#include "tests/support/overlay_mount.h"

namespace strake::layers {
namespace {

namespace fs = std::filesystem;
using test::TarBuilder;

constexpr std::int64_t kEpoch = 1'500'000'000;  // later times are clamped: they differ by run

/// One store with overlays, and the same one in which roots are copied.
class CopiedRootTest : public test::StoreTest {
 protected:
  void SetUp() override {
    StoreTest::SetUp();
    if (usable_xattr_namespace() != XattrNamespace::trusted)
      GTEST_SKIP() << "needs root: owners, devices, overlays";
    copying_.emplace(Store::open(root()));
    copying_->copied_roots().require();
    copying_blobs_.emplace(*copying_);
    copying_layers_.emplace(*copying_, *copying_blobs_);
  }
  void TearDown() override {
    copying_layers_.reset();
    copying_blobs_.reset();
    copying_.reset();
  }

  RootTree overlay(const std::vector<base::DiffId>& stack, Writable writable = Writable::yes) {
    return RootTree(store(), layers(), stack, writable);
  }
  RootTree copy(const std::vector<base::DiffId>& stack, Writable writable = Writable::yes) {
    return RootTree(*copying_, *copying_layers_, stack, writable);
  }
  const LayerStore& copying_layers() const { return *copying_layers_; }
  const Store& copying() const { return *copying_; }

  static std::string tar_of(int tree, const DiffOptions& options) {
    base::StringSink out;
    TarWriter tar(out);
    write_tree_as_tar(tree, tar, options);
    tar.finish();
    return out.text;
  }
  /// `work` is what was taken from `root`.
  static std::string layer_of(const RootTree& root, const base::TempDirectory& work) {
    return tar_of(test::open_directory(work.path() / "tree").get(),
                  {.clamp_mtime = kEpoch, .below = root.below()});
  }
  /// Everything the root shows.
  static std::string view_of(const RootTree& root) {
    return tar_of(root.root().open("", O_RDONLY | O_DIRECTORY).get(),
                  {.clamp_mtime = kEpoch, .overlay_form = false});
  }
  /// The layer of what `step` does, on an overlay; on a copy it must be the same.
  std::string expect_same(const std::vector<base::DiffId>& stack,
                          const std::function<void(const fs::path&)>& step) {
    RootTree over = overlay(stack), copied = copy(stack);
    step(path_of(over));
    step(path_of(copied));
    const std::string want = layer_of(over, over.take_upper());
    const std::string got = layer_of(copied, copied.take_upper());
    EXPECT_TRUE(got == want) << "on an overlay:\n"
                             << names_of(want) << "\non a copy:\n"
                             << names_of(got);
    return want;
  }
  /// A path that programs can use too.
  static fs::path path_of(const RootTree& root) {
    return "/proc/" + std::to_string(::getpid()) + "/fd/" + std::to_string(root.root().fd());
  }
  /// For messages: what the entries of a tar are, by unpacking it.
  std::string names_of(const std::string& tar) const {
    const base::TempDirectory work(testing::TempDir(), "names-");
    base::StringSource source(tar);
    apply_layer(source, test::open_directory(work.path()).get(), {});
    return test::listing(work.path());
  }

 private:
  std::optional<Store> copying_;
  std::optional<BlobStore> copying_blobs_;
  std::optional<LayerStore> copying_layers_;
};

void run(const std::vector<std::string>& argv) {
  const pid_t pid = ::fork();
  if (pid == 0) {
    std::vector<char*> words;
    for (const std::string& word : argv) words.push_back(const_cast<char*>(word.c_str()));
    words.push_back(nullptr);
    ::execvp(words[0], words.data());
    ::_exit(127);
  }
  int status = 0;
  ::waitpid(pid, &status, 0);
  EXPECT_EQ(status, 0) << argv.front();
}

void set_owner(const fs::path& path, uid_t uid, gid_t gid) {
  EXPECT_EQ(::lchown(path.c_str(), uid, gid), 0) << path;
}

std::string base_tar() {
  return TarBuilder()
      .directory("d")
      .file("d/a", "a")
      .file("d/b", "b")
      .directory("d/sub")
      .file("d/sub/x", "x")
      .file("f", "f")
      .file("one", "linked")
      .hardlink("two", "one")
      .symlink("s", "f")
      .str();
}

TEST_F(CopiedRootTest, NothingDoneIsAnEmptyLayer) {
  const oci::Layer layer = unpack(base_tar());
  EXPECT_EQ(expect_same({layer.diff_id}, [](const fs::path&) {}), TarBuilder().str());
}

TEST_F(CopiedRootTest, ChangesAreThoseOfAnOverlay) {
  const std::vector<base::DiffId> stack = {unpack(base_tar()).diff_id};
  const std::vector<std::function<void(const fs::path&)>> steps = {
      [](const fs::path& r) { fs::remove(r / "f"); },
      [](const fs::path& r) { fs::remove_all(r / "d"); },
      [](const fs::path& r) { fs::remove_all(r / "d"), fs::create_directory(r / "d"); },
      [](const fs::path& r) { fs::remove_all(r / "d/sub"), test::write_file(r / "d/sub", "file"); },
      [](const fs::path& r) { fs::remove(r / "f"), fs::create_directory(r / "f"); },
      [](const fs::path& r) { fs::remove(r / "s"), fs::create_directory_symlink("d", r / "s"); },
      [](const fs::path& r) { fs::rename(r / "f", r / "g"); },
      [](const fs::path& r) { fs::rename(r / "f", r / "d/a"); },
      [](const fs::path& r) {
        run({"mv", r / "d", r / "e"});
      },
      [](const fs::path& r) { ::chmod((r / "d/a").c_str(), 04755); },
      [](const fs::path& r) { ::chmod((r / "d/a").c_str(), 0644); },  // what it is already
      [](const fs::path& r) { set_owner(r / "d", 5, 6); },
      [](const fs::path& r) { set_owner(r / "s", 5, 6); },
      [](const fs::path& r) { ::setxattr((r / "f").c_str(), "user.x", "1", 1, 0); },
      [](const fs::path& r) { fs::create_hard_link(r / "f", r / "d/link"); },
      [](const fs::path& r) { fs::remove(r / "one"); },
      [](const fs::path& r) { fs::rename(r / "one", r / "three"); },
      [](const fs::path& r) {
        run({"chown", "-R", "7:8", r / "."});
      },
      [](const fs::path& r) { test::write_file(r / "d/sub/x", "other"); },
      [](const fs::path& r) { fs::create_directories(r / "new/deep"); },
      [](const fs::path& r) { ::mkfifo((r / "fifo").c_str(), 0600); },
      [](const fs::path& r) { ::mknod((r / "null").c_str(), S_IFCHR | 0666, ::makedev(1, 3)); },
  };
  for (std::size_t i = 0; i < steps.size(); ++i) {
    SCOPED_TRACE(i);
    expect_same(stack, steps[i]);
  }
}

TEST_F(CopiedRootTest, LayersAreCopiedOnTopOfEachOther) {
  const std::vector<base::DiffId> stack = {
      unpack(base_tar()).diff_id,
      unpack(TarBuilder().file(".wh.f").file("d/.wh..wh..opq").file("d/n", "n").str()).diff_id,
      unpack(TarBuilder().directory("f").file("f/in", "1").file(".wh.one").str()).diff_id};
  EXPECT_TRUE(view_of(copy(stack, Writable::no)) == view_of(overlay(stack, Writable::no)));
}

/// More directories, files and bytes than are copied at one go, and something of everything else.
TEST_F(CopiedRootTest, BigLayersAreCopiedWithAllTheirMetadata) {
  TarBuilder lower, upper;
  lower.directory("setgid", {.mode = 02775, .gid = 50}).file("setgid/in", "group of its own");
  for (int i = 0; i < 250; ++i) {
    const std::string directory = "d" + std::to_string(i);
    const std::uint32_t owner = static_cast<std::uint32_t>(i % 3);
    lower.directory(directory, {.mode = i % 2 == 0 ? 0555U : 0700U, .uid = owner, .mtime = i});
    for (int j = 0; j < 3; ++j)
      lower.file(directory + "/f" + std::to_string(j), std::string(1 + i * j, 'x'),
                 {.mode = j == 2 ? 04511U : 0640U, .gid = owner, .mtime = 1000 + j});
    lower.hardlink(directory + "/link", directory + "/f0", {.mode = 0640, .gid = owner});
    upper.file(directory + "/f1/was", "a file");  // a directory in its place
    upper.file(directory + "/z", "in a directory that was there");
  }
  lower.file("large", std::string(6 << 20, 'l'), {.mode = 0400, .mtime = 7});
  upper.file("d7/link", "no link any more").file("setgid/new", "root's");
  const std::vector<base::DiffId> stack = {unpack(lower.str()).diff_id,
                                           unpack(upper.str()).diff_id};
  EXPECT_TRUE(view_of(copy(stack, Writable::no)) == view_of(overlay(stack, Writable::no)));
}

TEST_F(CopiedRootTest, HolesStayHoles) {
  const fs::path work = root() / "sparse";
  fs::create_directories(work / "tree");
  test::write_file(work / "tree/sparse", "beginning");
  fs::resize_file(work / "tree/sparse", 64 << 20);
  const base::FileDescriptor layer = test::open_directory(work / "tree");
  fs::create_directories(work / "root");
  put_layer_onto(layer.get(), test::open_directory(work / "root").get(), XattrNamespace::trusted);
  const struct ::stat copied = test::stat_of(work / "root/sparse");
  EXPECT_EQ(copied.st_size, 64 << 20);
  EXPECT_LT(copied.st_blocks * 512, 1 << 20);
}

TEST_F(CopiedRootTest, LinksInsideALayerStayLinks) {
  const RootTree root = copy({unpack(base_tar()).diff_id}, Writable::no);
  EXPECT_EQ(root.root().lstat("one")->st_ino, root.root().lstat("two")->st_ino);
}

TEST_F(CopiedRootTest, TheNextStepStartsFromTheSameDirectory) {
  const std::vector<base::DiffId> below = {unpack(base_tar()).diff_id};
  RootTree root = copy(below);
  const ino_t inode = root.root().stat("")->st_ino;
  test::write_file(path_of(root) / "new", "1");
  const oci::Layer layer = copying_layers().adopt(root.take_upper(), {.clamp_mtime = kEpoch});
  root.settle(layer.diff_id);

  const RootTree next = copy({below.front(), layer.diff_id});
  EXPECT_EQ(next.root().stat("")->st_ino, inode);
  EXPECT_EQ(next.root().lstat("new")->st_mtim.tv_sec, kEpoch);  // as the layer has it
  EXPECT_EQ(next.root().lstat("new")->st_mtim.tv_nsec, 0);
}

TEST_F(CopiedRootTest, AFailedStepLeavesNoRoot) {
  const std::vector<base::DiffId> stack = {unpack(base_tar()).diff_id};
  {
    RootTree root = copy(stack);
    test::write_file(path_of(root) / "new", "1");
  }
  EXPECT_FALSE(copy(stack, Writable::no).root().lstat("new"));
}

TEST_F(CopiedRootTest, ReadersShareARoot) {
  const std::vector<base::DiffId> stack = {unpack(base_tar()).diff_id};
  const RootTree one = copy(stack, Writable::no), other = copy(stack, Writable::no);
  EXPECT_EQ(one.root().stat("")->st_ino, other.root().stat("")->st_ino);
  const RootTree writer = copy(stack);
  EXPECT_NE(one.root().stat("")->st_ino, writer.root().stat("")->st_ino);
}

TEST_F(CopiedRootTest, WhatTheBuilderTouchedCountsOnlyIfItIsDifferent) {
  const std::vector<base::DiffId> stack = {unpack(base_tar()).diff_id};
  RootTree root = copy(stack);
  const fs::path path = path_of(root);
  const struct ::stat before = test::stat_of(path / "d");
  test::write_file(path / "d/stub", "");
  fs::remove(path / "d/stub");
  const struct timespec times[2] = {before.st_atim, before.st_mtim};
  ::utimensat(AT_FDCWD, (path / "d").c_str(), times, 0);
  ::chmod((path / "f").c_str(), 0600);
  const std::vector<std::string> touched = {"/d", "/f"};
  root.disregard(touched);
  const base::TempDirectory upper = root.take_upper();
  EXPECT_FALSE(fs::exists(upper.path() / "tree/d"));
  EXPECT_TRUE(fs::exists(upper.path() / "tree/f"));
}

TEST_F(CopiedRootTest, OverlaysMarksOfAStepMeanNothing) {
  const std::vector<base::DiffId> stack = {unpack(base_tar()).diff_id};
  RootTree root = copy(stack);
  ASSERT_EQ(::setxattr((path_of(root) / "d").c_str(), "trusted.overlay.opaque", "y", 1, 0), 0);
  const base::TempDirectory upper = root.take_upper();
  EXPECT_FALSE(test::is_opaque_at(upper.path() / "tree/d"));
}

TEST_F(CopiedRootTest, AStoreOnAnOverlayHasWhiteoutsThatAreFiles) {
  const fs::path lower = top() / "lower";
  fs::create_directory(lower);
  const test::OverlayMount container(lower, top() / "container");
  const fs::path path =
      "/proc/" + std::to_string(::getpid()) + "/fd/" + std::to_string(container.fd()) + "/store";
  const Store inner = Store::open(path);
  const BlobStore blobs(inner);
  const LayerStore trees(inner, blobs);
  base::StringSource source(base_tar());
  const oci::Layer base = trees.unpack(source, diff_id_of(base_tar()));
  const auto step = [](const fs::path& r) {
    fs::remove(r / "f");
    fs::remove_all(r / "d");
  };

  RootTree root(inner, trees, std::vector{base.diff_id}, Writable::yes);
  EXPECT_TRUE(root.is_copied());  // overlayfs takes no upper directory there
  step(path_of(root));
  const oci::Layer layer = trees.adopt(root.take_upper(), {});
  EXPECT_EQ(layer.diff_id, diff_id_of(expect_same({unpack(base_tar()).diff_id}, step)));
  EXPECT_FALSE(test::is_whiteout_at(trees.tree_path(layer.diff_id) / "f"));

  // Both ways back: the same tar, and the same files.
  base::StringSink tar;
  trees.write_tar(layer.diff_id, tar);
  EXPECT_EQ(diff_id_of(tar.text), layer.diff_id);
  const RootTree again(inner, trees, std::vector{base.diff_id, layer.diff_id}, Writable::no);
  EXPECT_EQ(again.root().list(""), (std::vector<std::string>{"one", "s", "two"}));
}

// ---- random steps -------------------------------------------------------------------------------

/// Does the same random things to several roots. What is possible is read from the first one.
class RandomStep {
 public:
  RandomStep(std::uint32_t seed, std::vector<fs::path> roots)
      : random_(seed), roots_(std::move(roots)) {
    for (const auto& entry : fs::recursive_directory_iterator(roots_.front())) {
      // In an overlay the names that upper layers removed count too.
      const struct ::stat status = test::stat_of(entry.path());
      const auto links =
          test::stat_of(roots_.back() / entry.path().lexically_relative(roots_.front())).st_nlink;
      if (!S_ISDIR(status.st_mode) && std::max(status.st_nlink, links) > 1)
        linked_.insert(status.st_ino);
    }
  }

  std::string step() {
    switch (below(17)) {
      case 0: {
        const std::string name = fresh(), text = std::to_string(below(1000));
        return did("write " + name, [&](const fs::path& r) { test::write_file(r / name, text); });
      }
      case 1: {
        const std::string name = file();
        return did("append " + name,
                   [&](const fs::path& r) { std::ofstream(r / name, std::ios::app) << "more"; });
      }
      case 2: {
        const std::string name = fresh();
        return did("mkdir " + name, [&](const fs::path& r) { fs::create_directory(r / name); });
      }
      case 3: {
        const std::string name = any();
        return did("rm -r " + name, [&](const fs::path& r) { fs::remove_all(r / name); });
      }
      case 4: {
        const std::string name = directory();
        return did("remake " + name, [&](const fs::path& r) {
          fs::remove_all(r / name);
          fs::create_directory(r / name);
        });
      }
      case 5: {
        const std::string name = any();
        return did("file for " + name, [&](const fs::path& r) {
          fs::remove_all(r / name);
          test::write_file(r / name, "replaced");
        });
      }
      case 6: {
        const std::string name = any();
        return did("directory for " + name, [&](const fs::path& r) {
          fs::remove_all(r / name);
          fs::create_directories(r / name / "inner");
        });
      }
      case 7: {
        const std::string name = any();
        return did("symlink for " + name, [&](const fs::path& r) {
          fs::remove_all(r / name);
          fs::create_symlink("somewhere", r / name);
        });
      }
      case 8: {
        const std::string name = file(), to = fresh();
        return did("rename " + name + " " + to,
                   [&](const fs::path& r) { fs::rename(r / name, r / to); });
      }
      case 9: {
        const std::string name = directory(), to = fresh();
        if (to.starts_with(name + "/") || has_linked_files(name)) return "";
        return did("mv " + name + " " + to, [&](const fs::path& r) {
          run({"mv", "-T", r / name, r / to});
        });
      }
      case 10: {
        const std::string name = file(), to = fresh();
        return did("ln " + name + " " + to,
                   [&](const fs::path& r) { fs::create_hard_link(r / name, r / to); });
      }
      case 11: {
        const std::string name = pick([this](const struct ::stat& status) {
          return !S_ISLNK(status.st_mode) && is_alone(status);
        });
        const mode_t mode = 0400 | below(02000);  // mv by copying inherits setgid
        return did("chmod " + name, [&](const fs::path& r) { ::chmod((r / name).c_str(), mode); });
      }
      case 12: {
        const std::string name = changeable();
        const uid_t owner = below(3);
        return did("chown " + name, [&](const fs::path& r) { set_owner(r / name, owner, owner); });
      }
      case 13: {
        // Nothing that shows: overlayfs copies the file up all the same.
        const std::string name = file();
        return did("open " + name, [&](const fs::path& r) {
          const struct ::stat status = test::stat_of(r / name);
          const std::fstream opened(r / name, std::ios::in | std::ios::out);
          ::chmod((r / name).c_str(), status.st_mode & 07777);
        });
      }
      case 14: {
        const std::string name = changeable();
        const struct timespec times[2] = {{0, UTIME_OMIT}, {1'300'000'000 + below(9), 7}};
        return did("touch " + name, [&](const fs::path& r) {
          ::lsetxattr((r / name).c_str(), "user.mark", "1", 1, 0);
          ::utimensat(AT_FDCWD, (r / name).c_str(), times, AT_SYMLINK_NOFOLLOW);
        });
      }
      case 15: {
        // Of all names of a file: an overlay changes one at a time. And to another owner: that one
        // of its names was removed and nothing was changed looks the same.
        const std::string owner = std::to_string(++next_owner_);
        return did("chown -R " + owner, [&](const fs::path& r) {
          run({"chown", "-hR", owner + ":" + owner, r / "."});
        });
      }
      default: {
        const std::string name = fresh();
        return did("mkfifo " + name,
                   [&](const fs::path& r) { ::mkfifo((r / name).c_str(), 0640); });
      }
    }
  }

 private:
  struct Nothing {};

  std::uint32_t below(std::uint32_t end) { return static_cast<std::uint32_t>(random_() % end); }

  std::string did(const std::string& what, const std::function<void(const fs::path&)>& operation) {
    for (const fs::path& root : roots_) operation(root);
    return what;
  }

  std::string pick(const std::function<bool(const struct ::stat&)>& suits) {
    std::vector<std::string> names;
    for (const auto& entry : fs::recursive_directory_iterator(roots_.front()))
      if (suits(test::stat_of(entry.path())))
        names.push_back(entry.path().lexically_relative(roots_.front()));
    if (names.empty()) throw Nothing();
    std::ranges::sort(names);
    return names[below(static_cast<std::uint32_t>(names.size()))];
  }
  /// Of a file that has several names since before the step it depends on the name what happens.
  bool is_alone(const struct ::stat& status) const { return !linked_.contains(status.st_ino); }
  /// Nor does an overlay rename a directory of a lower layer: mv copies it file by file.
  bool has_linked_files(const std::string& directory) const {
    for (const auto& entry : fs::recursive_directory_iterator(roots_.front() / directory))
      if (!is_alone(test::stat_of(entry.path()))) return true;
    return false;
  }
  std::string any() {
    return pick([](const struct ::stat&) { return true; });
  }
  std::string changeable() {
    return pick([this](const struct ::stat& status) { return is_alone(status); });
  }
  std::string file() {
    return pick([this](const struct ::stat& s) { return S_ISREG(s.st_mode) && is_alone(s); });
  }
  std::string directory() {
    return pick([](const struct ::stat& s) { return S_ISDIR(s.st_mode); });
  }
  std::string fresh() {
    std::string above;
    if (below(3) != 0) above = directory() + "/";
    for (int number = 0;; ++number) {
      std::string name = above + "n" + std::to_string(below(6) + number);
      struct ::stat status;
      if (::lstat((roots_.front() / name).c_str(), &status) != 0) return name;
    }
  }

 public:
  std::string try_step() {
    try {
      return step();
    } catch (const Nothing&) {
      return "";
    }
  }

 private:
  inline static unsigned next_owner_ = 1000;
  std::mt19937 random_;
  std::vector<fs::path> roots_;
  std::set<ino_t> linked_;
};

TEST_F(CopiedRootTest, RandomStepsGiveTheLayersOfAnOverlay) {
  const char* count = std::getenv("STRAKE_RANDOM_STEPS");
  const int seeds = count != nullptr ? std::atoi(count) : 40;
  for (int seed = 0; seed < seeds && !HasFailure(); ++seed) {
    std::vector<base::DiffId> stack = {unpack(base_tar()).diff_id};
    std::string story = "seed " + std::to_string(seed);
    for (int round = 0; round < 4 && !HasFailure(); ++round) {
      RootTree over = overlay(stack), copied = copy(stack);
      EXPECT_TRUE(view_of(copied) == view_of(over)) << story;
      RandomStep step(static_cast<std::uint32_t>(seed * 100 + round),
                      {path_of(copied), path_of(over)});
      story += "\n-- round";
      for (int i = 0; i < 12; ++i) story += "\n" + step.try_step();
      base::TempDirectory from_overlay = over.take_upper(), from_copy = copied.take_upper();
      const std::string want = layer_of(over, from_overlay), got = layer_of(copied, from_copy);
      ASSERT_TRUE(got == want) << story << "\non an overlay:\n"
                               << names_of(want) << "\non a copy:\n"
                               << names_of(got);
      const oci::Layer layer =
          copying_layers().adopt(std::move(from_copy), {.clamp_mtime = kEpoch});
      copied.settle(layer.diff_id);
      stack.push_back(layer.diff_id);
    }
  }
}

}  // namespace
}  // namespace strake::layers
