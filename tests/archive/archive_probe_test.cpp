#include "layers/archive/archive_probe.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "layers/base/files.h"
#include "tests/archive/run_tool.h"
#include "tests/support/tar_builder.h"

namespace strake::layers {
namespace {

using test::TarBuilder;

std::optional<ArchiveCompression> probe(const std::string& content) {
  const base::TempDirectory directory("/tmp", "strake-probe-");
  const std::string file = directory.path() / "misleading.txt";
  base::write_file_atomically(file, content, 0600, base::Durability::none);
  const base::FileDescriptor fd(::open(file.c_str(), O_RDONLY | O_CLOEXEC));
  const auto result = probe_archive(fd.get(), file);
  EXPECT_EQ(::lseek(fd.get(), 0, SEEK_CUR), 0);
  return result;
}

TEST(ArchiveProbe, KnowsTarsByContent) {
  EXPECT_EQ(probe(TarBuilder().file("f", "x").str()), ArchiveCompression::none);
  EXPECT_EQ(probe(TarBuilder().pax({{"path", "p"}}).file("f", "x").str()),
            ArchiveCompression::none);
  EXPECT_EQ(probe(TarBuilder().gnu_long_name("p").file("f", "x").str()), ArchiveCompression::none);
  EXPECT_EQ(probe(TarBuilder().file("f", "", {.raw_magic = std::string(8, '\0')}).str()),
            ArchiveCompression::none);
}

TEST(ArchiveProbe, KnowsTarsThroughEveryCompression) {
  const std::string tar = TarBuilder().file("f", std::string(10'000, 'x')).str();
  for (const auto& [tool, how] : {std::pair("gzip -c", ArchiveCompression::gzip),
                                  std::pair("bzip2 -c", ArchiveCompression::bzip2),
                                  std::pair("xz -c", ArchiveCompression::xz),
                                  std::pair("zstd -qc", ArchiveCompression::zstd)}) {
    const test::ToolResult packed = test::run_tool(tool, tar);
    if (packed.status == 127) continue;
    EXPECT_EQ(probe(packed.output), how) << tool;
    const test::ToolResult text = test::run_tool(tool, std::string(10'000, 'x'));
    EXPECT_EQ(probe(text.output), std::nullopt) << tool;
    EXPECT_EQ(probe(packed.output.substr(0, 20)), std::nullopt) << tool;
  }
}

TEST(ArchiveProbe, OtherFilesAreNone) {
  EXPECT_EQ(probe(""), std::nullopt);
  EXPECT_EQ(probe("text"), std::nullopt);
  EXPECT_EQ(probe(std::string(2048, '\0')), std::nullopt);  // an archive without entries
  EXPECT_EQ(probe(std::string(2048, ' ')), std::nullopt);
  EXPECT_EQ(probe(TarBuilder().file("f").str().substr(0, 511)), std::nullopt);
  EXPECT_EQ(probe(TarBuilder().file("f", "", {.raw_checksum = "0000001"}).str()), std::nullopt);
}

}  // namespace
}  // namespace strake::layers
