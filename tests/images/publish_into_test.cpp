#include "builder/images/publish_into.h"

#include <thread>

#include "tests/images/images_fixture.h"

namespace strake::builder::testing {
namespace {

using base::ErrorCode;

class PublishInto : public ImagesTest {
 protected:
  PublishedInto publish(const oci::Document<oci::Manifest>& child,
                        PublishIntoOptions options = {}) {
    options.environment = options_.environment;
    return publish_into(client(), into_, child, options);
  }
  oci::Document<oci::Manifest> child(const std::string& platform, const std::string& layer = "l") {
    return add_image(server_, "team/app", platform, layer);
  }
  Names at_tag() {
    const auto document = client().get_manifest(into_);
    return platforms(std::get<oci::Index>(document.value));
  }

  const oci::Reference into_{repository_, "1.0", std::nullopt};
};

TEST_F(PublishInto, PartsBecomeAnIndex) {
  const auto amd = child("linux/amd64");
  const PublishedInto first = publish(amd);
  EXPECT_EQ(first.marker, "1.0--part-linux-amd64");
  EXPECT_EQ(at_tag(), Names{"linux/amd64"});
  publish(child("linux/arm64"));
  EXPECT_EQ(at_tag(), (Names{"linux/amd64", "linux/arm64"}));
  EXPECT_EQ(server_.registry.manifest("team/app", amd.descriptor.digest.str()), amd.bytes);
}

TEST_F(PublishInto, MarkersAreFoundWhereTagsCannotBeListed) {
  server_.lists_tags = false;
  for (const char* platform : {"linux/arm/v7", "linux/amd64", "linux/s390x"})
    publish(child(platform));
  EXPECT_EQ(at_tag(), (Names{"linux/amd64", "linux/arm/v7", "linux/s390x"}));
}

TEST_F(PublishInto, ListsThatAreLateDropNoPlatform) {
  publish(child("linux/unusual"));
  server_.hidden = {"1.0--part-linux-unusual"};
  publish(child("linux/amd64"));
  EXPECT_EQ(at_tag(), (Names{"linux/amd64", "linux/unusual"}));
}

/// The other's marker shows only while we wait before the last look.
TEST_F(PublishInto, LastLookFindsWhatWasLate) {
  const auto arm = child("linux/arm64");
  const auto amd = child("linux/amd64");
  PublishIntoOptions options;
  options.environment = options_.environment;
  options.environment.sleep = [&](std::chrono::milliseconds, std::stop_token) {
    client().put_manifest({repository_, "1.0--part-linux-arm64", std::nullopt}, arm.bytes,
                          arm.descriptor.media_type);
  };
  publish_into(client(), into_, amd, options);
  EXPECT_EQ(at_tag(), (Names{"linux/amd64", "linux/arm64"}));
}

TEST_F(PublishInto, TagThatNamesSomethingElseIsNoPart) {
  const auto arm = child("linux/arm64");
  client().put_manifest({repository_, "1.0--part-linux-s390x", std::nullopt}, arm.bytes,
                        arm.descriptor.media_type);
  publish(child("linux/amd64"));
  EXPECT_EQ(at_tag(), Names{"linux/amd64"});
}

TEST_F(PublishInto, MissingPlatformsLeaveTheTagAlone) {
  const PublishIntoOptions options{.required = {{"linux", "amd64", ""}, {"linux", "arm64", ""}}};
  const PublishedInto first = publish(child("linux/amd64"), options);
  EXPECT_FALSE(first.index);
  ASSERT_EQ(first.missing.size(), 1U);
  EXPECT_EQ(first.missing[0].str(), "linux/arm64");
  EXPECT_EQ(code_of([&] { client().resolve(into_); }), ErrorCode::not_found);
  EXPECT_TRUE(publish(child("linux/arm64"), options).index);
  EXPECT_EQ(at_tag(), (Names{"linux/amd64", "linux/arm64"}));
}

TEST_F(PublishInto, RequiredPlatformsNeedNoList) {
  server_.lists_tags = false;
  const PublishIntoOptions options{.required = {{"linux", "amd64", ""}}};
  publish(child("linux/amd64"), options);
  for (const auto& request : http_.requests())
    EXPECT_EQ(request.path().find("/tags/"), std::string::npos);
}

TEST_F(PublishInto, PlatformThatIsNotRequiredIsRefused) {
  EXPECT_EQ(code_of([&] {
              publish(child("linux/s390x"), {.required = {{"linux", "amd64", ""}}});
            }),
            ErrorCode::invalid_input);
}

TEST_F(PublishInto, PlainImageAtTheTagIsReplaced) {
  const auto old = child("linux/amd64", "old");
  client().put_manifest(into_, old.bytes, old.descriptor.media_type);
  publish(child("linux/arm64"));
  EXPECT_EQ(at_tag(), Names{"linux/arm64"});
}

TEST_F(PublishInto, SomebodyWhoKeepsOverwritingTheTagIsAnError) {
  const auto old = child("linux/amd64", "old");
  server_.before = [&](const auto& request) {
    if (request.method == "GET" && request.path().ends_with("/manifests/1.0"))
      server_.registry.add_manifest("team/app", "1.0", old.bytes, old.descriptor.media_type);
  };
  const base::Error error = error_of([&] { publish(child("linux/arm64"), {.most_writes = 5}); });
  EXPECT_EQ(error.code(), ErrorCode::unavailable);
  EXPECT_THAT(error.what(), ::testing::HasSubstr("replaced again and again"));
}

TEST_F(PublishInto, ManyAtOnceLeaveNoneOut) {
  const std::vector<std::string> names{"linux/amd64", "linux/arm64", "linux/ppc64le",
                                       "linux/s390x"};
  for (int round = 0; round < 20; ++round) {
    const oci::Reference into{repository_, "race-" + std::to_string(round), std::nullopt};
    client();
    std::vector<std::jthread> publishers;
    for (const std::string& name : names)
      publishers.emplace_back([this, into, part = child(name)] {
        publish_into(client(), into, part, {.environment = options_.environment});
      });
    publishers.clear();
    EXPECT_EQ(platforms(std::get<oci::Index>(client().get_manifest(into).value)), names);
  }
}

}  // namespace
}  // namespace strake::builder::testing
