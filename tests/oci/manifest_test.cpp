#include "layers/oci/manifest.h"

#include "tests/oci/expect_error.h"

namespace strake::oci {
namespace {

using base::ErrorCode;

const std::string kDescriptor =
    R"({"mediaType":"application/vnd.oci.image.config.v1+json","size":2,"digest":"sha256:)" +
    std::string(64, 'a') + "\"}";

std::string image(const std::string& more = "") {
  return R"({"schemaVersion":2,"config":)" + kDescriptor + R"(,"layers":[)" + kDescriptor + "]" +
         more + "}";
}
std::string index(const std::string& more = "") {
  return R"({"schemaVersion":2,"manifests":[)" + kDescriptor + "]" + more + "}";
}
std::string repeated(const std::string& head, std::size_t count, const std::string& tail) {
  std::string text = head;
  for (std::size_t i = 0; i < count; ++i) text += (i == 0 ? "" : ",") + kDescriptor;
  return text + tail;
}
std::string media_type_member(std::string_view type) {
  return ",\"mediaType\":\"" + std::string(type) + "\"";
}
std::string corrupt(const std::string& text, std::string_view type = "") {
  return expect_error(ErrorCode::corrupt, [&] { parse_manifest(text, type); });
}
std::string unsupported(const std::string& text, std::string_view type = "") {
  return expect_error(ErrorCode::unsupported, [&] { parse_manifest(text, type); });
}

TEST(ParseManifest, KeepsTheBytesAndComputesTheDigestItself) {
  const std::string text = " " + image() + "\n";
  const auto document = parse_manifest(text, media_type::kOciManifest);
  EXPECT_EQ(document.bytes, text);
  EXPECT_EQ(document.descriptor.digest, base::Digest::of(text));
  EXPECT_EQ(document.descriptor.size, text.size());
  EXPECT_EQ(document.descriptor.media_type, media_type::kOciManifest);
  EXPECT_EQ(std::get<Manifest>(document.value).layers.size(), 1U);
}

TEST(ParseManifest, TakesTheTypeFromCarrierBodyOrMembers) {
  const auto type = [](const std::string& text, std::string_view carried) {
    return parse_manifest(text, carried).descriptor.media_type;
  };
  EXPECT_EQ(type(image(), ""), media_type::kOciManifest);
  EXPECT_EQ(type(index(), ""), media_type::kOciIndex);
  EXPECT_EQ(type(image(), media_type::kDockerManifest), media_type::kDockerManifest);
  EXPECT_EQ(type(index(media_type_member(media_type::kDockerIndex)), "application/json"),
            media_type::kDockerIndex);
  EXPECT_EQ(type(index(), std::string(media_type::kOciIndex) + "; charset=utf-8"),
            media_type::kOciIndex);
}

TEST(ParseManifest, RefusesDocumentsThatCanBeReadInTwoWays) {
  corrupt(image(R"(,"manifests":[])"));
  corrupt(index(R"(,"layers":[])"));
  corrupt(index(",\"config\":" + kDescriptor));
  corrupt(index(R"(,"fsLayers":[])"));
  corrupt(image(R"(,"manifests":[])"), media_type::kOciManifest);
  corrupt(image(), media_type::kOciIndex);
  corrupt(index(), media_type::kOciManifest);
  corrupt(image(media_type_member(media_type::kOciIndex)), media_type::kOciManifest);
  corrupt(image(media_type_member(media_type::kDockerManifest)), media_type::kOciManifest);
  corrupt(image(media_type_member(media_type::kOciManifest) +
                media_type_member(media_type::kOciManifest)));
}

TEST(ParseManifest, NamesTypesItDoesNotSupport) {
  EXPECT_EQ(unsupported("{}", "application/vnd.docker.distribution.manifest.v1+prettyjws"),
            "manifests of the media type "
            "\"application/vnd.docker.distribution.manifest.v1+prettyjws\" are not supported");
  unsupported(R"({"schemaVersion":1,"fsLayers":[]})");
  unsupported(image(media_type_member("application/vnd.oci.artifact.manifest.v1+json")));
  unsupported(image(), "text/html");
}

TEST(ParseManifest, RefusesMalformedDocuments) {
  corrupt("");
  corrupt("[]");
  corrupt("{}");
  corrupt(R"({"schemaVersion":2})");
  corrupt(R"({"schemaVersion":3,"manifests":[]})");
  corrupt(R"({"schemaVersion":"2","manifests":[]})");
  corrupt(R"({"schemaVersion":2,"manifests":{}})");
  corrupt(R"({"schemaVersion":2,"layers":[]})");
  corrupt(R"({"schemaVersion":2,"config":)" + kDescriptor + "}");
  corrupt(R"({"schemaVersion":2,"config":[],"layers":[]})");
  corrupt(image(R"(,"annotations":[])"));
  corrupt(image() + image());
}

TEST(ParseManifest, LimitsItsSizeLayersAndEntries) {
  constexpr std::size_t kLimit = 4 << 20;
  const std::string text = index();
  parse_manifest(text + std::string(kLimit - text.size(), ' '), "");
  corrupt(text + std::string(kLimit - text.size() + 1, ' '));

  const std::string layers = R"({"schemaVersion":2,"config":)" + kDescriptor + R"(,"layers":[)";
  EXPECT_EQ(
      std::get<Manifest>(parse_manifest(repeated(layers, 4096, "]}"), "").value).layers.size(),
      4096U);
  corrupt(repeated(layers, 4097, "]}"));
  const std::string manifests = R"({"schemaVersion":2,"manifests":[)";
  parse_manifest(repeated(manifests, 1000, "]}"), "");
  corrupt(repeated(manifests, 1001, "]}"));
}

TEST(MakeManifest, WritesWhatParseManifestReads) {
  Manifest manifest{
      .config = {.media_type = std::string(media_type::kOciConfig),
                 .digest = base::Digest::of("config"),
                 .size = 6},
      .layers = {{.media_type = std::string(media_type::kOciLayerGzip),
                  .digest = base::Digest::of("layer"),
                  .size = 5}},
      .annotations = {{"org.opencontainers.image.title", "caf\xc3\xa9 <&>"}},
      .subject = Descriptor{.media_type = "a/b", .digest = base::Digest::of("s"), .size = 1},
      .artifact_type = "x/y"};
  const auto made = make_manifest(manifest);
  const auto read = parse_manifest(made.bytes, made.descriptor.media_type);
  EXPECT_EQ(read.descriptor, made.descriptor);
  const auto& value = std::get<Manifest>(read.value);
  EXPECT_EQ(value.config, manifest.config);
  EXPECT_EQ(value.layers, manifest.layers);
  EXPECT_EQ(value.annotations, manifest.annotations);
  EXPECT_EQ(value.subject, manifest.subject);
  EXPECT_EQ(value.artifact_type, manifest.artifact_type);
}

TEST(MakeManifest, WritesTheBytesOfTheReferenceImplementation) {
  const Descriptor config{.media_type = std::string(media_type::kDockerConfig),
                          .digest = base::Digest::from_hex(std::string(64, 'a')),
                          .size = 2};
  EXPECT_EQ(make_manifest({.config = config, .layers = {}}, true).bytes,
            "{\n"
            "  \"schemaVersion\": 2,\n"
            "  \"mediaType\": \"application/vnd.docker.distribution.manifest.v2+json\",\n"
            "  \"config\": {\n"
            "    \"mediaType\": \"application/vnd.docker.container.image.v1+json\",\n"
            "    \"digest\": \"sha256:" +
                std::string(64, 'a') +
                "\",\n"
                "    \"size\": 2\n"
                "  },\n"
                "  \"layers\": []\n"
                "}");
}

TEST(MakeManifest, TakesAnnotationsThatAreNotUtf8) {
  const auto made = make_index({.manifests = {}, .annotations = {{"a", "\xff"}}});
  EXPECT_EQ(std::get<Index>(parse_manifest(made.bytes, "").value).annotations.at("a"),
            "\xEF\xBF\xBD");
}

TEST(MakeIndex, KeepsTheOrderOfItsManifests) {
  Index value;
  for (const char* name : {"linux/arm64", "linux/amd64"})
    value.manifests.push_back({.media_type = std::string(media_type::kOciManifest),
                               .digest = base::Digest::of(name),
                               .size = 7,
                               .platform = parse_platform(name)});
  const auto made = make_index(value);
  EXPECT_EQ(std::get<Index>(parse_manifest(made.bytes, media_type::kOciIndex).value).manifests,
            value.manifests);
  EXPECT_EQ(make_index(value, true).descriptor.media_type, media_type::kDockerIndex);
}

TEST(RequireImage, RefusesArtifactsAndEncryptedLayers) {
  const Descriptor config{.media_type = std::string(media_type::kOciConfig)};
  const Descriptor layer{.media_type = std::string(media_type::kOciLayerGzip)};
  require_image({.config = config, .layers = {layer}});
  const auto refused = [](const Manifest& manifest) {
    expect_error(ErrorCode::unsupported, [&] { require_image(manifest); });
  };
  refused({.config = {.media_type = "application/vnd.oci.empty.v1+json"}, .layers = {layer}});
  refused({.config = config,
           .layers = {{.media_type = "application/vnd.oci.image.layer.v1.tar+gzip+encrypted"}}});
  refused({.config = config, .layers = {layer}, .artifact_type = "application/x"});
}

}  // namespace
}  // namespace strake::oci
