#pragma once

#include <array>

#include "layers/base/worker_pool.h"
#include "tests/snapshot/tree_fixture.h"

namespace strake::test {

/// Unpacks a layer with and without helpers, and compares.
class UnpackingTest : public TreeTest {
 protected:
  void expect_the_same_by_threads(const std::string& tar) {
    EXPECT_EQ(unpacked(tar, &helpers_), unpacked(tar, nullptr));
  }

  /// The tree, or why there is none.
  std::string unpacked(const std::string& tar, base::WorkerPool* helpers) const {
    const base::TempDirectory root(top(), "unpacked-");
    try {
      const layers::ApplyResult result = apply_to(root.path(), tar, {.helpers = helpers});
      // The kernel gives whiteouts a time, and nobody reads it.
      for (const auto& entry : fs::recursive_directory_iterator(root.path()))
        if (is_whiteout_at(entry.path()))
          ::utimensat(AT_FDCWD, entry.path().c_str(), std::array<struct timespec, 2>{}.data(),
                      AT_SYMLINK_NOFOLLOW);
      return listing(root.path()) + std::to_string(result.entries) + " entries, " +
             std::to_string(result.content_bytes) + " bytes, dropped " +
             std::to_string(result.dropped_entries) + " and " +
             std::to_string(result.dropped_xattrs);
    } catch (const base::Error& error) {
      std::string text = error.what();
      for (const std::string& context : error.context()) text += "; " + context;
      return text;
    }
  }

  base::WorkerPool& helpers() { return helpers_; }

 private:
  base::WorkerPool helpers_{3};
};

}  // namespace strake::test
