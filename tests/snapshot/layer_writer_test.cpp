#include "layers/snapshot/layer_writer.h"

#include <cstring>

#include "layers/archive/tar_entry.h"
#include "layers/base/error.h"
#include "tests/snapshot/tree_fixture.h"

namespace strake::layers {
namespace {

TarEntry entry(EntryType type, std::string path, std::uint64_t size_bytes = 0) {
  TarEntry made;
  made.type = type;
  made.path = std::move(path);
  made.mode = type == EntryType::directory ? 0755 : 0644;
  made.size_bytes = size_bytes;
  made.mtime = {1'600'000'000, 500};
  return made;
}

class Writer : public test::TreeTest {
 protected:
  LayerWriter writer(const LayerWriterOptions& options = {}) const {
    return LayerWriter(base::TempDirectory(top(), "work-"), options);
  }
  static void add(LayerWriter& writer, const TarEntry& file, std::string content) {
    base::StringSource source(std::move(content));
    writer.add(file, source);
  }
};

TEST_F(Writer, TreeGivesTheTarThatWasHashed) {
  base::StringSink tar;
  LayerWriter writer = this->writer({.also = &tar});
  EXPECT_TRUE(writer.empty());
  TarEntry directory = entry(EntryType::directory, "etc");
  directory.mode = 0511;
  directory.uid = 3;
  writer.add(directory);
  TarEntry file = entry(EntryType::file, "etc/motd", 5);
  file.mode = 04711;
  file.uid = 1000;
  file.xattrs = {{"security.selinux", "dropped"}, {"user.note", "kept"}};
  add(writer, file, "hello");
  TarEntry link = entry(EntryType::hardlink, "etc/motd2");
  link.link_target = "etc/motd";
  writer.add(link);
  link.path = "etc/motd3";
  link.link_target = "etc/motd2";  // a link to a link names the first path
  writer.add(link);
  TarEntry symlink = entry(EntryType::symlink, "etc-link");
  symlink.link_target = "etc";
  writer.add(symlink);
  writer.add(entry(EntryType::file, "nothing"));

  const LayerWriter::Finished finished = std::move(writer).finish();
  EXPECT_EQ(finished.layer.diff_id.digest, base::Digest::of(tar.text));
  EXPECT_EQ(finished.layer.tar_size_bytes, tar.text.size());
  EXPECT_TRUE(tar_of(finished.work.path() / "tree") == tar.text);
  EXPECT_EQ(test::xattr_of(finished.work.path() / "tree/etc/motd", "user.note"), "kept");
  EXPECT_EQ(test::stat_of(finished.work.path() / "tree/etc/motd").st_mtim.tv_nsec, 500);
  EXPECT_EQ(test::stat_of(finished.work.path() / "tree/etc").st_mode, S_IFDIR | 0511U);
}

TEST_F(Writer, FilesAreReadFromDescriptors) {
  const std::string content(3 << 20, 'z');
  test::write_file(top() / "source", content);
  const base::FileDescriptor source(::open((top() / "source").c_str(), O_RDONLY | O_CLOEXEC));
  base::StringSink tar;
  LayerWriter writer = this->writer({.also = &tar});
  writer.add_file(entry(EntryType::file, "big", content.size()), source.get());
  const LayerWriter::Finished finished = std::move(writer).finish();
  EXPECT_EQ(test::read_file(finished.work.path() / "tree/big"), content);
  EXPECT_TRUE(tar_of(finished.work.path() / "tree") == tar.text);
}

/// Gives its bytes piece by piece, as a file does.
class Text final : public TarContent {
 public:
  explicit Text(std::string text) : text_(std::move(text)) {}
  void read(std::uint64_t offset, std::span<std::byte> to) override {
    if (offset + to.size() > text_.size())
      throw base::Error(base::ErrorCode::invalid_input, "the text is too short");
    std::memcpy(to.data(), text_.data() + offset, to.size());
  }

 private:
  const std::string text_;
};

TEST_F(Writer, FilesAreMadeByWhoeverReadsThem) {
  base::StringSink tar;
  LayerWriter writer = this->writer({.also = &tar});
  for (int d = 10; d < 60; ++d) {
    const std::string directory = "d" + std::to_string(d);
    TarEntry made = entry(EntryType::directory, directory);
    made.mode = 0555;
    writer.add(made);
    for (int f = 10; f < 40; ++f)
      writer.add_file(entry(EntryType::file, directory + "/f" + std::to_string(f), 1000),
                      std::make_shared<Text>(std::string(1000, 'a')), LayerWriter::Links::none);
  }
  const std::string large(3 * kTarPieceBytes + 5, 'b');
  writer.add_file(entry(EntryType::file, "large", large.size()), std::make_shared<Text>(large),
                  LayerWriter::Links::may_follow);
  TarEntry link = entry(EntryType::hardlink, "link");
  link.link_target = "large";
  writer.add(link);
  const LayerWriter::Finished finished = std::move(writer).finish();
  const std::filesystem::path tree = finished.work.path() / "tree";
  EXPECT_EQ(finished.layer.diff_id.digest, base::Digest::of(tar.text));
  EXPECT_TRUE(tar_of(tree) == tar.text);
  EXPECT_TRUE(test::read_file(tree / "link") == large);
  EXPECT_EQ(test::stat_of(tree / "d33").st_mode, S_IFDIR | 0555U);
  EXPECT_EQ(test::stat_of(tree / "d33").st_mtim.tv_sec, 1'600'000'000);
}

TEST_F(Writer, WhatReadingAFileThrowsComesOut) {
  LayerWriter writer = this->writer();
  writer.add_file(entry(EntryType::file, "f", 10), std::make_shared<Text>("short"),
                  LayerWriter::Links::none);
  EXPECT_THROW(std::move(writer).finish(), base::Error);
}

TEST_F(Writer, TimesAreClampedInBoth) {
  base::StringSink tar;
  LayerWriter writer = this->writer({.clamp_mtime = 1000, .also = &tar});
  writer.add(entry(EntryType::directory, "d"));
  writer.add(entry(EntryType::file, "d/f"));
  const LayerWriter::Finished finished = std::move(writer).finish();
  EXPECT_EQ(test::stat_of(finished.work.path() / "tree/d").st_mtim.tv_sec, 1000);
  EXPECT_TRUE(tar_of(finished.work.path() / "tree") == tar.text);
}

TEST_F(Writer, DeepDirectoriesAreFinishedOnTheWayBack) {
  base::StringSink tar;
  LayerWriter writer = this->writer({.also = &tar});
  std::string path;
  for (int i = 0; i < 300; ++i) {
    path += path.empty() ? "d" : "/d";
    writer.add(entry(EntryType::directory, path));
  }
  writer.add(entry(EntryType::file, "e"));
  const LayerWriter::Finished finished = std::move(writer).finish();
  EXPECT_EQ(test::stat_of(finished.work.path() / "tree/d/d").st_mtim.tv_sec, 1'600'000'000);
  EXPECT_TRUE(tar_of(finished.work.path() / "tree") == tar.text);
}

TEST_F(Writer, AFileThatChangesWhileItIsReadIsAnError) {
  for (const char* content : {"four", "sixsix"}) {
    LayerWriter writer = this->writer();
    EXPECT_THROW(add(writer, entry(EntryType::file, "f", 5), content), base::Error) << content;
    test::write_file(top() / "source", content);
    const base::FileDescriptor source(::open((top() / "source").c_str(), O_RDONLY | O_CLOEXEC));
    LayerWriter other = this->writer();
    EXPECT_THROW(other.add_file(entry(EntryType::file, "f", 5), source.get()), base::Error);
  }
}

TEST_F(Writer, NamesThatWouldBeReadAsWhiteoutsAreRefused) {
  LayerWriter writer = this->writer();
  EXPECT_THROW(writer.add(entry(EntryType::file, ".wh.x")), base::Error);
}

TEST_F(Writer, WhiteoutsComeRightAfterTheirDirectory) {
  base::StringSink tar;
  LayerWriter writer = this->writer({.also = &tar});
  writer.add_whiteout("gone");
  writer.add(entry(EntryType::directory, "a"));
  writer.add_whiteout("a/x");
  writer.add_whiteout("a/y");
  writer.add(entry(EntryType::directory, "a/d"));
  writer.add_whiteout("a/d/z");
  writer.add(entry(EntryType::file, "a/d/f"));
  writer.add(entry(EntryType::file, "b"));
  EXPECT_FALSE(writer.empty());
  const LayerWriter::Finished finished = std::move(writer).finish();
  EXPECT_EQ(finished.layer.diff_id.digest, base::Digest::of(tar.text));
  const std::filesystem::path written = finished.work.path() / "tree";
  for (const char* gone : {"gone", "a/x", "a/y", "a/d/z"})
    EXPECT_TRUE(test::is_whiteout_at(written / gone)) << gone;
  // From the tree comes the same tar again, as when the layer is pushed later.
  EXPECT_TRUE(tar_of(written) == tar.text);
  EXPECT_EQ(test::stat_of(written / "a").st_mtim.tv_sec, 1'600'000'000);

  // And who applies it sees that the files are gone.
  const std::filesystem::path upper = make("upper");
  apply_to(upper, tar.text);
  EXPECT_TRUE(test::is_whiteout_at(upper / "a/x"));
  EXPECT_TRUE(tar_of(upper) == tar.text);
}

TEST_F(Writer, ALayerOfWhiteoutsAlone) {
  base::StringSink tar;
  LayerWriter writer = this->writer({.clamp_mtime = 1000, .also = &tar});
  writer.add_whiteout("gone");
  const LayerWriter::Finished finished = std::move(writer).finish();
  EXPECT_TRUE(tar_of(finished.work.path() / "tree", {.clamp_mtime = 1000}) == tar.text);
  EXPECT_TRUE(test::is_whiteout_at(finished.work.path() / "tree/gone"));
}

TEST_F(Writer, MistakesOfTheCallerAreFound) {
  LayerWriter writer = this->writer();
  writer.add(entry(EntryType::directory, "b"));
  EXPECT_THROW(writer.add(entry(EntryType::directory, "a")), base::Error);
  EXPECT_THROW(writer.add(entry(EntryType::directory, "b")), base::Error);
  EXPECT_THROW(writer.add(entry(EntryType::file, "c/missing-parent")), base::Error);
}

}  // namespace
}  // namespace strake::layers
