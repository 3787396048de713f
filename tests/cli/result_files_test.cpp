#include "builder/cli/result_files.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "layers/base/error.h"
#include "layers/base/files.h"

namespace strake::cli {
namespace {

const base::Digest kConfig = base::Digest::of("config");
const base::Digest kManifest = base::Digest::of("manifest");

builder::BuildOutcome single_platform() {
  const oci::Descriptor manifest{
      .media_type = std::string(oci::media_type::kOciManifest), .digest = kManifest, .size = 123};
  builder::BuildOutcome outcome;
  outcome.images.push_back({{"linux", "amd64", ""}, kConfig, manifest});
  outcome.root = manifest;
  return outcome;
}

TEST(MetadataFile, HasTheKeysOfBuildx) {
  EXPECT_EQ(metadata_json(single_platform(), {"docker.io/library/a:1", "r.io/b:2"}), R"({
  "containerimage.config.digest": ")" + kConfig.str() + R"(",
  "containerimage.descriptor": {
    "mediaType": "application/vnd.oci.image.manifest.v1+json",
    "digest": ")" + kManifest.str() + R"(",
    "size": 123
  },
  "containerimage.digest": ")" + kManifest.str() + R"(",
  "image.name": "docker.io/library/a:1,r.io/b:2"
}
)");
}

TEST(MetadataFile, LeavesOutWhatIsNotThere) {
  builder::BuildOutcome outcome = single_platform();
  outcome.root.reset();
  EXPECT_EQ(metadata_json(outcome, {}),
            "{\n  \"containerimage.config.digest\": \"" + kConfig.str() + "\"\n}\n");
}

TEST(MetadataFile, SeveralPlatformsHaveNoSingleConfig) {
  builder::BuildOutcome outcome = single_platform();
  outcome.images.push_back({{"linux", "arm64", ""}, base::Digest::of("other"), std::nullopt});
  EXPECT_EQ(metadata_json(outcome, {}).find("config.digest"), std::string::npos);
}

TEST(MetadataFile, ListsWhatWasEmulated) {
  builder::BuildOutcome outcome;
  outcome.emulated.push_back({.platform = {"linux", "arm64", ""},
                              .stage = "build",
                              .first_stage = "build",
                              .emulator = "qemu-aarch64",
                              .time = std::chrono::milliseconds(1500)});
  EXPECT_EQ(metadata_json(outcome, {}), R"({
  "strake.emulated": [
    {
      "platform": "linux/arm64",
      "stage": "build",
      "emulator": "qemu-aarch64",
      "seconds": 1.5
    }
  ]
}
)");
}

TEST(ImageId, IsTheConfigOfOnePlatformAndTheIndexOfSeveral) {
  builder::BuildOutcome outcome = single_platform();
  EXPECT_EQ(image_id(outcome), kConfig);
  outcome.images.push_back({{"linux", "arm64", ""}, base::Digest::of("other"), std::nullopt});
  EXPECT_EQ(image_id(outcome), kManifest);
  EXPECT_THROW(image_id({}), base::Error);
}

class ResultFile : public testing::Test {
 protected:
  std::filesystem::path path(const char* name) const { return directory_.path() / name; }
  std::string refusal(const std::filesystem::path& file) const {
    try {
      write_result_file(file, "id");
    } catch (const base::Error& error) {
      return error.what();
    }
    return "written";
  }

  base::TempDirectory directory_{"/tmp", "strake-test-"};
};

TEST_F(ResultFile, IsWrittenAndReplaced) {
  write_result_file(path("id"), "one");
  write_result_file(path("id"), "two");
  EXPECT_EQ(base::read_file(path("id")), "two");
}

TEST_F(ResultFile, HonoursTheUmask) {
  const mode_t before = umask(027);
  write_result_file(path("id"), "x");
  umask(before);
  struct stat status {};
  ASSERT_EQ(stat(path("id").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777, 0640U);
}

// Case C20: results are written to regular files that are there or new, through no symlink.
TEST_F(ResultFile, NeverFollowsASymlink) {
  base::write_file_atomically(path("victim"), "precious");
  std::filesystem::create_symlink(path("victim"), path("link"));
  EXPECT_NE(refusal(path("link")).find("it is a symbolic link"), std::string::npos);
  EXPECT_EQ(base::read_file(path("victim")), "precious");
}

TEST_F(ResultFile, RefusesWhatIsNoRegularFile) {
  ASSERT_EQ(mkfifo(path("fifo").c_str(), 0600), 0);
  EXPECT_NE(refusal(path("fifo")).find("it is a FIFO"), std::string::npos);
  EXPECT_NE(refusal(directory_.path()).find("it is a directory"), std::string::npos);
  EXPECT_NE(refusal("/dev/null").find("it is a device"), std::string::npos);
}

TEST_F(ResultFile, DashIsStdout) {
  testing::internal::CaptureStdout();
  write_result_file("-", "text");
  EXPECT_EQ(testing::internal::GetCapturedStdout(), "text");
}

}  // namespace
}  // namespace strake::cli
