#include "builder/images/copy_image.h"

#include <fstream>

#include "builder/images/index_images.h"
#include "layers/base/files.h"
#include "tests/images/image_values.h"
#include "tests/images/images_fixture.h"

namespace strake::builder::testing {
namespace {

using base::ErrorCode;

class CopyImage : public ImagesTest {
 protected:
  CopyImage() {
    index_ = add_index(server_, "team/app", "1.0",
                       {.manifests = {amd_.descriptor, arm_.descriptor},
                        .annotations = {{"spelled", "as it is"}}});
  }
  std::unique_ptr<ImageSource> source(const std::string& name) {
    return registry_source(client(), oci::parse_reference(name), {});
  }
  base::Digest copy(const std::string& from, const std::string& to,
                    std::vector<oci::Platform> platforms = {}) {
    const auto image = source(from);
    const ImageTree tree = read_image(*image, platforms);
    copy_to_registry(*image, tree, client(), oci::parse_reference(to));
    return tree.root.digest;
  }
  std::size_t count(const std::string& method, const std::string& part) {
    std::size_t found = 0;
    for (const auto& request : http_.requests())
      found += request.method == method && request.target.find(part) != std::string::npos ? 1 : 0;
    return found;
  }

  const oci::Document<oci::Manifest> amd_ = add_image(server_, "team/app", "linux/amd64", "one");
  const oci::Document<oci::Manifest> arm_ =
      add_image(server_, "team/app", "linux/arm64", std::string(3'000'000, 'x'));
  oci::Document<oci::Index> index_;
  const base::TempDirectory directory_{::testing::TempDir(), "copy-"};
};

constexpr const char* kSource = "reg.example.com/team/app:1.0";

TEST_F(CopyImage, BringsEverythingAsItIs) {
  EXPECT_EQ(copy(kSource, "other.example.com/a/b:2"), index_.descriptor.digest);
  EXPECT_EQ(other_server_.registry.manifest("a/b", "2"), index_.bytes);
  for (const auto* manifest : {&amd_, &arm_})
    EXPECT_EQ(other_server_.registry.manifest("a/b", manifest->descriptor.digest.str()),
              manifest->bytes);
  EXPECT_TRUE(other_server_.registry.has_blob("a/b", arm_.value.layers[0].digest));
}

TEST_F(CopyImage, SecondCopyMovesNoBlob) {
  copy(kSource, "other.example.com/a/b:2");
  const std::size_t before = count("POST", "/uploads/") + count("GET", "/blobs/");
  copy(kSource, "other.example.com/a/b:3");
  EXPECT_EQ(count("POST", "/uploads/") + count("GET", "/blobs/"), before);
  EXPECT_EQ(other_server_.registry.manifest("a/b", "3"), index_.bytes);
}

TEST_F(CopyImage, WithinARegistryBlobsAreMounted) {
  copy(kSource, "reg.example.com/moved/app:1.0");
  EXPECT_EQ(count("GET", "/blobs/"), 0U);
  EXPECT_EQ(server_.registry.manifest("moved/app", "1.0"), index_.bytes);
}

TEST_F(CopyImage, WithinARegistryThatRefusesMountsTheyStreamWithoutWaitingForEachOther) {
  server_.registry.refuse_mounts = true;
  copy(kSource, "reg.example.com/moved/app:1.0");
  EXPECT_TRUE(server_.registry.has_blob("moved/app", arm_.value.layers[0].digest));
}

TEST_F(CopyImage, OnePlatformIsItsManifest) {
  EXPECT_EQ(copy(kSource, "other.example.com/a/b:2", {oci::parse_platform("arm64")}),
            arm_.descriptor.digest);
  EXPECT_EQ(other_server_.registry.manifest("a/b", "2"), arm_.bytes);
  EXPECT_FALSE(other_server_.registry.has_blob("a/b", amd_.value.layers[0].digest));
}

TEST_F(CopyImage, DigestThatIsNotTheImagesIsRefused) {
  EXPECT_EQ(
      code_of([&] { copy(kSource, "other.example.com/a/b@" + base::Digest::of("other").str()); }),
      ErrorCode::invalid_input);
}

TEST_F(CopyImage, ReferrersOfReferrersCome) {
  server_.lists_referrers = true;
  server_.registry.add_blob("team/app", "{}");
  const oci::Descriptor empty{"application/vnd.oci.empty.v1+json", base::Digest::of("{}"), 2};
  oci::Descriptor subject = amd_.descriptor;
  subject.platform.reset();
  std::vector<base::Digest> artifacts;
  for (const char* type : {"a/sbom", "a/signature"}) {
    oci::Manifest manifest{.config = empty, .layers = {empty}};
    manifest.artifact_type = type;
    manifest.subject = subject;
    const auto document = oci::make_manifest(manifest);
    client().push_referrer(repository_, document);
    subject = document.descriptor;
    artifacts.push_back(document.descriptor.digest);
  }
  const auto image = source(kSource);
  copy(kSource, "other.example.com/a/b:1");
  copy_referrers(repository_, read_image(*image, {}), client(), {kOther, "a/b"});
  for (const base::Digest& artifact : artifacts)
    EXPECT_NE(other_server_.registry.manifest("a/b", artifact.str()), "");
  // The other registry lists none, so the tag does.
  EXPECT_EQ(client().list_referrers({kOther, "a/b"}, amd_.descriptor.digest)[0].digest,
            artifacts[0]);
}

TEST_F(CopyImage, LayoutsAndArchivesGiveTheSameImageBack) {
  const std::string layout = directory_.path() / "layout", archive = directory_.path() / "a.tar";
  const auto image = source(kSource);
  const ImageTree tree = read_image(*image, {});
  copy_to_layout(*image, tree, layout, "v1");
  copy_to_archive(*image, tree, ArchiveKind::oci, archive, "v1");
  for (const auto& from : {layout_source(layout, "v1"), archive_source(archive, "v1")}) {
    const ImageTree back = read_image(*from, {});
    EXPECT_EQ(back.root.digest, index_.descriptor.digest);
    copy_to_registry(*from, back, client(), oci::parse_reference("other.example.com/a/b:1"));
    EXPECT_EQ(other_server_.registry.manifest("a/b", "1"), index_.bytes);
  }
}

TEST_F(CopyImage, TagsOfALayoutNameOneImageEach) {
  const std::string layout = directory_.path() / "layout";
  const auto first = source("reg.example.com/team/app@" + amd_.descriptor.digest.str());
  const auto second = source("reg.example.com/team/app@" + arm_.descriptor.digest.str());
  copy_to_layout(*first, read_image(*first, {}), layout, "v1");
  copy_to_layout(*second, read_image(*second, {}), layout, "v2");
  EXPECT_EQ(layout_source(layout, "v1")->root().descriptor.digest, amd_.descriptor.digest);
  EXPECT_EQ(layout_source(layout, "v2")->root().descriptor.digest, arm_.descriptor.digest);
  copy_to_layout(*second, read_image(*second, {}), layout, "v1");
  EXPECT_EQ(layout_source(layout, "v1")->root().descriptor.digest, arm_.descriptor.digest);
  EXPECT_EQ(code_of([&] { layout_source(layout, "v3")->root(); }), ErrorCode::not_found);
}

TEST_F(CopyImage, ArchiveThatEndsEarlyIsRefused) {
  const std::string archive = directory_.path() / "a.tar";
  const auto image = source(kSource);
  copy_to_archive(*image, read_image(*image, {}), ArchiveKind::oci, archive, "");
  const std::string bytes = *base::read_file(archive);
  for (const std::size_t size : {std::size_t{0}, std::size_t{700}, bytes.size() / 2}) {
    std::ofstream(archive, std::ios::binary) << bytes.substr(0, size);
    EXPECT_EQ(code_of([&] { archive_source(archive, ""); }), ErrorCode::corrupt) << size;
  }
  std::ofstream(archive, std::ios::binary) << std::string(10'000, 'x');
  EXPECT_EQ(code_of([&] { archive_source(archive, ""); }), ErrorCode::corrupt);
  std::ofstream(archive, std::ios::binary) << "\x1f\x8b\x08 gzip";
  EXPECT_EQ(code_of([&] { archive_source(archive, ""); }), ErrorCode::unsupported);
}

class IndexImages : public CopyImage {
 protected:
  AnyDocument create(IndexRequest request) { return create_index(client(), request); }
};

TEST_F(IndexImages, ChildrenComeFromEveryRegistry) {
  const auto s390 = add_image(other_server_, "b", "linux/s390x", "s390");
  const auto result = create(
      {.targets = {oci::parse_reference("reg.example.com/all:1")},
       .sources = {oci::parse_reference(kSource),
                   oci::parse_reference("other.example.com/b@" + s390.descriptor.digest.str())}});
  EXPECT_EQ(platforms(std::get<oci::Index>(result.value)),
            (Names{"linux/amd64", "linux/arm64", "linux/s390x"}));
  EXPECT_EQ(server_.registry.manifest("all", s390.descriptor.digest.str()), s390.bytes);
  EXPECT_TRUE(server_.registry.has_blob("all", s390.value.layers[0].digest));
}

TEST_F(IndexImages, LoneIndexKeepsItsDigest) {
  const auto result = create({.targets = {oci::parse_reference("other.example.com/all:1")},
                              .sources = {oci::parse_reference(kSource)}});
  EXPECT_EQ(result.descriptor.digest, index_.descriptor.digest);
}

TEST_F(IndexImages, AttestationsGoWithTheirImage) {
  const auto proof = add_image(server_, "team/app", "linux/amd64", "proof");
  oci::Descriptor entry = proof.descriptor;
  entry.platform = oci::Platform{"unknown", "unknown", ""};
  entry.annotations = attestation(amd_.descriptor, "").annotations;
  add_index(server_, "team/app", "signed",
            {.manifests = {amd_.descriptor, arm_.descriptor, entry}});
  const IndexRequest request{.targets = {oci::parse_reference("other.example.com/all:1")},
                             .sources = {oci::parse_reference("reg.example.com/team/app:signed")},
                             .platforms = {*amd_.descriptor.platform}};
  EXPECT_EQ(platforms(std::get<oci::Index>(create(request).value)),
            (Names{"linux/amd64", "unknown/unknown"}));
  EXPECT_EQ(other_server_.registry.manifest("all", proof.descriptor.digest.str()), proof.bytes);
}

TEST_F(IndexImages, DryRunWritesNothing) {
  const IndexRequest request{.targets = {oci::parse_reference("other.example.com/all:1")},
                             .sources = {oci::parse_reference(kSource)},
                             .platforms = {*arm_.descriptor.platform}};
  const AnyDocument document = plan_index(client(), request, request.targets[0]);
  EXPECT_EQ(platforms(std::get<oci::Index>(document.value)), Names{"linux/arm64"});
  EXPECT_EQ(http_.count("PUT") + http_.count("POST"), 0U);
}

TEST_F(IndexImages, RemovingTheLastImageIsRefused) {
  const std::vector<std::string> all{"linux/amd64", "linux/arm64"};
  EXPECT_EQ(code_of([&] { remove_from_index(client(), oci::parse_reference(kSource), all); }),
            ErrorCode::invalid_input);
  EXPECT_EQ(server_.registry.manifest("team/app", "1.0"), index_.bytes);
}

}  // namespace
}  // namespace strake::builder::testing
