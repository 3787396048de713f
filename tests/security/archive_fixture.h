#pragma once

#include <sched.h>
#include <sys/mount.h>

#include <optional>

#include "layers/archive/compression.h"
#include "layers/snapshot/mount_stack.h"
#include "tests/snapshot/store_fixture.h"
#include "tests/support/canary.h"
#include "tests/support/tar_builder.h"

namespace strake::test {

/// Hostile tars, unpacked as a layer and as a context (the archives of ADD are unpacked like
/// layers), beside a canary that is the working directory too. Whatever a test does, the canary
/// stays as it was, and nothing is left but layers of the store.
class ArchiveCase : public StoreTest {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "needs root, of a user namespace at least";
    // What others on this machine mount must not count. (Where it cannot be, no mounts can.)
    static const bool alone = ::unshare(CLONE_NEWNS) == 0 &&
                              ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0;
    static_cast<void>(alone);
    StoreTest::SetUp();
    canary_.emplace(top());
    fs::current_path(canary_->path());
  }
  void TearDown() override {
    fs::current_path("/");
    if (!canary_) return;
    EXPECT_EQ(canary_->state(), canary_->before());
    EXPECT_EQ(ingest_files(), 0U);
    canary_.reset();
  }

  fs::path outside() const { return canary_->path(); }

  /// Why `tar` is refused as a layer, with the entry it names; "" if it is not. A refused one is
  /// not in the store.
  std::string refusal(const std::string& tar) const {
    const std::string why = refusal_of([&] { unpack(tar); });
    EXPECT_EQ(layers().has_tree(diff_id_of(tar)), why.empty());
    return why;
  }
  /// The same as a build context.
  std::string context_refusal(const std::string& tar) const {
    const base::TempDirectory into(top(), "added-");
    return refusal_of([&] { unpack_into(tar, into.path()); });
  }
  static void unpack_into(const std::string& archive, const fs::path& directory) {
    const auto form = layers::sniff(base::bytes_of(archive));
    const auto tar = layers::make_decompressor(std::make_unique<base::StringSource>(archive), form);
    layers::apply_layer(*tar, open_directory(directory).get(),
                        {.xattrs = layers::usable_xattr_namespace(), .overlay_form = false});
  }
  fs::path tree_of(const std::string& tar) const { return layers().tree_path(unpack(tar).diff_id); }

  template <typename Action>
  static std::string refusal_of(const Action& action) {
    try {
      action();
    } catch (const base::Error& error) {
      std::string why = error.what();
      for (const std::string& context : error.context()) why += "; " + context;
      return why;
    }
    return "";
  }

 private:
  std::optional<Canary> canary_;
};

}  // namespace strake::test
