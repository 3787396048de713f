#include "builder/images/index_edit.h"

#include <gtest/gtest.h>

#include "layers/base/error.h"
#include "tests/images/image_values.h"

namespace strake::builder {
namespace {

using oci::Descriptor;
using testing::attestation;
using testing::image;

const Descriptor kAmd = image("linux/amd64", "amd"), kArm = image("linux/arm64", "arm"),
                 kArm7 = image("linux/arm/v7", "arm7");
const Descriptor kAmdProof = attestation(kAmd, "amd proof"),
                 kArmProof = attestation(kArm, "arm proof");

std::vector<Descriptor> entries(const oci::Index& index) {
  return index.manifests;
}
using Entries = std::vector<Descriptor>;

TEST(IndexEdit, AppendsNewPlatformsInOrder) {
  oci::Index index{.manifests = {kAmd}};
  add_entries(index, Entries{kArm, kArm7});
  EXPECT_EQ(entries(index), (Entries{kAmd, kArm, kArm7}));
}

TEST(IndexEdit, NewImageTakesThePlaceOfItsPlatform) {
  const Descriptor newer = image("linux/amd64", "newer");
  oci::Index index{.manifests = {kAmd, kArm, kAmdProof, kArmProof}};
  add_entries(index, Entries{newer});
  EXPECT_EQ(entries(index), (Entries{newer, kArm, kArmProof}));
}

TEST(IndexEdit, SameDigestIsThereOnceAndKeepsItsAnnotations) {
  Descriptor before = kAmd, after = kAmd;
  before.annotations = {{"a", "1"}, {"b", "1"}};
  after.annotations = {{"b", "2"}};
  oci::Index index{.manifests = {before}};
  add_entries(index, Entries{after});
  ASSERT_EQ(index.manifests.size(), 1U);
  EXPECT_EQ(index.manifests[0].annotations,
            (std::map<std::string, std::string>{{"a", "1"}, {"b", "2"}}));
}

TEST(IndexEdit, PlatformsAreKeptWithTheirAttestations) {
  oci::Index index{.manifests = {kAmd, kArm, kAmdProof, kArmProof}};
  keep_platforms(index, std::vector{*kArm.platform});
  EXPECT_EQ(entries(index), (Entries{kArm, kArmProof}));
}

TEST(IndexEdit, UnknownPlatformIsRefusedWithWhatThereIs) {
  oci::Index index{.manifests = {kAmd, kArm}};
  try {
    keep_platforms(index, std::vector{oci::parse_platform("linux/s390x")});
    FAIL();
  } catch (const base::Error& error) {
    EXPECT_EQ(error.code(), base::ErrorCode::not_found);
    EXPECT_EQ(error.notes()[0], "it has: linux/amd64, linux/arm64");
  }
}

TEST(IndexEdit, RemovesByPlatformAndByDigest) {
  oci::Index index{.manifests = {kAmd, kArm, kAmdProof, kArmProof}};
  remove_entry(index, "linux/amd64");
  EXPECT_EQ(entries(index), (Entries{kArm, kArmProof}));
  remove_entry(index, kArmProof.digest.str());
  EXPECT_EQ(entries(index), Entries{kArm});
  EXPECT_THROW(remove_entry(index, "linux/amd64"), base::Error);
}

TEST(IndexEdit, AttestationWithABrokenSubjectIsAnOrdinaryEntry) {
  Descriptor odd = kAmdProof;
  odd.annotations["vnd.docker.reference.digest"] = "sha256:no";
  EXPECT_FALSE(attestation_subject(odd));
  EXPECT_FALSE(is_platform_image(odd));
}

}  // namespace
}  // namespace strake::builder
