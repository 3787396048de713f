#include "builder/exec/layer_blobs.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "layers/base/worker_pool.h"
#include "tests/exec/store_support.h"
#include "tests/support/tar_builder.h"

namespace strake::builder {
namespace {

using State = base::GrowingFile::State;

class LayerBlobs : public MachineTest {
 protected:
  static std::string some_tar() {
    return test::TarBuilder().file("f", std::string(3'000'000, 'x')).str();
  }
  static base::DiffId layer_of(const std::string& tar) { return {base::Digest::of(tar)}; }
  base::Digest digest_of_blob(const std::string& tar) {
    layers::BlobWriter writer = blobs_.writer();
    const auto compressor = layers::make_compressor(options_.compression, options_.level, writer,
                                                    base::WorkerPool::shared());
    compressor->write(base::bytes_of(tar));
    compressor->finish();
    return writer.commit("").digest;
  }
  std::size_t unfinished() const {
    std::size_t count = 0;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(store_.ingest()))
      if (entry.is_regular_file() && entry.path().filename() != "lock") ++count;
    return count;
  }

  BlobOptions options_;
};

TEST_F(LayerBlobs, WhatIsBuiltWithTheLayerIsWhatAManifestNames) {
  const std::string tar = some_tar();
  LayerBlobBuilder builder(options_, machine_);
  for (std::size_t at = 0; at < tar.size(); at += 77'777)
    builder.write(base::bytes_of(std::string_view(tar).substr(at, 77'777)));
  builder.commit(layer_of(tar));
  // No layer of this DiffID was ever stored: there is nothing it could be made of now.
  const oci::Descriptor blob = layer_blob(layer_of(tar), options_, machine_);
  EXPECT_EQ(blob.digest, digest_of_blob(tar));
  EXPECT_EQ(blob.media_type, oci::media_type::kOciLayerGzip);
  EXPECT_TRUE(blobs_.contains(blob.digest));
}

TEST_F(LayerBlobs, OneThatIsNotCommittedLeavesNothing) {
  std::shared_ptr<const base::GrowingFile> growing;
  {
    LayerBlobBuilder builder(options_, machine_);
    growing = builder.growing();
    builder.write(base::bytes_of(some_tar()));
  }
  EXPECT_EQ(growing->progress().state, State::abandoned);
  EXPECT_TRUE(blobs_.list().empty());
  EXPECT_EQ(unfinished(), 0U);
  EXPECT_TRUE(layers_.blobs(layer_of(some_tar())).empty());
}

TEST_F(LayerBlobs, ABlobThatIsKnownIsKept) {
  const std::string tar = some_tar();
  const oci::Descriptor known =
      blobs_.put("by somebody else", std::string(oci::media_type::kOciLayerGzip));
  layers_.add_blob(layer_of(tar), known);
  LayerBlobBuilder builder(options_, machine_);
  builder.write(base::bytes_of(tar));
  builder.commit(layer_of(tar));
  EXPECT_EQ(layer_blob(layer_of(tar), options_, machine_), known);
  EXPECT_EQ(blobs_.list().size(), 1U);
}

TEST_F(LayerBlobs, TwoStepsMayMakeTheSameOneAtOnce) {
  const std::string tar = some_tar();
  const auto make = [&] {
    LayerBlobBuilder builder(options_, machine_);
    builder.write(base::bytes_of(tar));
    builder.commit(layer_of(tar));
  };
  { const std::jthread first(make), second(make), third(make); }
  EXPECT_EQ(layers_.blobs(layer_of(tar)).size(), 1U);
  EXPECT_EQ(blobs_.list().size(), 1U);
}

TEST_F(LayerBlobs, AreUploadedFromTheFileWhileTheyGrow) {
  const std::string tar = test::TarBuilder().file("f", std::string(40'000'000, 'x')).str();
  LayerBlobBuilder builder(options_, machine_);
  const std::shared_ptr<const base::GrowingFile> growing = builder.growing();
  builder.write(base::bytes_of(tar));
  EXPECT_GT(growing->progress().size_bytes, 0U);
  builder.commit(layer_of(tar));
  const base::GrowingFile::Progress end = growing->progress();
  EXPECT_EQ(end.state, State::finished);
  EXPECT_EQ(end.digest, layer_blob(layer_of(tar), options_, machine_).digest);
}

}  // namespace
}  // namespace strake::builder
