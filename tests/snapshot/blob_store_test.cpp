#include "layers/blob_store.h"

#include <gmock/gmock.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include <array>
#include <cstddef>
#include <thread>

#include "tests/snapshot/store_fixture.h"

namespace strake::layers {
namespace {

namespace fs = std::filesystem;

class Blobs : public test::StoreTest {
 protected:
  fs::path file_of(const base::Digest& digest) const {
    return root() / "blobs" / base::boot_id() / digest.hex();
  }
  /// What this boot wrote is now what an earlier one did.
  void reboot() {
    close();
    fs::rename(root() / "blobs" / base::boot_id(), root() / "blobs" / "earlier");
    open();
  }
  static std::string all(base::ByteSource& source) {
    return base::read_all(source, 1 << 24, "blob");
  }
  static void replace(const fs::path& file, std::string_view text) {
    fs::remove(file);
    test::write_file(file, text);
  }
  void overwrite(const base::Digest& digest, std::string_view text) {
    replace(file_of(digest), text);
  }
  std::size_t quarantined() const {
    return static_cast<std::size_t>(
        std::distance(fs::directory_iterator(root() / "quarantine"), {}));
  }
};

TEST_F(Blobs, PutAndOpenGiveTheSameBytes) {
  const std::string text(1'000'000, 'b');
  base::StringSource source(text);
  const oci::Descriptor blob = blobs().put(source, "type");
  EXPECT_EQ(blob.digest, base::Digest::of(text));
  EXPECT_EQ(blob.size, text.size());
  EXPECT_EQ(blob.media_type, "type");
  EXPECT_TRUE(blobs().contains(blob.digest));
  EXPECT_EQ(all(*blobs().open(blob)), text);
  EXPECT_EQ(test::stat_of(file_of(blob.digest)).st_mode, S_IFREG | 0444U);
  EXPECT_EQ(ingest_files(), 0U);
}

TEST_F(Blobs, PuttingTwiceKeepsTheFile) {
  const oci::Descriptor blob = blobs().put("text", "");
  const ino_t inode = test::stat_of(file_of(blob.digest)).st_ino;
  base::StringSource source("text");
  EXPECT_EQ(blobs().put(source, "").digest, blob.digest);
  EXPECT_EQ(test::stat_of(file_of(blob.digest)).st_ino, inode);
}

TEST_F(Blobs, AnUnexpectedDigestStoresNothing) {
  BlobWriter writer = blobs().writer();
  writer.write(base::bytes_of("text"));
  const oci::Descriptor expected = {
      .media_type = "", .digest = base::Digest::of("other"), .size = 4};
  EXPECT_THROW(writer.commit("", &expected), base::Error);
  EXPECT_FALSE(blobs().contains(base::Digest::of("text")));
  EXPECT_FALSE(blobs().contains(expected.digest));
}

TEST_F(Blobs, AbandonedWritersLeaveNothing) {
  { blobs().writer().write(base::bytes_of("text")); }
  EXPECT_EQ(ingest_files(), 0U);
  EXPECT_TRUE(blobs().list().empty());
}

TEST_F(Blobs, FlippedBitIsFoundWhenReadAndTheBlobSetAside) {
  const oci::Descriptor blob = blobs().put("right", "");
  overwrite(blob.digest, "wrong");
  const auto source = blobs().open(blob);
  EXPECT_THROW(all(*source), base::Error);
  EXPECT_FALSE(blobs().contains(blob.digest));
  EXPECT_EQ(quarantined(), 1U);
  blobs().put("right", "");  // healed
  EXPECT_EQ(all(*blobs().open(blob)), "right");
}

TEST_F(Blobs, ShortBlobCountsAsAbsent) {
  const oci::Descriptor blob = blobs().put("right", "");
  overwrite(blob.digest, "rig");
  try {
    blobs().open(blob);
    FAIL();
  } catch (const base::Error& error) {
    EXPECT_EQ(error.code(), base::ErrorCode::not_found);
  }
  EXPECT_FALSE(blobs().contains(blob.digest));
}

TEST_F(Blobs, WritingRepairsABlobOfTheWrongSize) {
  const oci::Descriptor blob = blobs().put("right", "");
  overwrite(blob.digest, "");
  blobs().put("right", "");
  EXPECT_EQ(all(*blobs().open(blob)), "right");
}

TEST_F(Blobs, PlantedSymlinksAreNotFollowed) {
  blobs().put("text", "");
  const base::Digest digest = base::Digest::of("secret");
  test::write_file(top() / "outside", "secret");
  fs::create_symlink(top() / "outside", file_of(digest));
  EXPECT_FALSE(blobs().contains(digest));
  EXPECT_EQ(blobs().read(digest), std::nullopt);
}

TEST_F(Blobs, DamagedSmallBlobsReadAsAbsent) {
  const oci::Descriptor blob = blobs().put("config", "");
  EXPECT_EQ(blobs().read(blob.digest), "config");
  overwrite(blob.digest, "c0nfig");
  EXPECT_EQ(blobs().read(blob.digest), std::nullopt);
}

TEST_F(Blobs, UploadsGoOnAtAnOffset) {
  const oci::Descriptor blob = blobs().put("0123456789", "");
  EXPECT_EQ(all(*blobs().open_at(blob, 4)), "456789");
}

TEST_F(Blobs, InterruptedDownloadGoesOnWhereItStopped) {
  const oci::Descriptor expected = {
      .media_type = "t", .digest = base::Digest::of("0123456789"), .size = 10};
  { blobs().resume(expected).write(base::bytes_of("01234")); }
  close();
  open();
  PartialBlob download = blobs().resume(expected);
  EXPECT_EQ(download.size_bytes(), 5U);
  download.write(base::bytes_of("56789"));
  EXPECT_EQ(download.commit(), expected);
  EXPECT_EQ(all(*blobs().open(expected)), "0123456789");
  EXPECT_EQ(ingest_files(), 0U);
}

TEST_F(Blobs, WrongDownloadIsThrownAway) {
  const oci::Descriptor expected = {
      .media_type = "", .digest = base::Digest::of("0123456789"), .size = 10};
  {
    PartialBlob download = blobs().resume(expected);
    download.write(base::bytes_of("xxxxxxxxxx"));
    EXPECT_THROW(download.commit(), base::Error);
  }
  EXPECT_EQ(blobs().resume(expected).size_bytes(), 0U);
  { blobs().resume(expected).write(base::bytes_of("far too many bytes")); }
  EXPECT_EQ(blobs().resume(expected).size_bytes(), 0U);
}

TEST_F(Blobs, UntouchedDownloadLeavesNoFile) {
  { blobs().resume({.media_type = "", .digest = base::Digest::of("x"), .size = 1}); }
  EXPECT_EQ(ingest_files(), 0U);
}

TEST_F(Blobs, SecondDownloaderWaitsAndFindsTheBlob) {
  const oci::Descriptor expected = {
      .media_type = "", .digest = base::Digest::of("once"), .size = 4};
  std::thread second;
  {
    PartialBlob first = blobs().resume(expected);
    second = std::thread([&] {
      const PartialBlob waited = blobs().resume(expected);
      EXPECT_TRUE(blobs().contains(expected.digest));
    });
    first.write(base::bytes_of("once"));
    first.commit();
  }
  second.join();
  EXPECT_EQ(ingest_files(), 0U);
}

TEST_F(Blobs, ProcessesMayPutTheSameBlobAtOnce) {
  const std::string text(3'000'000, 'x');
  std::vector<test::Child> children;
  for (int i = 0; i < 8; ++i)
    children.emplace_back([&] {
      open();
      base::StringSource source(text);
      blobs().put(source, "");
    });
  for (test::Child& child : children) EXPECT_EQ(child.wait(), 0);
  EXPECT_EQ(blobs().list().size(), 1U);
  EXPECT_TRUE(blobs().contains(base::Digest::of(text)));
}

/// From now on every call that waits for the disk fails with EIO. False if that cannot be had.
bool forbid_syncs() {
  std::vector<sock_filter> filter = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr))};
  for (const unsigned call : {SYS_fsync, SYS_fdatasync, SYS_syncfs, SYS_sync, SYS_sync_file_range})
    filter.insert(filter.end(), {BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, call, 0, 1),
                                 BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EIO)});
  filter.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
  const sock_fprog program{static_cast<unsigned short>(filter.size()), filter.data()};
  return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0 &&
         ::fdatasync(STDERR_FILENO) != 0 && errno == EIO;
}

TEST_F(Blobs, StoringWaitsForNoDisk) {
  test::Child child([&] {
    open();
    if (!forbid_syncs()) ::_exit(77);
    const std::string text(20'000'000, 'x');
    base::StringSource source(text);
    blobs().put(source, "");
    blobs().put("config", "");
    PartialBlob download = blobs().resume({"", base::Digest::of("once"), 4});
    download.write(base::bytes_of("once"));
    download.commit();
  });
  const int status = child.wait();
  if (status == 77) GTEST_SKIP() << "no seccomp here";
  EXPECT_EQ(status, 0);
  EXPECT_EQ(blobs().list().size(), 3U);
}

TEST_F(Blobs, ThoseOfAnEarlierBootAreKeptIfTheyReachedTheDisk) {
  const oci::Descriptor blob = blobs().put("text", "");
  reboot();
  EXPECT_TRUE(blobs().contains(blob.digest));
  EXPECT_EQ(all(*blobs().open(blob)), "text");
  // It was read once, and need not be again.
  EXPECT_TRUE(fs::exists(root() / "blobs/sha256" / blob.digest.hex()));
  EXPECT_EQ(blobs().list().size(), 1U);
  EXPECT_EQ(blobs().put("text", "").digest, blob.digest);
  EXPECT_FALSE(fs::exists(file_of(blob.digest)));
}

TEST_F(Blobs, ThoseOfAnEarlierBootAreAbsentIfThePowerCutLostThem) {
  const oci::Descriptor empty = blobs().put("short", ""), zeros = blobs().put("zeros", "");
  reboot();
  replace(root() / "blobs/earlier" / empty.digest.hex(), "");
  replace(root() / "blobs/earlier" / zeros.digest.hex(), std::string(5, '\0'));
  EXPECT_FALSE(blobs().contains(empty.digest));
  EXPECT_THROW(blobs().open(zeros), base::Error);
  EXPECT_EQ(quarantined(), 0U);  // nobody damaged them
  EXPECT_TRUE(blobs().list().empty());
  blobs().put("zeros", "");
  EXPECT_EQ(all(*blobs().open(zeros)), "zeros");
}

TEST_F(Blobs, ThoseOfAnEarlierBootCanBePruned) {
  const oci::Descriptor a = blobs().put("a", ""), b = blobs().put("bb", "");
  reboot();
  EXPECT_EQ(blobs().list().size(), 2U);
  blobs().remove(a.digest);
  EXPECT_EQ(blobs().list().size(), 1U);
  blobs().remove(b.digest);
  EXPECT_FALSE(fs::exists(root() / "blobs/earlier"));
}

TEST_F(Blobs, CanBeReadWhileTheyAreWritten) {
  BlobWriter writer = blobs().writer();
  writer.write(base::bytes_of("012"));
  const std::shared_ptr<base::GrowingFile> growing = writer.growing();
  EXPECT_EQ(growing->progress().size_bytes, 3U);
  writer.write(base::bytes_of("345"));
  std::array<std::byte, 10> buffer{};
  EXPECT_EQ(growing->read_at(1, buffer), 5U);
  EXPECT_EQ(base::text_of(buffer).substr(0, 5), "12345");
  const oci::Descriptor blob = writer.commit("");
  EXPECT_EQ(growing->progress().state, base::GrowingFile::State::finished);
  EXPECT_EQ(growing->progress().digest, blob.digest);
  EXPECT_TRUE(blobs().wrote(blob.digest));
}

TEST_F(Blobs, ReadersOfADroppedOneAreTold) {
  std::shared_ptr<base::GrowingFile> growing;
  {
    BlobWriter writer = blobs().writer();
    growing = writer.growing();
    const BlobWriter moved = std::move(writer);
    EXPECT_EQ(growing->progress().state, base::GrowingFile::State::growing);
  }
  EXPECT_EQ(growing->progress().state, base::GrowingFile::State::abandoned);
}

TEST_F(Blobs, ListAndRemove) {
  const oci::Descriptor a = blobs().put("a", ""), b = blobs().put("bb", "");
  EXPECT_EQ(blobs().list().size(), 2U);
  blobs().remove(a.digest);
  blobs().remove(a.digest);
  ASSERT_EQ(blobs().list().size(), 1U);
  EXPECT_EQ(blobs().list()[0].digest, b.digest);
  EXPECT_EQ(blobs().list()[0].size_bytes, 2U);
}

}  // namespace
}  // namespace strake::layers
