#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

#include "layers/base/files.h"
#include "layers/base/path_resolution.h"
#include "layers/base/rooted_directory.h"

namespace strake::base {

/// A fresh directory with `root/` to be confined to and `outside/secret` to be kept out of. Each
/// test runs with the kernel's resolver and with the walk.
class RootedTest : public ::testing::TestWithParam<PathResolver> {
 protected:
  void SetUp() override {
    std::filesystem::create_directory(host("root"));
    std::filesystem::create_directory(host("outside"));
    write("outside/secret", "canary");
    before_ = path_resolver();
    if (GetParam() == PathResolver::kernel && before_ != PathResolver::kernel)
      GTEST_SKIP() << "openat2 is not there or forbidden by STRAKE_NO_OPENAT2";
    set_path_resolver(GetParam());
  }
  void TearDown() override { set_path_resolver(before_); }

  std::filesystem::path host(std::string_view path) const { return temp_.path() / path; }
  void write(std::string_view path, std::string_view text) const {
    std::ofstream(host(path)) << text;
  }
  void link(std::string_view path, std::string_view target) const {
    std::filesystem::create_symlink(target, host(path));
  }
  RootedDirectory root() const { return RootedDirectory::open_host(host("root").native()); }
  std::string content(std::string_view path) const { return read_file(host(path)).value(); }

 private:
  TempDirectory temp_{std::filesystem::temp_directory_path(), "strake-rooted-"};
  PathResolver before_ = PathResolver::kernel;
};

inline std::string resolver_name(const ::testing::TestParamInfo<PathResolver>& info) {
  return info.param == PathResolver::kernel ? "openat2" : "walk";
}

#define STRAKE_FOR_BOTH_RESOLVERS(suite) \
  INSTANTIATE_TEST_SUITE_P(              \
      Resolver, suite, ::testing::Values(PathResolver::kernel, PathResolver::walk), resolver_name)

}  // namespace strake::base
