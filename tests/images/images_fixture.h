#pragma once

#include "builder/images/image_source.h"
#include "layers/oci/image_config.h"
#include "tests/registry/client_fixture.h"
#include "tests/registry/listing_registry.h"

namespace strake::builder::testing {

using registry::testing::ClientTest;
using registry::testing::code_of;
using registry::testing::error_of;
using registry::testing::ListingRegistry;

/// Two registries in memory, reg.example.com and other.example.com, and images to put there.
class ImagesTest : public ClientTest {
 protected:
  static constexpr const char* kOther = "other.example.com";

  ImagesTest() {
    http_.serve(kOrigin, [this](const auto& request) { return server_(request); });
    http_.serve("https://other.example.com",
                [this](const auto& request) { return other_server_(request); });
  }

  /// An image of one layer; its manifest is there by its digest only. The platform is in the
  /// descriptor.
  static oci::Document<oci::Manifest> add_image(ListingRegistry& server,
                                                const std::string& repository,
                                                const std::string& platform,
                                                const std::string& layer = "layer") {
    oci::ImageConfig config;
    config.platform = oci::parse_platform(platform);
    config.diff_ids = {{base::Digest::of("tar of " + layer)}};
    config.history = {{.created = "", .created_by = "COPY"}};
    const std::string json = oci::to_json(config);
    const auto blob = [&](std::string_view type, const std::string& bytes) {
      return oci::Descriptor{std::string(type), server.registry.add_blob(repository, bytes),
                             bytes.size()};
    };
    auto document = oci::make_manifest({.config = blob(oci::media_type::kOciConfig, json),
                                        .layers = {blob(oci::media_type::kOciLayerGzip, layer)}});
    server.registry.add_manifest(repository, document.descriptor.digest.str(), document.bytes,
                                 document.descriptor.media_type);
    document.descriptor.platform = config.platform;
    return document;
  }

  /// An index of images that are there, at a tag.
  static oci::Document<oci::Index> add_index(ListingRegistry& server, const std::string& repository,
                                             const std::string& tag, oci::Index index) {
    auto document = oci::make_index(std::move(index));
    server.registry.add_manifest(repository, tag, document.bytes, document.descriptor.media_type);
    return document;
  }

  static std::vector<std::string> platforms(const oci::Index& index) {
    std::vector<std::string> names;
    for (const oci::Descriptor& entry : index.manifests)
      names.push_back(entry.platform ? entry.platform->str() : "");
    return names;
  }
  using Names = std::vector<std::string>;

  ListingRegistry server_, other_server_;
};

}  // namespace strake::builder::testing
