#pragma once

#include <sys/wait.h>

#include <functional>
#include <optional>

#include "layers/blob_store.h"
#include "layers/layer_store.h"
#include "layers/store.h"
#include "tests/snapshot/tree_fixture.h"

namespace strake::test {

/// A fresh store with its parts.
class StoreTest : public testing::Test {
 protected:
  void SetUp() override {
    ::umask(022);
    open();
  }
  void open() {
    store_.emplace(layers::Store::open(root()));
    blobs_.emplace(*store_);
    layers_.emplace(*store_, *blobs_);
  }
  void close() {
    layers_.reset();
    blobs_.reset();
    store_.reset();
  }

  fs::path top() const { return directory_.path(); }
  fs::path root() const { return directory_.path() / "store"; }
  const layers::Store& store() const { return *store_; }
  const layers::BlobStore& blobs() const { return *blobs_; }
  const layers::LayerStore& layers() const { return *layers_; }

  /// Files anywhere below ingest/.
  std::size_t ingest_files() const {
    std::size_t count = 0;
    for (const auto& entry : fs::recursive_directory_iterator(root() / "ingest"))
      if (!entry.is_directory() && entry.path().filename() != "lock") ++count;
    return count;
  }
  static base::DiffId diff_id_of(const std::string& tar) { return {base::Digest::of(tar)}; }
  oci::Layer unpack(const std::string& tar) const {
    base::StringSource source(tar);
    return layers().unpack(source, diff_id_of(tar));
  }
  std::string written_tar(const base::DiffId& layer) const {
    base::StringSink out;
    layers().write_tar(layer, out);
    return out.text;
  }

 private:
  base::TempDirectory directory_{testing::TempDir(), "strake-store-"};
  std::optional<layers::Store> store_;
  std::optional<layers::BlobStore> blobs_;
  std::optional<layers::LayerStore> layers_;
};

/// A forked process of ours.
class Child {
 public:
  explicit Child(const std::function<void()>& body) : pid_(::fork()) {
    if (pid_ != 0) return;
    int status = 1;
    try {
      body();
      status = 0;
    } catch (const base::Error& error) {
      std::fprintf(stderr, "child: %s\n", error.what());
    }
    ::_exit(status);
  }
  ~Child() {
    if (pid_ > 0) kill();
  }
  Child(Child&& other) noexcept : pid_(std::exchange(other.pid_, -1)) {}
  Child& operator=(Child&&) = delete;

  void kill() {
    ::kill(pid_, SIGKILL);
    wait();
  }
  /// The exit status; -1 if it was killed.
  int wait() {
    int status = 0;
    ::waitpid(std::exchange(pid_, -1), &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }

 private:
  pid_t pid_;
};

}  // namespace strake::test
