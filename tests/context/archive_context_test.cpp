#include "builder/context/archive_context.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "layers/base/files.h"
#include "tests/archive/run_tool.h"
#include "tests/base/expect_error.h"
#include "tests/support/tar_builder.h"

namespace strake::builder {
namespace {

namespace fs = std::filesystem;
using base::ErrorCode;
using base::expect_error;
using test::TarBuilder;

std::string read(const fs::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

class ArchiveContextTest : public testing::Test {
 protected:
  ArchiveContextTest() { fs::create_directory(root_); }
  void unpack(std::string bytes) {
    unpack_archive(std::make_unique<base::StringSource>(std::move(bytes)), root_);
  }

  base::TempDirectory directory_{"/tmp", "strake-archive-"};
  const fs::path root_ = directory_.path() / "root";
};

TEST_F(ArchiveContextTest, UnpacksEveryCompression) {
  const std::string tar =
      TarBuilder().directory("d").file("d/f", "text", {.mode = 0755}).symlink("l", "d/f").str();
  for (const char* tool : {"cat", "gzip -c", "bzip2 -c", "xz -c", "zstd -qc"}) {
    const test::ToolResult packed = test::run_tool(tool, tar);
    ASSERT_EQ(packed.status, 0) << tool;
    EXPECT_TRUE(looks_like_archive(base::bytes_of(packed.output))) << tool;
    fs::remove_all(root_);
    fs::create_directory(root_);
    unpack(packed.output);
    EXPECT_EQ(read(root_ / "d/f"), "text") << tool;
    EXPECT_EQ(fs::read_symlink(root_ / "l"), "d/f") << tool;
  }
}

TEST_F(ArchiveContextTest, LeavesTheDirectoryNowhere) {
  expect_error(ErrorCode::corrupt, [&] { unpack(TarBuilder().file("../x", "bad").str()); });
  unpack(TarBuilder()
             .symlink("out", directory_.path().native())
             .file("out/escaped", "bad")
             .file("/absolute", "in")
             .str());
  EXPECT_FALSE(fs::exists(directory_.path() / "escaped"));
  EXPECT_EQ(read(root_ / "absolute"), "in");
}

TEST_F(ArchiveContextTest, RefusesDamage) {
  const std::string tar = TarBuilder().file("f", std::string(3000, 'x')).str();
  expect_error(ErrorCode::corrupt, [&] { unpack(tar.substr(0, 2000)); });
  expect_error(ErrorCode::corrupt, [&] { unpack("FROM scratch\n"); });
  const test::ToolResult packed = test::run_tool("gzip -c", tar);
  expect_error(ErrorCode::corrupt,
               [&] { unpack(packed.output.substr(0, packed.output.size() - 10)); });
  expect_error(ErrorCode::corrupt, [&] { unpack(test::run_tool("gzip -c", "no tar").output); });
}

TEST_F(ArchiveContextTest, MakesDevicesAndPipesAsTheyAre) {
  if (::geteuid() != 0) GTEST_SKIP() << "devices need root";
  unpack(TarBuilder().fifo("p").character_device("c", 1, 3).str());
  struct ::stat status;
  ASSERT_EQ(::lstat((root_ / "p").c_str(), &status), 0);
  EXPECT_TRUE(S_ISFIFO(status.st_mode));
  ASSERT_EQ(::lstat((root_ / "c").c_str(), &status), 0);
  EXPECT_TRUE(S_ISCHR(status.st_mode) || status.st_size == 0);
}

TEST(ArchiveContextSniff, TellsDockerfilesFromArchives) {
  for (const std::string text :
       {"", "FROM scratch\n", "# syntax=docker/dockerfile:1\n", "BZ\n", "\n\n"})
    EXPECT_FALSE(looks_like_archive(base::bytes_of(text))) << text;
  EXPECT_FALSE(looks_like_archive(base::bytes_of(std::string(600, 'F'))));
  EXPECT_TRUE(looks_like_archive(base::bytes_of(TarBuilder().file("f").str())));
  EXPECT_TRUE(looks_like_archive(base::bytes_of(std::string(1024, '\0'))));
  EXPECT_TRUE(looks_like_archive(base::bytes_of(std::string("\x1f\x8b\x08", 3))));
}

TEST(BeginningOfAStream, IsReadAgain) {
  Beginning whole =
      look_at_beginning(std::make_unique<base::StringSource>(std::string("0123456789")), 4);
  EXPECT_EQ(base::text_of(whole.bytes), "0123");
  EXPECT_EQ(base::read_all(*whole.stream, 100, "stream"), "0123456789");
}

}  // namespace
}  // namespace strake::builder
