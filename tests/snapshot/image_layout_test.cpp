#include "layers/image_layout.h"

#include <gmock/gmock.h>

#include <map>
#include <nlohmann/json.hpp>

#include "layers/archive/tar_reader.h"
#include "layers/archive/tar_writer.h"
#include "tests/snapshot/tree_fixture.h"

namespace strake::layers {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

class Layout : public testing::Test {
 protected:
  oci::Descriptor blob(std::string content, std::string_view media_type) {
    const base::Digest digest = base::Digest::of(content);
    const oci::Descriptor descriptor = {
        .media_type = std::string(media_type), .digest = digest, .size = content.size()};
    blobs_[digest] = std::move(content);
    return descriptor;
  }
  LayoutImage image(const std::string& config, std::vector<std::string> references) {
    oci::Manifest manifest;
    manifest.config = blob(config, oci::media_type::kOciConfig);
    manifest.layers = {blob("layer one", oci::media_type::kOciLayerGzip),
                       blob("layer two", oci::media_type::kOciLayerGzip),
                       blob("layer one", oci::media_type::kOciLayerGzip)};
    const auto document = oci::make_manifest(manifest);
    return {document.descriptor, {}, {document}, std::move(references)};
  }
  BlobStreamer streamer() {
    return [this](const oci::Descriptor& wanted, base::ByteSink& to) {
      ++streamed_;
      to.write(base::bytes_of(blobs_.at(wanted.digest)));
    };
  }
  static std::vector<std::pair<std::string, std::string>> members(const std::string& tar) {
    base::StringSource source(tar);
    TarReader reader(source);
    std::vector<std::pair<std::string, std::string>> all;
    while (const auto entry = reader.next())
      all.emplace_back(entry->path, entry->type == EntryType::file
                                        ? base::read_all(reader.data(), 1 << 20, "member")
                                        : "");
    return all;
  }

  base::TempDirectory top_{testing::TempDir(), "strake-layout-"};
  std::map<base::Digest, std::string> blobs_;
  int streamed_ = 0;
};

TEST_F(Layout, DirectoryIsReadBack) {
  const LayoutImage written = image("{}", {"docker.io/library/app:1.2"});
  write_image_layout(top_.path() / "out", written, streamer());
  const ImageLayout layout(base::RootedDirectory::open_host((top_.path() / "out").native()));
  const auto root = layout.find("1.2");
  ASSERT_TRUE(root);
  EXPECT_EQ(root->digest, written.root.digest);
  EXPECT_EQ(layout.find("docker.io/library/app:1.2"), root);
  EXPECT_EQ(layout.find(root->digest.str()), root);
  EXPECT_EQ(layout.find(""), root);
  EXPECT_EQ(layout.find("1.3"), std::nullopt);
  EXPECT_EQ(layout.read(*root), written.manifests[0].bytes);
  EXPECT_EQ(layout.read(written.manifests[0].value.layers[1]), "layer two");
  EXPECT_EQ(streamed_, 3);  // each blob once
}

TEST_F(Layout, NamesMoveAndBlobsAreNotWrittenAgain) {
  const fs::path out = top_.path() / "out";
  write_image_layout(out, image("{\"a\":1}", {"docker.io/library/app:1"}), streamer());
  write_image_layout(out, image("{\"a\":2}", {"docker.io/library/other:1"}), streamer());
  const LayoutImage last = image("{\"a\":3}", {"docker.io/library/app:1"});
  write_image_layout(out, last, streamer());
  EXPECT_EQ(streamed_, 3 + 1 + 1);
  const ImageLayout layout(base::RootedDirectory::open_host(out.native()));
  EXPECT_EQ(layout.index().manifests.size(), 2U);
  EXPECT_EQ(layout.find("docker.io/library/app:1")->digest, last.root.digest);
  EXPECT_EQ(layout.find(""), std::nullopt);
}

TEST_F(Layout, DamagedBlobsAreNotReadAsGood) {
  const LayoutImage written = image("{}", {});
  const fs::path out = top_.path() / "out";
  write_image_layout(out, written, streamer());
  const oci::Descriptor config = written.manifests[0].value.config;
  test::write_file(out / "blobs/sha256" / config.digest.hex(), "[]");
  const ImageLayout layout(base::RootedDirectory::open_host(out.native()));
  EXPECT_THROW(layout.read(config), base::Error);
  EXPECT_THROW(layout.read(blob("absent", "")), base::Error);
}

TEST_F(Layout, BlobOfTheWrongSizeIsAnErrorAndLeavesNothing) {
  LayoutImage written = image("{}", {});
  const BlobStreamer wrong = [](const oci::Descriptor&, base::ByteSink& to) {
    to.write(base::bytes_of("x"));
  };
  EXPECT_THROW(write_image_layout(top_.path() / "out", written, wrong), base::Error);
  EXPECT_TRUE(fs::is_empty(top_.path() / "out/blobs/sha256"));
  EXPECT_FALSE(fs::exists(top_.path() / "out/index.json"));
}

TEST_F(Layout, OtherDirectoriesAreNotLayouts) {
  EXPECT_THROW(ImageLayout(base::RootedDirectory::open_host(top_.path().native())), base::Error);
  test::write_file(top_.path() / "oci-layout", R"({"imageLayoutVersion":"2.0.0"})");
  test::write_file(top_.path() / "index.json", R"({"schemaVersion":2,"manifests":[]})");
  EXPECT_THROW(ImageLayout(base::RootedDirectory::open_host(top_.path().native())), base::Error);
}

TEST_F(Layout, DockerArchiveNamesItsBlobs) {
  const LayoutImage written = image("{}", {"docker.io/library/app:1.2", "example.com/app:3"});
  base::StringSink out;
  TarWriter tar(out);
  write_docker_archive(tar, written, streamer());
  tar.finish();
  std::map<std::string, std::string> files;
  for (const auto& [path, content] : members(out.text)) {
    EXPECT_TRUE(files.emplace(path, content).second) << path << " is there twice";
  }
  const json images = json::parse(files.at("manifest.json"));
  ASSERT_EQ(images.size(), 1U);
  EXPECT_EQ(images[0]["RepoTags"], (json{"app:1.2", "example.com/app:3"}));
  EXPECT_EQ(files.at(images[0]["Config"].get<std::string>()), "{}");
  ASSERT_EQ(images[0]["Layers"].size(), 3U);
  EXPECT_EQ(files.at(images[0]["Layers"][1].get<std::string>()), "layer two");
  EXPECT_EQ(json::parse(files.at("index.json"))["manifests"].size(), 2U);
  EXPECT_EQ(files.at("oci-layout"), R"({"imageLayoutVersion":"1.0.0"})");
}

TEST_F(Layout, TarOfTheSameImageIsTheSame) {
  const LayoutImage written = image("{}", {"docker.io/library/app:1.2"});
  std::string tars[2];
  for (std::string& text : tars) {
    base::StringSink out;
    TarWriter tar(out);
    write_image_layout_tar(tar, written, streamer());
    tar.finish();
    text = out.text;
  }
  EXPECT_TRUE(tars[0] == tars[1]);
  EXPECT_EQ(members(tars[0]).back().first, "oci-layout");
}

}  // namespace
}  // namespace strake::layers
