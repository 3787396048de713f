#include "layers/image_store.h"

#include <gmock/gmock.h>

#include "tests/snapshot/store_fixture.h"

namespace strake::layers {
namespace {

ImageRecord image(std::string reference, std::string_view config) {
  PlatformImage one;
  one.platform = {.os = "linux", .architecture = "arm", .variant = "v7"};
  one.config = {.media_type = std::string(oci::media_type::kOciConfig),
                .digest = base::Digest::of(config),
                .size = config.size()};
  one.layers = {{{base::Digest::of("l1")}, 2048}, {{base::Digest::of("l2")}, 4096}};
  one.manifest = {.media_type = std::string(oci::media_type::kOciManifest),
                  .digest = base::Digest::of("manifest"),
                  .size = 8};
  return {.reference = std::move(reference), .created_seconds = 1'700'000'000, .platforms = {one}};
}

class Images : public test::StoreTest {
 protected:
  ImageStore images() const { return ImageStore(store()); }
};

TEST_F(Images, RecordIsFoundAsItWasPut) {
  ImageRecord record = image("docker.io/library/app:1", "config");
  record.index = {.media_type = std::string(oci::media_type::kOciIndex),
                  .digest = base::Digest::of("index"),
                  .size = 5};
  images().put(record);
  EXPECT_EQ(images().find("docker.io/library/app:1"), record);
  EXPECT_EQ(images().find("docker.io/library/app:2"), std::nullopt);
}

TEST_F(Images, NameMovesToTheNewImage) {
  images().put(image("docker.io/library/app:1", "old"));
  images().put(image("docker.io/library/app:1", "new"));
  EXPECT_EQ(images().list().size(), 1U);
  EXPECT_EQ(images().find("docker.io/library/app:1")->platforms[0].config.digest,
            base::Digest::of("new"));
}

TEST_F(Images, FoundByTheBeginningOfTheId) {
  images().put(image("docker.io/library/a:1", "a"));
  images().put(image("docker.io/library/b:1", "b"));
  images().put(image("docker.io/library/b:2", "b"));  // two names, one image
  const std::string id = base::Digest::of("b").hex();
  EXPECT_EQ(images().find_by_id(id.substr(0, 12))->reference, "docker.io/library/b:1");
  EXPECT_EQ(images().find_by_id("sha256:" + id)->reference, "docker.io/library/b:1");
  EXPECT_EQ(images().find_by_id("ffffffffffff"), std::nullopt);
  EXPECT_EQ(images().find_by_id(""), std::nullopt);
}

TEST_F(Images, AmbiguousIdIsAnError) {
  // Seventeen images: two begin with the same digit.
  std::set<char> seen;
  std::string twice;
  for (int i = 0; i < 17; ++i) {
    const std::string config = "c" + std::to_string(i);
    images().put(image("docker.io/library/app:" + std::to_string(i), config));
    const std::string digit = base::Digest::of(config).hex().substr(0, 1);
    if (!seen.insert(digit[0]).second) twice = digit;
  }
  EXPECT_THROW(images().find_by_id(twice), base::Error);
}

TEST_F(Images, ListIsSortedAndLeavesOutDamagedRecords) {
  images().put(image("docker.io/library/b:1", "b"));
  images().put(image("docker.io/library/a:1", "a"));
  test::write_file(store().images() / base::Digest::of("docker.io/library/c:1").hex(), "{}");
  const auto all = images().list();
  ASSERT_EQ(all.size(), 2U);
  EXPECT_EQ(all[0].reference, "docker.io/library/a:1");
  EXPECT_EQ(images().find("docker.io/library/c:1"), std::nullopt);
}

TEST_F(Images, RemoveTellsWhetherThereWasOne) {
  images().put(image("docker.io/library/a:1", "a"));
  EXPECT_TRUE(images().remove("docker.io/library/a:1"));
  EXPECT_FALSE(images().remove("docker.io/library/a:1"));
}

}  // namespace
}  // namespace strake::layers
