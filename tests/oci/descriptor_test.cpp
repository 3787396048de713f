#include "layers/oci/descriptor.h"

#include <nlohmann/json.hpp>

#include "layers/oci/json.h"
#include "tests/oci/expect_error.h"

namespace strake::oci {
namespace {

using base::ErrorCode;

const std::string kHex(64, 'a');

Descriptor parse(const std::string& text) {
  return parse_descriptor(parse_json(text, "t"));
}

std::string with_digest(const std::string& digest) {
  return R"({"mediaType":"x/y","size":3,"digest":")" + digest + "\"}";
}

TEST(MediaTypes, OfLayersTellTheCompression) {
  EXPECT_EQ(layer_compression(media_type::kOciLayer), Compression::none);
  EXPECT_EQ(layer_compression(media_type::kDockerLayerGzip), Compression::gzip);
  EXPECT_EQ(layer_compression(media_type::kOciLayerZstd), Compression::zstd);
  EXPECT_EQ(layer_compression("application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"),
            Compression::gzip);
  EXPECT_EQ(layer_compression("application/vnd.oci.image.layer.v1.tar+gzip+encrypted"),
            std::nullopt);
  EXPECT_FALSE(is_layer("application/vnd.oci.empty.v1+json"));
  for (const Compression each : {Compression::none, Compression::gzip, Compression::zstd})
    EXPECT_EQ(layer_compression(layer_media_type(each)), each);
}

TEST(MediaTypes, TellIndexesFromManifests) {
  EXPECT_TRUE(is_index(media_type::kDockerIndex) && is_index(media_type::kOciIndex));
  EXPECT_TRUE(is_manifest(media_type::kDockerManifest) && is_manifest(media_type::kOciManifest));
  EXPECT_FALSE(is_index(media_type::kOciManifest) || is_manifest(media_type::kOciIndex));
}

TEST(DescriptorJson, RoundTrips) {
  Descriptor descriptor{.media_type = std::string(media_type::kOciManifest),
                        .digest = base::Digest::of("x"),
                        .size = 12345678901,
                        .platform = Platform{"linux", "arm", "v7", "10.0"},
                        .annotations = {{"a", "b"}, {"c", ""}},
                        .artifact_type = "t/y"};
  EXPECT_EQ(parse(to_json(descriptor).dump()), descriptor);
  descriptor = {.media_type = "x/y", .digest = base::Digest::of("x"), .size = 0};
  EXPECT_EQ(to_json(descriptor).dump(),
            R"({"mediaType":"x/y","digest":")" + descriptor.digest.str() + R"(","size":0})");
}

TEST(DescriptorJson, NormalizesThePlatform) {
  const auto platform = [](const std::string& text) {
    return parse(R"({"mediaType":"x/y","size":3,"digest":"sha256:)" + kHex + R"(","platform":)" +
                 text + "}")
        .platform;
  };
  EXPECT_EQ(platform(R"({"os":"linux","architecture":"aarch64","variant":"v8"})"),
            (Platform{"linux", "arm64", ""}));
  EXPECT_EQ(platform("null"), std::nullopt);
  expect_error(ErrorCode::corrupt, [&] { platform("7"); });
}

TEST(DescriptorJson, RefusesDigestsThatCouldBePathsOrAmbiguous) {
  parse(with_digest("sha256:" + kHex));
  for (const std::string& digest :
       {std::string("sha256:../../x"), "sha256:" + std::string(64, 'A'), "sha256:" + kHex + "a",
        "sha256:" + kHex.substr(1), "md5:" + kHex.substr(32), kHex, std::string(),
        "sha256:" + kHex.substr(6) + "\\u0000", "sha256:" + std::string(1 << 19, 'a'),
        "SHA256:" + kHex, " sha256:" + kHex})
    expect_error(ErrorCode::corrupt, [&] { parse(with_digest(digest)); });
  expect_error(ErrorCode::unsupported, [&] { parse(with_digest("sha512:" + kHex + kHex)); });
}

TEST(DescriptorJson, RefusesMissingMembersAndOtherTypes) {
  const std::string digest = R"("digest":"sha256:)" + kHex + "\"";
  for (const std::string& text :
       {"{\"size\":3," + digest + "}", R"({"mediaType":"x/y",)" + digest + "}",
        std::string(R"({"mediaType":"x/y","size":3})"), std::string("[]"), std::string("null"),
        R"({"mediaType":1,"size":3,)" + digest + "}",
        R"({"mediaType":"x/y","size":"3",)" + digest + "}",
        R"({"mediaType":"x/y","size":3,"annotations":{"a":1},)" + digest + "}"})
    expect_error(ErrorCode::corrupt, [&] { parse(text); });
}

}  // namespace
}  // namespace strake::oci
