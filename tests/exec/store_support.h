#pragma once

#include <gtest/gtest.h>

#include <string>

#include "builder/exec/machine.h"
#include "builder/exec/progress.h"
#include "cache/disk_cache.h"
#include "layers/blob_store.h"
#include "layers/image_store.h"
#include "layers/layer_store.h"
#include "layers/store.h"
#include "registry/client.h"
#include "registry/credentials.h"
#include "tests/exec/exec_support.h"
#include "tests/support/fake_transport.h"
#include "tests/support/recording_sandbox.h"

namespace strake::builder {

class NoProgress final : public Progress {
 public:
  TaskId start(const TaskInfo&) override { return {}; }
  void output(TaskId, std::span<const std::byte>) override {}
  void bytes(TaskId, const std::string&, std::uint64_t, std::uint64_t) override {}
  void note(TaskId, const std::string&) override {}
  void finish(TaskId, Outcome) override {}
  void message(const std::string&) override {}
};

/// Everything a build stands on, with a fresh store, no network and no processes.
class MachineTest : public testing::Test {
 protected:
  std::filesystem::path top() const { return directory_.path(); }
  std::filesystem::path make(const std::string& name) const {
    std::filesystem::create_directory(top() / name);
    return top() / name;
  }

 private:
  base::TempDirectory directory_{testing::TempDir(), "strake-machine-"};

 protected:
  layers::Store store_ = layers::Store::open(directory_.path() / "store");
  layers::BlobStore blobs_{store_};
  layers::LayerStore layers_{store_, blobs_};
  layers::ImageStore images_{store_};
  cache::DiskCache cache_{store_.cache(), store_.locks()};
  support::FakeTransport http_;
  registry::Credentials credentials_;
  registry::Client registry_{http_, credentials_};
  test::RecordingSandbox sandbox_;
  NoProgress progress_;
  Machine machine_{store_, blobs_, layers_, images_, cache_, registry_, http_, sandbox_, progress_};
};

}  // namespace strake::builder
