#include "cache/file_manifest.h"

#include <gtest/gtest.h>

namespace strake::cache {
namespace {

const FileManifest kManifest = {{
    {.path = "src/a.py", .mode = 0100644, .uid = 0, .gid = 0, .content = 0x1122334455667788},
    {.path = "src/b.py", .mode = 0100755, .uid = 1000, .gid = 4294967295U, .content = 1},
    {.path = "src/b.py.orig", .mode = 0120777, .attributes = ~std::uint64_t{0}},
    {.path = std::string("weird\n\xff\0name", 12), .mode = 0100600},
}};

TEST(FileManifest, DecodesWhatItEncoded) {
  EXPECT_EQ(FileManifest::decode(kManifest.encode()), kManifest);
  EXPECT_EQ(FileManifest::decode(FileManifest().encode()), FileManifest());
}

TEST(FileManifest, IsWrittenInOrderOfPaths) {
  const FileManifest unsorted = {{{.path = "b"}, {.path = "a"}}};
  const FileManifest sorted = {{{.path = "a"}, {.path = "b"}}};
  EXPECT_EQ(unsorted.encode(), sorted.encode());
}

TEST(FileManifest, StoresSharedPathsOnce) {
  FileManifest manifest;
  for (int i = 0; i < 1000; ++i)
    manifest.entries.push_back(
        {.path = "a/rather/long/directory/name/" + std::to_string(1000 + i), .mode = 0100644});
  EXPECT_LT(manifest.encode().size(), 1000U * 20);
}

TEST(FileManifest, RefusesTruncatedBytes) {
  const std::string bytes = kManifest.encode();
  for (std::size_t length = 0; length < bytes.size(); ++length)
    EXPECT_EQ(FileManifest::decode(bytes.substr(0, length)), std::nullopt) << length;
  EXPECT_EQ(FileManifest::decode(bytes + "x"), std::nullopt);
}

TEST(FileManifest, SurvivesAnyDamage) {
  const std::string bytes = kManifest.encode();
  for (std::size_t i = 0; i < bytes.size(); ++i)
    for (int bit = 0; bit < 8; ++bit) {
      std::string damaged = bytes;
      damaged[i] = static_cast<char>(damaged[i] ^ (1 << bit));
      FileManifest::decode(damaged);  // the sanitizers say whether this is safe
    }
  std::string version = bytes;
  version[0] = 9;
  EXPECT_EQ(FileManifest::decode(version), std::nullopt);
}

}  // namespace
}  // namespace strake::cache
