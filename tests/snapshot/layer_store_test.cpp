#include "layers/layer_store.h"

#include <gmock/gmock.h>

#include <regex>

#include "layers/archive/compression.h"
#include "layers/archive/tar_entry.h"
#include "layers/base/worker_pool.h"
#include "layers/snapshot/mount_stack.h"
#include "tests/snapshot/store_fixture.h"

namespace strake::layers {
namespace {

namespace fs = std::filesystem;
using test::TarBuilder;

class Layers : public test::StoreTest {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "needs root: owners and devices";
    StoreTest::SetUp();
  }
  base::TempDirectory work_with(const std::string& tar) const {
    base::TempDirectory work = store().make_ingest("test-");
    fs::create_directory(work.path() / "tree");
    base::StringSource source(tar);
    apply_layer(source, test::open_directory(work.path() / "tree").get(), {});
    return work;
  }
  fs::path record_of(const base::DiffId& layer) const {
    return root() / "layers" / layer.digest.hex() / "layer.json";
  }
  void pretend_another_boot(const base::DiffId& layer) {
    const std::string text = test::read_file(record_of(layer));
    test::write_file(record_of(layer), std::regex_replace(text, std::regex("\"boot\":\"[^\"]*\""),
                                                          "\"boot\":\"of-yesterday\""));
  }
};

TEST_F(Layers, UnpackVerifiesAndKeepsTheTree) {
  const std::string tar = TarBuilder().file("d/f", "text").str();
  EXPECT_FALSE(layers().has_tree(diff_id_of(tar)));
  const oci::Layer layer = unpack(tar);
  EXPECT_EQ(layer.diff_id, diff_id_of(tar));
  EXPECT_EQ(layer.tar_size_bytes, tar.size());
  EXPECT_TRUE(layers().has_tree(layer.diff_id));
  EXPECT_EQ(layers().find(layer.diff_id), layer);
  EXPECT_EQ(test::read_file(layers().tree_path(layer.diff_id) / "d/f"), "text");
  EXPECT_EQ(test::stat_of(layers().tree_path(layer.diff_id)).st_mode, S_IFDIR | 0755U);
  EXPECT_EQ(ingest_files(), 0U);
}

TEST_F(Layers, DigestCoversWhatStandsBehindTheArchive) {
  const std::string tar = TarBuilder().file("f").str() + std::string(5000, 'j');
  EXPECT_EQ(unpack(tar).tar_size_bytes, tar.size());
}

TEST_F(Layers, AnErrorAmidFilesThatAreBeingMadeLeavesNothing) {
  TarBuilder files;
  for (int i = 0; i < 1000; ++i)
    files.file("d/f" + std::to_string(i), std::string(static_cast<std::size_t>(i), 'x'));
  const std::string tar = files.hardlink("l", "missing").file("later", "x").str();
  EXPECT_THROW(unpack(tar), base::Error);
  EXPECT_FALSE(layers().has_tree(diff_id_of(tar)));
  EXPECT_EQ(ingest_files(), 0U);
}

TEST_F(Layers, WrongContentIsRefusedAndLeavesNothing) {
  const std::string tar = TarBuilder().file("f", "text").str();
  base::StringSource source(tar);
  const base::DiffId other{base::Digest::of("other")};
  EXPECT_THROW(layers().unpack(source, other), base::Error);
  EXPECT_FALSE(layers().has_tree(other));
  EXPECT_FALSE(layers().has_tree(diff_id_of(tar)));
  EXPECT_EQ(ingest_files(), 0U);
}

TEST_F(Layers, UnpackingAgainDoesNotReadTheTar) {
  const std::string tar = TarBuilder().file("f").str();
  unpack(tar);
  base::StringSource source(tar);
  EXPECT_EQ(layers().unpack(source, diff_id_of(tar)).tar_size_bytes, tar.size());
  std::byte first;
  EXPECT_EQ(source.read({&first, 1}), 1U);
}

TEST_F(Layers, AdoptedTreeIsTheLayerOfItsTar) {
  base::StringSink tar;
  const oci::Layer layer =
      layers().adopt(work_with(TarBuilder().file("a", "1").file(".wh.b").str()), {.also = &tar});
  EXPECT_EQ(layer.diff_id, diff_id_of(tar.text));
  EXPECT_EQ(layer.tar_size_bytes, tar.text.size());
  EXPECT_TRUE(written_tar(layer.diff_id) == tar.text);
  EXPECT_TRUE(test::is_whiteout_at(layers().tree_path(layer.diff_id) / "b"));
}

TEST_F(Layers, ClampedLayerIsWrittenAgainAsItWas) {
  base::StringSink tar;
  const oci::Layer layer =
      layers().adopt(work_with(TarBuilder().file("a", "1", {.mtime = 9999}).str()),
                     {.clamp_mtime = 50, .also = &tar});
  EXPECT_TRUE(written_tar(layer.diff_id) == tar.text);
}

TEST_F(Layers, WrittenLayersAreSealed) {
  LayerWriter writer = layers().writer();
  TarEntry entry;
  entry.path = "f";
  entry.size_bytes = 4;
  base::StringSource content("text");
  writer.add(entry, content);
  const oci::Layer layer = layers().seal(std::move(writer));
  EXPECT_EQ(diff_id_of(written_tar(layer.diff_id)), layer.diff_id);
  EXPECT_EQ(ingest_files(), 0U);
}

/// A layer of a directory, a file with two names and a whiteout, in one of its forms.
oci::Layer write_layer(const LayerStore& layers, LayerForm form, base::ByteSink* also = nullptr) {
  LayerWriter writer = layers.writer({.form = form, .also = also});
  writer.add({.path = "d", .type = EntryType::directory, .mode = 0750, .mtime = {7, 0}});
  writer.add_whiteout("d/gone");
  base::StringSource content("text");
  writer.add({.path = "d/f", .size_bytes = 4, .mtime = {8, 0}, .xattrs = {{"user.a", "b"}}},
             content);
  writer.add({.path = "d/g", .type = EntryType::hardlink, .link_target = "d/f"});
  writer.add({.path = "l", .type = EntryType::symlink, .link_target = "d"});
  return layers.seal(std::move(writer));
}

TEST_F(Layers, LayerThatIsKeptAsTarIsUnpackedWhenItIsWanted) {
  base::StringSink tar;
  const oci::Layer layer = write_layer(layers(), LayerForm::tar, &tar);
  EXPECT_EQ(layer.diff_id, diff_id_of(tar.text));
  EXPECT_TRUE(layers().has_tar(layer.diff_id));
  EXPECT_FALSE(layers().has_tree(layer.diff_id));
  EXPECT_EQ(layers().find(layer.diff_id), layer);
  EXPECT_GT(layers().disk_usage(layer.diff_id), 0U);
  EXPECT_TRUE(written_tar(layer.diff_id) == tar.text);

  layers().unpack_tar(layer.diff_id);
  EXPECT_TRUE(layers().has_tree(layer.diff_id));
  EXPECT_FALSE(layers().has_tar(layer.diff_id));
  EXPECT_EQ(test::read_file(layers().tree_path(layer.diff_id) / "d/g"), "text");
  EXPECT_TRUE(written_tar(layer.diff_id) == tar.text);
  EXPECT_EQ(ingest_files(), 0U);
  layers().unpack_tar(layer.diff_id);  // as another process would that came too late
  EXPECT_EQ(write_layer(layers(), LayerForm::tar), layer);
  EXPECT_FALSE(layers().has_tar(layer.diff_id)) << "the tree gives the tar already";
}

TEST_F(Layers, FormsOfALayerHaveTheSameBytes) {
  base::StringSink tree, tar, nothing;
  const oci::Layer layer = write_layer(layers(), LayerForm::tree, &tree);
  EXPECT_EQ(write_layer(layers(), LayerForm::tar, &tar), layer);
  EXPECT_EQ(write_layer(layers(), LayerForm::nothing, &nothing), layer);
  EXPECT_TRUE(tree.text == tar.text);
  EXPECT_TRUE(tree.text == nothing.text);
}

TEST_F(Layers, TarThatWasTamperedWithIsFoundAndForgotten) {
  const oci::Layer layer = write_layer(layers(), LayerForm::tar);
  const std::filesystem::path file = layers().tree_path(layer.diff_id).parent_path() / "layer.tar";
  std::string bytes = test::read_file(file);
  bytes[600] ^= 1;
  test::write_file(file, bytes);
  EXPECT_THROW(written_tar(layer.diff_id), base::Error);
  EXPECT_FALSE(layers().has_tar(layer.diff_id));

  write_layer(layers(), LayerForm::tar);
  test::write_file(file, bytes);
  EXPECT_THROW(layers().unpack_tar(layer.diff_id), base::Error);
  EXPECT_FALSE(layers().has_tar(layer.diff_id));
  EXPECT_FALSE(layers().has_tree(layer.diff_id));
  test::write_file(file, "cut off");
  EXPECT_FALSE(layers().has_tar(layer.diff_id));
}

TEST_F(Layers, AdoptingTheSameTwiceKeepsTheFirst) {
  const std::string tar = TarBuilder().file("a", "1").str();
  const oci::Layer layer = layers().adopt(work_with(tar));
  const ino_t inode = test::stat_of(layers().tree_path(layer.diff_id)).st_ino;
  EXPECT_EQ(layers().adopt(work_with(tar)), layer);
  EXPECT_EQ(test::stat_of(layers().tree_path(layer.diff_id)).st_ino, inode);
  EXPECT_EQ(ingest_files(), 0U);
}

TEST_F(Layers, TreeThatWasTamperedWithIsFoundAndSetAside) {
  const oci::Layer layer = layers().adopt(work_with(TarBuilder().file("a", "1").str()));
  test::write_file(layers().tree_path(layer.diff_id) / "a", "2");
  EXPECT_THROW(written_tar(layer.diff_id), base::Error);
  EXPECT_FALSE(layers().has_tree(layer.diff_id));
}

TEST_F(Layers, PulledLayerIsWrittenFromItsBlob) {
  // A spelling that no tree remembers: entries out of order.
  const std::string tar = TarBuilder().file("z", "1").file("a", "2").str();
  const oci::Layer layer = unpack(tar);
  EXPECT_THROW(written_tar(layer.diff_id), base::Error);
  for (const oci::Compression compression :
       {oci::Compression::gzip, oci::Compression::zstd, oci::Compression::none}) {
    BlobWriter blob = blobs().writer();
    base::WorkerPool pool(1);
    const auto compressor = make_compressor(compression, std::nullopt, blob, pool);
    compressor->write(base::bytes_of(tar));
    compressor->finish();
    const oci::Descriptor descriptor = blob.commit(std::string(oci::layer_media_type(compression)));
    layers().add_blob(layer.diff_id, descriptor);
    EXPECT_TRUE(written_tar(layer.diff_id) == tar);
    blobs().remove(descriptor.digest);
  }
}

TEST_F(Layers, BlobThatIsNotTheLayerIsRefused) {
  const std::string tar = TarBuilder().file("a", "1").str();
  const oci::Layer layer = unpack(tar);
  layers().add_blob(layer.diff_id, blobs().put(TarBuilder().file("b").str(),
                                               std::string(oci::media_type::kOciLayer)));
  EXPECT_THROW(written_tar(layer.diff_id), base::Error);
}

TEST_F(Layers, KnownBlobsAndRepositoriesAreRemembered) {
  const base::DiffId layer{base::Digest::of("layer without a tree")};
  const oci::Descriptor gzip = {.media_type = std::string(oci::media_type::kOciLayerGzip),
                                .digest = base::Digest::of("gzip"),
                                .size = 7};
  const oci::Descriptor zstd = {.media_type = std::string(oci::media_type::kOciLayerZstd),
                                .digest = base::Digest::of("zstd"),
                                .size = 6};
  const oci::Repository b{"docker.io", "library/b"}, a{"127.0.0.1:5000", "a"};
  layers().add_blob(layer, gzip, &b);
  layers().add_blob(layer, zstd);
  layers().add_blob(layer, gzip, &a);
  layers().add_blob(layer, gzip, &a);
  EXPECT_EQ(layers().blobs(layer), (std::vector<KnownBlob>{{gzip, {a, b}}, {zstd, {}}}));
  EXPECT_FALSE(layers().has_tree(layer));
  EXPECT_EQ(layers().find(layer), std::nullopt);
}

TEST_F(Layers, BlobsSurviveUnpacking) {
  const std::string tar = TarBuilder().file("a").str();
  const oci::Descriptor blob = {.media_type = "m", .digest = base::Digest::of("b"), .size = 1};
  layers().add_blob(diff_id_of(tar), blob);
  unpack(tar);
  ASSERT_EQ(layers().blobs(diff_id_of(tar)).size(), 1U);
  EXPECT_EQ(layers().blobs(diff_id_of(tar))[0].blob.digest, blob.digest);
}

// ---- Trees of another boot ----

TEST_F(Layers, UnsyncedTreeOfAnotherBootIsNotTrusted) {
  const std::string tar = TarBuilder().file("a", "1").str();
  const oci::Layer layer = unpack(tar);
  pretend_another_boot(layer.diff_id);
  EXPECT_FALSE(layers().has_tree(layer.diff_id));
  EXPECT_THROW(layers().open_tree(layer.diff_id), base::Error);

  test::write_file(layers().tree_path(layer.diff_id) / "a", "torn");
  unpack(tar);
  EXPECT_TRUE(layers().has_tree(layer.diff_id));
  EXPECT_EQ(test::read_file(layers().tree_path(layer.diff_id) / "a"), "1");
  EXPECT_EQ(ingest_files(), 0U);
}

TEST_F(Layers, SyncedTreeOfAnotherBootIsTrusted) {
  const oci::Layer layer = unpack(TarBuilder().file("a", "1").str());
  layers().sync_all();
  pretend_another_boot(layer.diff_id);
  EXPECT_TRUE(layers().has_tree(layer.diff_id));
}

TEST_F(Layers, TreeWithoutARecordIsNotTrusted) {
  const oci::Layer layer = unpack(TarBuilder().file("a", "1").str());
  fs::remove(record_of(layer.diff_id));
  EXPECT_FALSE(layers().has_tree(layer.diff_id));
  test::write_file(record_of(layer.diff_id), "{\"schema\":1,");
  EXPECT_FALSE(layers().has_tree(layer.diff_id));
  unpack(TarBuilder().file("a", "1").str());
  EXPECT_TRUE(layers().has_tree(layer.diff_id));
}

// ---- Several processes ----

/// Suites of such a name run first: a child of a process that has started the pool's threads would
/// have none of them, and wait for them.
using LayersDeathTest = Layers;

TEST_F(LayersDeathTest, ProcessesThatWantTheSameLayerAllGetIt) {
  TarBuilder builder;
  for (int i = 0; i < 500; ++i) builder.file("f" + std::to_string(i), std::string(2000, 'x'));
  const std::string tar = builder.str();
  std::vector<test::Child> children;
  for (int i = 0; i < 6; ++i)
    children.emplace_back([&] {
      open();
      unpack(tar);
      if (!layers().has_tree(diff_id_of(tar))) ::_exit(3);
    });
  for (test::Child& child : children) EXPECT_EQ(child.wait(), 0);
  EXPECT_EQ(layers().list().size(), 1U);
  EXPECT_EQ(ingest_files(), 0U);
}

TEST_F(Layers, RemoveAndList) {
  const oci::Layer layer = unpack(TarBuilder().file("a", std::string(100000, 'x')).str());
  EXPECT_GE(layers().disk_usage(layer.diff_id), 100000U);
  EXPECT_EQ(layers().list(), std::vector<base::DiffId>{layer.diff_id});
  layers().remove(layer.diff_id);
  EXPECT_TRUE(layers().list().empty());
  EXPECT_FALSE(layers().has_tree(layer.diff_id));
}

TEST_F(Layers, StepThroughTheStack) {
  try {
    const std::vector<base::DiffId> base_layers = {
        unpack(TarBuilder().file("etc/os", "1").file("etc/old", "1").str()).diff_id};
    MountStack stack(store(), layers(), base_layers, Writable::yes);
    stack.root().remove_file("etc/old");
    const oci::Layer changes = layers().adopt(std::move(stack).take_upper());
    const std::vector<base::DiffId> both = {base_layers[0], changes.diff_id};
    const MountStack merged(store(), layers(), both, Writable::no);
    EXPECT_EQ(merged.root().list("etc"), std::vector<std::string>{"os"});
  } catch (const base::Error& error) {
    if (error.code() != base::ErrorCode::unsupported) throw;
    GTEST_SKIP() << error.what();
  }
}

}  // namespace
}  // namespace strake::layers
