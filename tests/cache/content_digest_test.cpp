#include "cache/content_digest.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <functional>
#include <set>

#include "layers/base/error.h"

namespace strake::cache {
namespace {

SelectedFile file(std::string path, std::string_view content = "x", mode_t mode = 0644) {
  return {.path = std::move(path), .mode = S_IFREG | mode, .content = base::Digest::of(content)};
}
SelectedFile directory(std::string path, mode_t mode = 0755) {
  return {.path = std::move(path), .mode = S_IFDIR | mode};
}
SelectedFile symlink(std::string path, std::string target) {
  return {.path = std::move(path), .mode = S_IFLNK | 0777, .link_target = std::move(target)};
}

base::Digest digest_of(const std::vector<SelectedFile>& files) {
  ContentDigest digest;
  for (const SelectedFile& file : files) digest.add(file);
  return digest.finish();
}

TEST(ContentDigest, EqualSelectionsAreEqual) {
  EXPECT_EQ(digest_of({directory("d"), file("d/a")}), digest_of({directory("d"), file("d/a")}));
}

TEST(ContentDigest, EachPropertyOfAFileCounts) {
  using Change = std::function<void(SelectedFile&)>;
  const std::vector<std::pair<const char*, Change>> changes = {
      {"name", [](SelectedFile& f) { f.path = "b"; }},
      {"permissions", [](SelectedFile& f) { f.mode = S_IFREG | 0755; }},
      {"setuid", [](SelectedFile& f) { f.mode = S_IFREG | 04644; }},
      {"type", [](SelectedFile& f) { f.mode = S_IFDIR | 0644; }},
      {"uid", [](SelectedFile& f) { f.uid = 1; }},
      {"gid", [](SelectedFile& f) { f.gid = 1; }},
      {"link target", [](SelectedFile& f) { f.link_target = "t"; }},
      {"hard link", [](SelectedFile& f) { f.hard_link_to = "t"; }},
      {"device", [](SelectedFile& f) { f.device = makedev(1, 3); }},
      {"capabilities",
       [](SelectedFile& f) {
         f.xattrs = {{"security.capability", "c"}};
       }},
      {"user attribute",
       [](SelectedFile& f) {
         f.xattrs = {{"user.a", "1"}};
       }},
      {"its value",
       [](SelectedFile& f) {
         f.xattrs = {{"user.a", "2"}};
       }},
      {"its name",
       [](SelectedFile& f) {
         f.xattrs = {{"user.a1", ""}};
       }},
      {"content", [](SelectedFile& f) { f.content = base::Digest::of("y"); }},
      {"size, which says what the content's digest is of",
       [](SelectedFile& f) { f.size_bytes = 2 << 20; }},
      {"no content", [](SelectedFile& f) { f.content.reset(); }},
  };
  std::set<base::Digest> digests = {digest_of({file("a")})};
  for (const auto& [what, change] : changes) {
    SelectedFile changed = file("a");
    change(changed);
    EXPECT_TRUE(digests.insert(digest_of({changed})).second) << what;
  }
}

TEST(ContentDigest, AttributesOfTheMachineDoNotCount) {
  SelectedFile labelled = file("a");
  labelled.xattrs = {{"security.selinux", "label"},
                     {"system.posix_acl_access", "acl"},
                     {"trusted.overlay.origin", "o"}};
  EXPECT_EQ(digest_of({labelled}), digest_of({file("a")}));
}

TEST(ContentDigest, RenamedFileChangesTheDigest) {
  EXPECT_NE(digest_of({directory("d"), file("d/a"), file("d/c", "y")}),
            digest_of({directory("d"), file("d/b"), file("d/c", "y")}));
}

TEST(ContentDigest, ContentThatMovesBetweenFilesChangesTheDigest) {
  EXPECT_NE(digest_of({file("a", "1"), file("b", "2")}),
            digest_of({file("a", "2"), file("b", "1")}));
  EXPECT_NE(digest_of({symlink("a", "bc")}), digest_of({symlink("ab", "c")}));
}

TEST(ContentDigest, TakesFilesInTheOrderOfAWalkOnly) {
  EXPECT_NO_THROW(digest_of({directory("a"), file("a/b"), file("a.txt"), file("b")}));
  EXPECT_THROW(digest_of({file("b"), file("a")}), base::Error);
  EXPECT_THROW(digest_of({file("a"), file("a")}), base::Error);
  EXPECT_THROW(digest_of({directory("a"), file("a.txt"), file("a/b")}), base::Error);
}

TEST(ContentDigest, StartsAgainAfterFinish) {
  ContentDigest digest;
  digest.add(file("b"));
  const base::Digest first = digest.finish();
  digest.add(file("a"));
  digest.finish();
  digest.add(file("b"));
  EXPECT_EQ(digest.finish(), first);
}

TEST(ContentDigest, KeepsAManifestWithTheUsersPaths) {
  ContentDigest digest(ContentDigest::Keep::manifest);
  SelectedFile tool = file("tool", "x", 0755);
  tool.uid = 7;
  digest.add(tool, "src/tool");
  digest.add(symlink("z", "t"));
  const base::Digest with_manifest = digest.finish();
  const FileManifest manifest = digest.take_manifest();
  ASSERT_EQ(manifest.entries.size(), 2U);
  EXPECT_EQ(manifest.entries[0].path, "src/tool");
  EXPECT_EQ(manifest.entries[0].mode, S_IFREG | 0755U);
  EXPECT_EQ(manifest.entries[0].uid, 7U);
  EXPECT_NE(manifest.entries[0].content, 0U);
  EXPECT_EQ(manifest.entries[0].attributes, 0U);
  EXPECT_EQ(manifest.entries[1].path, "z");
  EXPECT_EQ(with_manifest, digest_of({tool, symlink("z", "t")}));
}

TEST(WalkOrder, ComparesByComponent) {
  const std::vector<std::string> sorted = {"", "a", "a/b", "a/b/c", "a/c", "a.txt", "a0", "\xff"};
  for (std::size_t i = 0; i < sorted.size(); ++i)
    for (std::size_t j = 0; j < sorted.size(); ++j)
      EXPECT_EQ(walk_order_less(sorted[i], sorted[j]), i < j) << sorted[i] << " " << sorted[j];
}

}  // namespace
}  // namespace strake::cache
