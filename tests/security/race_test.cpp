// Somebody exchanges directories and symlinks while they are used: in a cache that two steps share,
// in a target of mounts, in a directory that is unpacked into, in what a mount point is taken out
// of. STRAKE_RACE_SWAPS sets how often (a few hundred by default, for about two seconds).

#include <gmock/gmock.h>

#include <atomic>
#include <cstdlib>
#include <thread>

#include "layers/base/rooted_directory.h"
#include "layers/snapshot/apply.h"
#include "tests/security/step_fixture.h"
#include "tests/support/tar_builder.h"

namespace strake {
namespace {

namespace fs = std::filesystem;
using sandbox::BindMount;
using sandbox::Spec;
using sandbox::TmpfsMount;

class Race : public test::RungStep {
 protected:
  /// Exchanges two names of this machine as fast as it can while this object lives.
  class Swapper {
   public:
    Swapper(fs::path a, fs::path b)
        : thread_([this, a, b] {
            while (!stop_)
              if (::renameat2(AT_FDCWD, a.c_str(), AT_FDCWD, b.c_str(), RENAME_EXCHANGE) == 0)
                ++swaps_;
          }) {}
    ~Swapper() { stop_ = true; }
    long swaps() const { return swaps_; }

   private:
    std::atomic<bool> stop_{false};
    std::atomic<long> swaps_{0};
    std::jthread thread_;
  };

  /// Repeats `use` until both it and the swapper had their share.
  template <typename Use>
  void race(const fs::path& a, const fs::path& b, int at_least, const Use& use) {
    const char* wanted = std::getenv("STRAKE_RACE_SWAPS");
    const long swaps = wanted == nullptr ? 1000 : std::atol(wanted);
    const auto end = std::chrono::steady_clock::now() +
                     (wanted == nullptr ? std::chrono::seconds(2) : std::chrono::hours(1));
    const Swapper swapper(a, b);
    int uses = 0;
    while ((uses < at_least || swapper.swaps() < swaps) && std::chrono::steady_clock::now() < end) {
      use();
      ++uses;
    }
    EXPECT_GT(uses, 0);
    RecordProperty("uses", uses);
    RecordProperty("swaps", static_cast<int>(swapper.swaps()));
    if (wanted != nullptr) std::printf("%d uses, %ld swaps\n", uses, swapper.swaps());
  }
};

// Case D02: the part of a cache that is mounted is a symlink to the machine's root half of the
// time.
TEST_F(Race, ASourceOfAMountIsNeverOutside) {
  fs::create_directories(top() / "cache/sub");
  std::ofstream(top() / "cache/sub/harmless") << "harmless";
  fs::create_symlink("/", top() / "cache/evil");
  const auto cache = base::RootedDirectory::open_host((top() / "cache").native());
  race(top() / "cache/sub", top() / "cache/evil", 20, [&] {
    std::optional<base::FileDescriptor> source;
    try {
      source = cache.open("sub", O_PATH | O_DIRECTORY);
    } catch (const base::Error&) {
      return;  // the symlink, which leads to the cache itself or nowhere
    }
    Spec step = shell("ls /mnt");
    step.mounts = {BindMount{source->get(), "/mnt", true}};
    const Result result = run(step);
    if (result.refusal.empty()) {
      EXPECT_TRUE(result.output == "harmless\n" || result.output == "evil\nsub\n") << result.output;
    }
  });
}

// Case D11: a target lies in a tree that others change while it is looked for.
// Case D03: and so does the place that a mount point is taken out of afterwards.
TEST_F(Race, ATargetOfAMountIsNeverOutside) {
  if (on_chroot()) GTEST_SKIP() << "the root is nobody else's there, and nothing is mounted";
  fs::create_directories(top() / "shared/a/b");
  fs::create_symlink(outside(), top() / "shared/evil");
  const base::FileDescriptor shared(
      ::open((top() / "shared").c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  race(top() / "shared/a", top() / "shared/evil", 20, [&] {
    Spec step = shell("echo x > /shared/a/new/file; true");
    step.mounts = {BindMount{shared.get(), "/shared"}, TmpfsMount{"/shared/a/new"},
                   TmpfsMount{"/shared/a/etc"}};
    run(step);
  });
}

// Case A32: the directory that an archive is unpacked into is changed meanwhile. (That of a layer
// is nobody else's: mode 0700. This is the worst that could be.)
TEST_F(Race, AnArchiveIsNeverUnpackedOutside) {
  test::TarBuilder builder;
  for (int i = 0; i < 200; ++i)
    builder.file("d/etc/f" + std::to_string(i), "evil", {.mode = 0777, .uid = 0})
        .file("d/secret", "evil")
        .directory("d/etc", {.mode = 0777})
        .file("d/.wh.linked");
  const std::string tar = builder.str();
  fs::create_directories(top() / "tree/d/etc");
  fs::create_symlink(outside(), top() / "tree/evil");
  const base::FileDescriptor tree(
      ::open((top() / "tree").c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  race(top() / "tree/d", top() / "tree/evil", 3, [&] {
    base::StringSource source(tar);
    try {
      layers::apply_layer(source, tree.get(),
                          {.xattrs = layers::usable_xattr_namespace(), .overlay_form = false});
    } catch (const base::Error&) {
      // Something was not where it had been.
    }
  });
}

// Case C02: files are read from a context whose directories become symlinks.
TEST_F(Race, AFileOfAContextIsNeverFromOutside) {
  fs::create_directories(top() / "context/d/etc");
  std::ofstream(top() / "context/d/secret") << "harmless";
  fs::create_symlink(outside(), top() / "context/evil");
  const auto context = base::RootedDirectory::open_host((top() / "context").native());
  const auto can_read = [&] {
    const auto file = context.try_open("d/secret", O_RDONLY);
    if (!file) return false;
    char text[64] = {};
    EXPECT_GT(::read(file->get(), text, sizeof text - 1), 0);
    EXPECT_STREQ(text, "harmless");
    return true;
  };
  race(top() / "context/d", top() / "context/evil", 20, [&] {
    for (int i = 0; i < 100; ++i) can_read();
  });
  // On a busy machine it may have been the symlink each time. One of the two is the directory.
  const bool before = can_read();
  fs::rename(top() / "context/d", top() / "context/other");
  fs::rename(top() / "context/evil", top() / "context/d");
  EXPECT_NE(can_read(), before);
}

}  // namespace
}  // namespace strake
