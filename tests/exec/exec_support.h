#pragma once

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "layers/base/files.h"
#include "layers/base/rooted_directory.h"

namespace strake::builder {

/// A directory tree for one test.
class Tree {
 public:
  Tree() : directory_(std::filesystem::temp_directory_path(), "strake-exec-") {}

  Tree& file(const std::string& path, const std::string& content, mode_t mode = 0644) {
    const std::filesystem::path full = directory_.path() / path;
    std::filesystem::create_directories(full.parent_path());
    std::ofstream(full) << content;
    ::chmod(full.c_str(), mode);
    return *this;
  }
  Tree& directory(const std::string& path) {
    std::filesystem::create_directories(directory_.path() / path);
    return *this;
  }
  Tree& symlink(const std::string& path, const std::string& target) {
    std::filesystem::create_symlink(target, directory_.path() / path);
    return *this;
  }

  std::filesystem::path path() const { return directory_.path(); }
  base::RootedDirectory root() const {
    return base::RootedDirectory::open_host(directory_.path().string());
  }

 private:
  base::TempDirectory directory_;
};

}  // namespace strake::builder
