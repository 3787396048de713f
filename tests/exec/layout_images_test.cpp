#include "builder/exec/layout_images.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "layers/base/error.h"
#include "layers/image_layout.h"
#include "layers/oci/manifest.h"
#include "tests/exec/store_support.h"
#include "tests/support/tar_builder.h"

namespace strake::builder {
namespace {

using testing::HasSubstr;

class LayoutImages : public MachineTest {
 protected:
  oci::Descriptor blob(std::string content, std::string_view media_type) {
    const base::Digest digest = base::Digest::of(content);
    const oci::Descriptor descriptor = {
        .media_type = std::string(media_type), .digest = digest, .size = content.size()};
    contents_[digest] = std::move(content);
    return descriptor;
  }
  /// An image of one layer with one file; `layers` are what its config says.
  oci::Document<oci::Manifest> image(const std::string& text, const std::string& architecture,
                                     std::size_t layers = 1) {
    const std::string tar = test::TarBuilder().file("f", text).str();
    oci::ImageConfig config;
    config.platform = oci::parse_platform("linux/" + architecture);
    config.diff_ids.assign(layers, {base::Digest::of(tar)});
    oci::Manifest manifest;
    manifest.config = blob(oci::to_json(config), oci::media_type::kOciConfig);
    manifest.layers = {blob(tar, oci::media_type::kOciLayer)};
    return oci::make_manifest(manifest);
  }
  void write(const std::filesystem::path& path, const layers::LayoutImage& image) {
    layers::write_image_layout(path, image, [&](const oci::Descriptor& wanted, base::ByteSink& to) {
      to.write(base::bytes_of(contents_.at(wanted.digest)));
    });
  }
  plan::ResolvedImage resolve(const std::string& location,
                              const std::string& platform = "linux/amd64") {
    const plan::ImageRequest request{oci::parse_reference("localhost/layout"),
                                     oci::parse_platform(platform)};
    return resolve_layout_image(location, request, machine_);
  }
  std::string failure_of(const std::string& location) {
    try {
      resolve(location);
    } catch (const base::Error& error) {
      return error.what();
    }
    return "no error";
  }

  std::map<base::Digest, std::string> contents_;
};

TEST_F(LayoutImages, AreTakenIntoTheStore) {
  const auto document = image("x", "amd64");
  const std::filesystem::path layout = top() / "layout";
  write(layout, {document.descriptor, {}, {document}, {"docker.io/library/app:v1"}});
  for (const std::string& name :
       {std::string(), std::string(":v1"), "@" + document.descriptor.digest.str(),
        ":v1@" + document.descriptor.digest.str()}) {
    const plan::ResolvedImage resolved = resolve(layout.native() + name);
    EXPECT_EQ(resolved.image.digest, document.descriptor.digest) << name;
  }
  EXPECT_TRUE(blobs_.contains(document.value.layers[0].digest));
  EXPECT_THAT(failure_of(layout.native() + ":v2"), HasSubstr("no image \"v2\""));
}

TEST_F(LayoutImages, MayLieInDirectoriesOfAnyName) {
  const auto document = image("x", "amd64");
  const std::filesystem::path layout = make("user@host:8") / "layout";
  write(layout, {document.descriptor, {}, {document}, {"app:v1"}});
  EXPECT_EQ(resolve(layout.native()).image.digest, document.descriptor.digest);
  EXPECT_EQ(resolve(layout.native() + ":v1").image.digest, document.descriptor.digest);
}

TEST_F(LayoutImages, OfAnIndexTheOneForThePlatformIsTaken) {
  const auto amd64 = image("amd64", "amd64"), arm64 = image("arm64", "arm64");
  oci::Index index;
  index.manifests = {amd64.descriptor, arm64.descriptor};
  index.manifests[0].platform = oci::parse_platform("linux/amd64");
  index.manifests[1].platform = oci::parse_platform("linux/arm64");
  const auto document = oci::make_index(index);
  const std::string layout = (top() / "layout").native();
  write(layout, {document.descriptor, {document}, {amd64, arm64}, {"app:v1"}});
  EXPECT_EQ(resolve(layout, "linux/arm64").image.digest, arm64.descriptor.digest);
  EXPECT_EQ(resolve(layout, "linux/amd64").image.digest, amd64.descriptor.digest);
}

TEST_F(LayoutImages, AreNotTrusted) {
  const auto document = image("x", "amd64");
  const std::filesystem::path layout = top() / "layout";
  write(layout, {document.descriptor, {}, {document}, {"app:v1"}});
  const std::string hex = document.value.layers[0].digest.hex();
  std::string changed = contents_.at(document.value.layers[0].digest);
  changed[0] = 'g';
  const std::filesystem::path file = layout / "blobs/sha256" / hex;
  std::filesystem::remove(file);
  std::ofstream(file) << changed;
  EXPECT_NE(failure_of(layout.native()), "no error");
  std::filesystem::remove(file);
  std::filesystem::create_symlink("/etc/passwd", file);
  EXPECT_NE(failure_of(layout.native()), "no error");
  EXPECT_FALSE(blobs_.contains(document.value.layers[0].digest));
}

TEST_F(LayoutImages, ThatDisagreeWithThemselvesAreRefused) {
  const auto document = image("x", "amd64", 2);
  const std::string layout = (top() / "layout").native();
  write(layout, {document.descriptor, {}, {document}, {"app:v1"}});
  EXPECT_THAT(failure_of(layout), HasSubstr("1 layers, the config 2"));
  EXPECT_THAT(failure_of((top() / "nowhere").native()), HasSubstr("nowhere"));
}

}  // namespace
}  // namespace strake::builder
