#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "layers/archive/parallel_tar_writer.h"
#include "layers/archive/tar_writer.h"
#include "layers/base/error.h"
#include "layers/base/files.h"
#include "layers/base/rooted_directory.h"
#include "layers/base/stream.h"
#include "layers/snapshot/apply.h"
#include "layers/snapshot/diff.h"
#include "tests/support/tar_builder.h"

namespace strake::test {

namespace fs = std::filesystem;

inline void write_file(const fs::path& path, std::string_view text) {
  std::ofstream(path, std::ios::binary) << text;
}

inline std::string read_file(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

inline base::FileDescriptor open_directory(const fs::path& path) {
  base::FileDescriptor directory(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  EXPECT_TRUE(directory) << path;
  return directory;
}

inline struct ::stat stat_of(const fs::path& path) {
  struct ::stat status = {};
  EXPECT_EQ(::lstat(path.c_str(), &status), 0) << path;
  return status;
}

inline std::string xattr_of(const fs::path& path, const char* name) {
  std::string value(256, '\0');
  const ssize_t size = ::lgetxattr(path.c_str(), name, value.data(), value.size());
  return size < 0 ? "(none)" : value.substr(0, static_cast<std::size_t>(size));
}

inline bool is_whiteout_at(const fs::path& path) {
  struct ::stat status;
  return ::lstat(path.c_str(), &status) == 0 && S_ISCHR(status.st_mode) && status.st_rdev == 0;
}

inline bool is_opaque_at(const fs::path& path) {
  return xattr_of(path, "trusted.overlay.opaque") == "y";
}

/// Everything below `root`, a line an entry: what the canary oracle and round trips compare.
inline std::string listing(const fs::path& root) {
  std::vector<std::string> lines;
  for (const auto& entry : fs::recursive_directory_iterator(root)) {
    const struct ::stat s = stat_of(entry.path());
    std::ostringstream line;
    line << entry.path().lexically_relative(root).native() << ' ' << std::oct << s.st_mode
         << std::dec << ' ' << s.st_uid << ':' << s.st_gid << ' ' << s.st_mtim.tv_sec;
    if (!S_ISDIR(s.st_mode)) line << " links=" << s.st_nlink;
    if (S_ISREG(s.st_mode)) line << " " << base::Digest::of(read_file(entry.path())).hex();
    if (S_ISLNK(s.st_mode)) line << " -> " << fs::read_symlink(entry.path()).native();
    if (S_ISCHR(s.st_mode) || S_ISBLK(s.st_mode))
      line << ' ' << ::major(s.st_rdev) << ':' << ::minor(s.st_rdev);
    if (S_ISREG(s.st_mode) || S_ISDIR(s.st_mode)) {
      const base::FileDescriptor fd(::open(entry.path().c_str(), O_RDONLY | O_CLOEXEC));
      for (const auto& [name, value] : base::xattrs_of(fd.get(), entry.path().native()))
        line << " [" << name << '=' << value << ']';
    }
    lines.push_back(line.str());
  }
  std::ranges::sort(lines);
  std::string all;
  for (const std::string& line : lines) all += line + '\n';
  return all;
}

/// A directory to unpack into, beside a canary that nothing may touch.
class TreeTest : public testing::Test {
 protected:
  void SetUp() override {
    if (layers::usable_xattr_namespace() != layers::XattrNamespace::trusted)
      GTEST_SKIP() << "needs root outside of user namespaces: owners, devices, trusted attributes";
    ::umask(022);
    fs::create_directories(canary() / "etc");
    write_file(canary() / "etc" / "passwd", "root:x:0:0");
    write_file(canary() / "secret", "secret");
    canary_before_ = listing(canary());
    tree_ = make("tree");
  }
  void TearDown() override {
    if (canary_before_.empty()) return;
    EXPECT_EQ(listing(canary()), canary_before_);
  }

  fs::path make(const std::string& name) const {
    const fs::path path = directory_.path() / name;
    fs::create_directory(path);
    return path;
  }
  fs::path canary() const { return directory_.path() / "outside"; }
  const fs::path& tree() const { return tree_; }
  const fs::path& top() const { return directory_.path(); }

  layers::ApplyResult apply(const std::string& tar) { return apply_to(tree_, tar); }
  layers::ApplyResult apply_to(const fs::path& root, const std::string& tar,
                               const layers::ApplyOptions& options = {}) const {
    base::StringSource source(tar);
    return layers::apply_layer(source, open_directory(root).get(), options);
  }
  std::string tar_of(const fs::path& root, const layers::DiffOptions& options = {}) const {
    base::StringSink out;
    layers::TarWriter tar(out);
    layers::write_tree_as_tar(open_directory(root).get(), tar, options);
    tar.finish();
    EXPECT_TRUE(out.text == tar_by_threads(root, options)) << "threads make other bytes";
    return out.text;
  }
  std::string tar_by_threads(const fs::path& root, const layers::DiffOptions& options) const {
    base::StringSink out;
    layers::ParallelTarWriter tar(out);
    layers::write_tree_as_tar(open_directory(root).get(), tar, options);
    tar.finish();
    return out.text;
  }
  /// The message of the Error that `tar` is refused with; "" if it is not.
  std::string refusal(const std::string& tar) {
    try {
      apply(tar);
    } catch (const base::Error& error) {
      return error.what();
    }
    return "";
  }

 private:
  base::TempDirectory directory_{testing::TempDir(), "strake-tree-"};
  fs::path tree_;
  std::string canary_before_;
};

}  // namespace strake::test
