#include "layers/archive/parallel_tar_writer.h"

#include <fcntl.h>
#include <gtest/gtest.h>

#include <cstring>

#include "layers/archive/tar_encoder.h"
#include "layers/archive/tar_writer.h"
#include "layers/base/error.h"
#include "layers/base/files.h"

namespace strake::layers {
namespace {

/// Content that is a function of the offset, in the length it claims to have.
class Pattern final : public TarContent {
 public:
  explicit Pattern(std::uint64_t size) : size_(size) {}

  static std::string text(std::uint64_t size) {
    std::string out(size, '\0');
    for (std::uint64_t i = 0; i < size; ++i) out[i] = static_cast<char>(i * 7 + i / 4096);
    return out;
  }

  void read(std::uint64_t offset, std::span<std::byte> to) override {
    EXPECT_EQ(offset % kTarPieceBytes, 0U);
    EXPECT_LE(to.size(), kTarPieceBytes);
    if (offset + to.size() > size_)
      throw base::Error(base::ErrorCode::invalid_input, "the file is too short");
    const std::string all = text(size_);
    std::memcpy(to.data(), all.data() + offset, to.size());
  }

 private:
  const std::uint64_t size_;
};

std::vector<TarEntry> some_entries() {
  std::vector<TarEntry> entries = {
      {.path = "d", .type = EntryType::directory, .mode = 0755, .mtime = {5, 0}},
      {.path = "d/empty"},
      {.path = "d/" + std::string(150, 'n'), .size_bytes = 3, .xattrs = {{"user.a", "b"}}},
      {.path = "d/big", .size_bytes = 3 * kTarPieceBytes + 17, .mtime = {1 << 30, 0}},
      {.path = "d/full", .size_bytes = 2 * kTarPieceBytes},
      {.path = "link", .type = EntryType::symlink, .mode = 0777, .link_target = "d"},
      {.path = "wide", .size_bytes = 1, .xattrs = {{"user.x", std::string(3 << 20, 'x')}}}};
  for (int i = 0; i < 3000; ++i)
    entries.push_back({.path = "z" + std::to_string(i), .size_bytes = std::uint64_t(i) % 2100});
  return entries;
}

std::string by_tar_writer(const std::vector<TarEntry>& entries) {
  base::StringSink sink;
  TarWriter writer(sink, {.clamp_mtime = 1000});
  for (const TarEntry& entry : entries) {
    base::StringSource data(Pattern::text(entry.size_bytes));
    writer.add(entry, data);
  }
  writer.finish();
  return std::move(sink.text);
}

TEST(ParallelTarWriter, WritesTheSameBytesAsTarWriter) {
  for (const std::size_t threads : {1, 4}) {
    base::WorkerPool pool(threads);
    base::StringSink sink;
    ParallelTarWriter writer(sink, {.clamp_mtime = 1000}, pool);
    for (const TarEntry& entry : some_entries())
      writer.add(entry, std::make_shared<Pattern>(entry.size_bytes));
    writer.finish();
    EXPECT_EQ(writer.size_bytes(), sink.text.size());
    EXPECT_TRUE(sink.text == by_tar_writer(some_entries()));
  }
}

TEST(ParallelTarWriter, WritesTheArchiveToAFileToo) {
  const base::TempDirectory directory = base::TempDirectory(testing::TempDir(), "tar-");
  const std::filesystem::path path = directory.path() / "tar";
  const base::FileDescriptor file(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  base::StringSink sink;
  ParallelTarWriter writer(sink, {.clamp_mtime = 1000, .file = file.get(), .file_name = "tar"});
  for (const TarEntry& entry : some_entries())
    writer.add(entry, std::make_shared<Pattern>(entry.size_bytes));
  writer.finish();
  EXPECT_TRUE(base::read_all(file.get(), 1 << 30, "tar") == sink.text);
}

TEST(ParallelTarWriter, ReadsFilesByDirectoryAndNameOrOpenOnes) {
  const base::TempDirectory directory = base::TempDirectory(testing::TempDir(), "tar-");
  base::write_file_atomically(directory.path() / "a", "first", 0600, base::Durability::none);
  base::write_file_atomically(directory.path() / "b", "second", 0600, base::Durability::none);
  auto opened = std::make_shared<const base::FileDescriptor>(
      ::open(directory.path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  base::FileDescriptor second(::openat(opened->get(), "b", O_RDONLY | O_CLOEXEC));
  base::StringSink sink;
  ParallelTarWriter writer(sink);
  writer.add({.path = "a", .size_bytes = 5}, content_at(opened, "a", "a"));
  writer.add({.path = "b", .size_bytes = 6}, content_of(std::move(second), "b"));
  writer.finish();
  EXPECT_EQ(sink.text.substr(512, 5), "first");
  EXPECT_EQ(sink.text.substr(3 * 512, 6), "second");
}

TEST(ParallelTarWriter, EntriesThatAreMadeElsewhereKeepTheirPlace) {
  const base::TempDirectory directory = base::TempDirectory(testing::TempDir(), "tar-");
  const std::filesystem::path path = directory.path() / "tar";
  const base::FileDescriptor file(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  base::StringSink sink;
  ParallelTarWriter writer(sink, {.clamp_mtime = 1000, .file = file.get(), .file_name = "tar"});
  bool elsewhere = false;
  for (const TarEntry& entry : some_entries()) {
    elsewhere = !elsewhere;
    if (!elsewhere) {
      writer.add(entry, std::make_shared<Pattern>(entry.size_bytes));
      continue;
    }
    std::vector<std::byte> blocks;
    append_tar_headers(entry, 1000, blocks);
    const std::string text = Pattern::text(entry.size_bytes);
    const auto data = base::bytes_of(text);
    blocks.insert(blocks.end(), data.begin(), data.end());
    blocks.resize((blocks.size() + 511) / 512 * 512);
    writer.add_made(blocks);
  }
  writer.finish();
  EXPECT_EQ(writer.size_bytes(), sink.text.size());
  EXPECT_TRUE(sink.text == by_tar_writer(some_entries()));
  EXPECT_TRUE(base::read_all(file.get(), 1 << 30, "tar") == sink.text);
}

TEST(ParallelTarWriter, SaysThatAFileIsShorterThanItWas) {
  const base::TempDirectory directory = base::TempDirectory(testing::TempDir(), "tar-");
  base::write_file_atomically(directory.path() / "a", "four", 0600, base::Durability::none);
  auto opened = std::make_shared<const base::FileDescriptor>(
      ::open(directory.path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  base::StringSink sink;
  ParallelTarWriter writer(sink);
  writer.add({.path = "a", .size_bytes = 5}, content_at(opened, "a", "a"));
  EXPECT_THROW(writer.finish(), base::Error);
}

TEST(ParallelTarWriter, RefusesWhatATarCannotHold) {
  base::StringSink sink;
  ParallelTarWriter writer(sink);
  EXPECT_THROW(writer.add({.path = ""}), base::Error);
  EXPECT_THROW(writer.add({.path = "d", .type = EntryType::directory, .size_bytes = 1}),
               base::Error);
}

}  // namespace
}  // namespace strake::layers
