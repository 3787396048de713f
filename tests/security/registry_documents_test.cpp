// Manifests, indexes and configs that are not what they should be.

#include "layers/oci/image_config.h"
#include "tests/security/registry_fixture.h"

namespace strake::registry {
namespace {

using testing::code_of;
using testing::descriptor_json;
using testing::ErrorCode;
using ::testing::HasSubstr;
using testing::kIndexType;
using testing::kManifestType;
using testing::ServerRequest;
using testing::ServerResponse;

class RegistryDocuments : public testing::HostileRegistry {
 protected:
  /// The outcome of fetching `body` by tag, sent with this Content-Type; none if it is taken.
  std::optional<ErrorCode> fetch(const std::string& body, const std::string& content_type = "",
                                 const std::string& claimed_digest = "") {
    answer_ = [&](const ServerRequest&) {
      ServerResponse response{.body = body};
      if (!content_type.empty()) response.headers.emplace_back("Content-Type", content_type);
      if (!claimed_digest.empty())
        response.headers.emplace_back("Docker-Content-Digest", claimed_digest);
      return response;
    };
    try {
      client().get_manifest({repository_, "1", {}});
      return std::nullopt;
    } catch (const base::Error& e) {
      error_ = e;
      return e.code();
    }
  }

  static std::string digest(const std::string& bytes) { return base::Digest::of(bytes).str(); }
  const std::string manifest_ = testing::manifest_json(descriptor_json("layer"));
};

std::string replaced(std::string text, const std::string& what, const std::string& by) {
  return text.replace(text.find(what), what.size(), by);
}

// Case B01: documents that can be read as an image and as an index.
TEST_F(RegistryDocuments, ThatCanBeReadInTwoWaysAreRefused) {
  const std::string type = "\"mediaType\":\"" + std::string(kManifestType) + "\",";
  const std::string untyped = replaced(manifest_, type, "");
  const std::string both = replaced(untyped, "\"layers\":", "\"manifests\":[],\"layers\":");
  struct Row {
    const char* name;
    std::string body, content_type;
    std::optional<ErrorCode> outcome;
  };
  const Row rows[] = {
      {"as it should be", manifest_, kManifestType, {}},
      {"no type in the body", untyped, kManifestType, {}},
      {"no type at all", untyped, "", {}},
      {"a type that says nothing", manifest_, "application/json", {}},
      {"both kinds of members", both, kManifestType, ErrorCode::corrupt},
      {"both kinds, as an index", both, kIndexType, ErrorCode::corrupt},
      {"both kinds, no type", both, "", ErrorCode::corrupt},
      {"an image said to be an index", manifest_, kIndexType, ErrorCode::corrupt},
      {"an image without a type said to be an index", untyped, kIndexType, ErrorCode::corrupt},
      {"another kind of image", manifest_, "application/vnd.docker.distribution.manifest.v2+json",
       ErrorCode::corrupt},
  };
  for (const Row& row : rows) EXPECT_EQ(fetch(row.body, row.content_type), row.outcome) << row.name;
  EXPECT_NE(fetch(manifest_, "text/html"), std::nullopt);
}

// Case B02: content that is not what its digest says.
TEST_F(RegistryDocuments, AreWhatTheirDigestSays) {
  EXPECT_EQ(fetch(manifest_, kManifestType, digest(manifest_)), std::nullopt);
  EXPECT_EQ(fetch(manifest_, kManifestType, digest("other")), ErrorCode::corrupt);
  EXPECT_EQ(fetch(manifest_, kManifestType, "sha256:../../x"), std::nullopt);  // only a hint

  answer_ = [&](const ServerRequest& request) {
    // Whatever is asked for, and the digest that was asked for in the header.
    return ServerResponse{.headers = {{"Content-Type", kManifestType},
                                      {"Docker-Content-Digest",
                                       request.path().substr(request.path().rfind('/') + 1)}},
                          .body = manifest_};
  };
  const base::Digest other = base::Digest::of("other");
  EXPECT_EQ(code_of([&] { client().get_manifest({repository_, {}, other}); }), ErrorCode::corrupt);
  EXPECT_EQ(code_of([&] {
              client().get_manifest(repository_, {kManifestType, other, manifest_.size()});
            }),
            ErrorCode::corrupt);
  EXPECT_EQ(code_of([&] {
              client().get_manifest(
                  repository_, {kManifestType, base::Digest::of(manifest_), manifest_.size() + 1});
            }),
            ErrorCode::corrupt);

  // Blobs, and configs, which are blobs.
  answer_ = [&](const ServerRequest&) { return ServerResponse{.body = "forged"}; };
  pull({"x", other, 6});
  EXPECT_EQ(outcome(), ErrorCode::corrupt);
  EXPECT_EQ(code_of([&] { client().read_blob(repository_, {"x", other, 6}); }), ErrorCode::corrupt);
}

// Case B04: digests that are none.
TEST_F(RegistryDocuments, WithDigestsThatAreNoneAreRefused) {
  const std::string hex = digest("layer").substr(7);
  std::string upper = hex;
  for (char& c : upper) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  const std::string digests[] = {
      "sha256:../../x",
      "sha256:" + hex + "/../../x",
      "sha256:" + upper,
      "SHA256:" + hex,
      "sha256:" + hex.substr(1),
      "sha256:" + hex + "0",
      "sha256:" + hex.substr(1) + "g",
      "sha256: " + hex.substr(1),
      "sha256:" + hex + " ",
      "sha256:" + hex + "\\u0000",
      "sha256:\\u0000" + hex.substr(1),
      "sha256:" + hex + "?x=y",
      "sha256" + hex,
      ":" + hex,
      hex,
      "",
      "md5:d41d8cd98f00b204e9800998ecf8427e",
      "sha512:" + hex,
      "sha512:" + hex + hex,
      "sha256+b64:" + hex,
      "sha256:" + std::string(1'000'000, 'a'),
  };
  for (const std::string& text : digests) {
    const auto outcome = fetch(testing::manifest_json(descriptor_json(text, "5")), kManifestType);
    EXPECT_TRUE(outcome == ErrorCode::corrupt || outcome == ErrorCode::unsupported)
        << text.substr(0, 80);
    EXPECT_LT(std::string(error_->what()).size(), 1000U) << text.substr(0, 80);
  }
  for (const ServerRequest& request : server_.requests())
    EXPECT_EQ(request.target.find(".."), std::string::npos);
}

// Case B17: documents that are too large, or have too many entries.
TEST_F(RegistryDocuments, AreLimited) {
  const auto padded = [&](std::size_t size) {
    return manifest_ + std::string(size - manifest_.size(), ' ');
  };
  EXPECT_EQ(fetch(padded(kManifestLimitBytes - 1), kManifestType), std::nullopt);
  EXPECT_EQ(fetch(padded(kManifestLimitBytes), kManifestType), std::nullopt);
  EXPECT_EQ(fetch(padded(kManifestLimitBytes + 1), kManifestType), ErrorCode::corrupt);

  const auto repeated = [](std::size_t count) {
    std::string list = descriptor_json("layer");
    for (std::size_t i = 1; i < count; ++i) list += "," + descriptor_json("layer");
    return list;
  };
  EXPECT_EQ(fetch(testing::manifest_json(repeated(4096)), kManifestType), std::nullopt);
  EXPECT_EQ(fetch(testing::manifest_json(repeated(4097)), kManifestType), ErrorCode::corrupt);
  EXPECT_EQ(fetch(testing::manifest_json(repeated(20'000)), kManifestType), ErrorCode::corrupt);
  const auto index = [&](std::size_t count) {
    return "{\"schemaVersion\":2,\"manifests\":[" + repeated(count) + "]}";
  };
  EXPECT_EQ(fetch(index(1000), kIndexType), std::nullopt);
  EXPECT_EQ(fetch(index(1001), kIndexType), ErrorCode::corrupt);
  EXPECT_EQ(fetch(index(20'000), kIndexType), ErrorCode::corrupt);

  // A config is not even asked for when it says that it is too large.
  const std::size_t before = server_.requests().size();
  EXPECT_EQ(code_of([&] {
              client().read_blob(repository_, {"x", base::Digest::of("x"), kConfigLimitBytes + 1});
            }),
            ErrorCode::corrupt);
  EXPECT_EQ(server_.requests().size(), before);
}

// Case B18: JSON that readers understand differently, or that costs too much to read.
TEST_F(RegistryDocuments, AreStrictJson) {
  const std::string layer_digest = "\"digest\":\"" + digest("layer") + "\"";
  const std::string forms[] = {
      std::string(1'000'000, '['),
      replaced(manifest_, "\"layers\"",
               "\"x\":" + std::string(100, '[') + std::string(100, ']') + ",\"layers\""),
      replaced(manifest_, layer_digest, layer_digest + ",\"digest\":\"" + digest("evil") + "\""),
      replaced(manifest_, "\"layers\"",
               "\"mediaType\":\"" + std::string(kIndexType) + "\",\"layers\""),
      replaced(manifest_, "\"layers\"", "\"layers\":[],\"layers\""),
      replaced(manifest_, "image.layer", "image.\\u0000layer"),
      replaced(manifest_, "\"layers\"", "\"x\":\"\\ud800\",\"layers\""),
      "\xEF\xBB\xBF" + manifest_,
      replaced(manifest_, "\"size\":5", "\"size\":NaN"),
      replaced(manifest_, "\"size\":5", "\"size\":1e400"),
      replaced(manifest_, "\"size\":5", "\"size\":12345678901234567890123"),
      replaced(manifest_, "\"size\":5", "\"size\":05"),
      replaced(manifest_, "\"size\":5", "\"size\":0x5"),
      replaced(manifest_, "\"schemaVersion\":2", "\"schemaVersion\":2.5"),
      replaced(manifest_, "\"schemaVersion\":2", "\"schemaVersion\":\"2\""),
      manifest_ + "{}",
      manifest_ + std::string(1, '\0'),
      manifest_ + "]",
      replaced(manifest_, "\"layers\"", "\"x\":\"\xff\xfe\",\"layers\""),
      replaced(manifest_, "\"layers\"", "/* no */\"layers\""),
      replaced(manifest_, "\"layers\"", "'x':1,\"layers\""),
      replaced(manifest_, "]}", "],}"),
      "",
      "null",
      "[]",
      "\"manifest\"",
  };
  for (const std::string& form : forms)
    EXPECT_EQ(fetch(form, kManifestType), ErrorCode::corrupt) << form.substr(0, 300);
}

// Case B20: documents of kinds that are no images.
TEST_F(RegistryDocuments, OfOtherKindsAreNamed) {
  const auto kind_of_image = [&](const std::string& from, const std::string& to) {
    const std::string body = replaced(manifest_, from, to);
    answer_ = [body](const ServerRequest&) {
      return ServerResponse{.headers = {{"Content-Type", kManifestType}}, .body = body};
    };
    const auto document = client().get_manifest({repository_, "1", {}});
    return testing::error_of([&] { oci::require_image(std::get<oci::Manifest>(document.value)); });
  };
  const std::string config = "application/vnd.oci.image.config.v1+json";
  const std::string layer = "application/vnd.oci.image.layer.v1.tar";
  const std::pair<base::Error, const char*> rows[] = {
      {kind_of_image(config, "application/vnd.oci.empty.v1+json"), "vnd.oci.empty"},
      {kind_of_image(config, "application/vnd.cncf.helm.config.v1+json"), "helm"},
      {kind_of_image(layer, layer + "+encrypted"), "+encrypted"},
      {kind_of_image(layer, layer + "+gzip+encrypted"), "+encrypted"},
      {kind_of_image("\"layers\"", "\"artifactType\":\"application/x.sbom\",\"layers\""), "sbom"},
  };
  for (const auto& [error, named] : rows) {
    EXPECT_EQ(error.code(), ErrorCode::unsupported) << named;
    EXPECT_THAT(error.what(), HasSubstr("media type")) << named;
    EXPECT_THAT(error.what(), HasSubstr(named));
  }
  for (const char* type : {"application/vnd.docker.distribution.manifest.v1+prettyjws",
                           "application/vnd.docker.distribution.manifest.v1+json",
                           "application/vnd.oci.artifact.manifest.v1+json"}) {
    EXPECT_EQ(fetch("{\"schemaVersion\":1}", type), ErrorCode::unsupported) << type;
    EXPECT_THAT(error_->what(), HasSubstr("not supported")) << type;
  }
  EXPECT_EQ(fetch("{\"schemaVersion\":1,\"fsLayers\":[]}"), ErrorCode::unsupported);
}

}  // namespace
}  // namespace strake::registry
