#include <gmock/gmock.h>
#include <sched.h>
#include <sys/mount.h>

#include <chrono>
#include <cstring>
#include <thread>

#include "tests/snapshot/store_fixture.h"

namespace strake::layers {
namespace {

namespace fs = std::filesystem;
using test::TarBuilder;

/// Ends the process at a byte of the stream, as kill -9 would.
class KillingSource final : public base::ByteSource {
 public:
  KillingSource(std::string text, std::size_t die_at) : text_(std::move(text)), die_at_(die_at) {}
  std::size_t read(std::span<std::byte> buffer) override {
    if (position_ >= die_at_) ::kill(::getpid(), SIGKILL);
    const std::size_t count = std::min({buffer.size(), text_.size() - position_, std::size_t{700}});
    std::memcpy(buffer.data(), text_.data() + position_, count);
    position_ += count;
    return count;
  }

 private:
  std::string text_;
  std::size_t position_ = 0, die_at_;
};

std::string some_tar() {
  TarBuilder tar;
  for (int i = 0; i < 20; ++i)
    tar.directory("d" + std::to_string(i), {.mode = 0555})
        .file("d" + std::to_string(i) + "/f", std::string(1500, 'x'));
  return tar.str();
}

class StoreCrash : public test::StoreTest {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "needs root: owners and devices";
    StoreTest::SetUp();
  }
  /// Nothing half done shows, and the same work succeeds afterwards.
  void expect_valid_and_usable(const std::string& tar) {
    close();
    open();
    for (const BlobStore::Entry& blob : blobs().list())
      EXPECT_TRUE(blobs().read(blob.digest).has_value());
    unpack(tar);
    EXPECT_EQ(layers().list().size(), 1U);
    EXPECT_EQ(blobs().put(tar, "").digest, base::Digest::of(tar));
    EXPECT_EQ(ingest_files(), 0U);
    layers().remove(diff_id_of(tar));
    blobs().remove(base::Digest::of(tar));
  }
};

TEST_F(StoreCrash, DeathWhileUnpackingLeavesAValidStore) {
  const std::string tar = some_tar();
  for (std::size_t die_at = 0; die_at < tar.size(); die_at += 9000) {
    test::Child child([&] {
      open();
      KillingSource source(tar, die_at);
      layers().unpack(source, diff_id_of(tar));
    });
    EXPECT_EQ(child.wait(), -1);
    EXPECT_FALSE(layers().has_tree(diff_id_of(tar)));
    expect_valid_and_usable(tar);
  }
}

TEST_F(StoreCrash, DeathWhileStoringABlobLeavesAValidStore) {
  const std::string tar = some_tar();
  for (std::size_t die_at = 0; die_at < tar.size(); die_at += 9000) {
    test::Child child([&] {
      open();
      KillingSource source(tar, die_at);
      blobs().put(source, "");
    });
    EXPECT_EQ(child.wait(), -1);
    EXPECT_TRUE(blobs().list().empty());
    expect_valid_and_usable(tar);
  }
}

TEST_F(StoreCrash, DeathAtAnyTimeLeavesAValidStore) {
  const std::string tar = some_tar();
  for (int round = 0; round < 40; ++round) {
    test::Child child([&] {
      open();
      while (true) {
        unpack(tar);
        blobs().put(tar, "");
        layers().add_blob(diff_id_of(tar), {.media_type = "m", .digest = base::Digest::of("x")});
        layers().remove(diff_id_of(tar));
        blobs().remove(base::Digest::of(tar));
      }
    });
    std::this_thread::sleep_for(std::chrono::microseconds(1500 + round * 377));
    child.kill();
    // A tree that shows is whole.
    if (layers().has_tree(diff_id_of(tar))) {
      EXPECT_EQ(std::ranges::count(test::listing(layers().tree_path(diff_id_of(tar))), '\n'), 40);
    }
    expect_valid_and_usable(tar);
  }
}

TEST_F(StoreCrash, FullDiskIsAClearErrorAndLeavesNothing) {
  const fs::path small = top() / "small";
  fs::create_directory(small);
  // Alone in a mount namespace, so that the mount goes with the process.
  test::Child child([&] {
    if (::unshare(CLONE_NEWNS) != 0 ||
        ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
        ::mount("tmpfs", small.c_str(), "tmpfs", 0, "size=1m,mode=0700") != 0)
      ::_exit(77);
    const Store full = Store::open(small / "store");
    const BlobStore full_blobs(full);
    const LayerStore full_layers(full, full_blobs);
    const std::string big(4 << 20, 'x');
    const std::string tar = TarBuilder().file("big", big).str();
    const auto is_clear = [](const std::function<void()>& work) {
      try {
        work();
      } catch (const base::Error& error) {
        return std::string_view(error.what()).find("No space left") != std::string_view::npos ||
               std::string_view(error.what()).find("no space left") != std::string_view::npos;
      }
      return false;
    };
    if (!is_clear([&] { full_blobs.put(big, ""); })) ::_exit(2);
    if (!is_clear([&] {
          base::StringSource source(tar);
          full_layers.unpack(source, {base::Digest::of(tar)});
        }))
      ::_exit(3);
    if (!full_blobs.list().empty() || full_layers.has_tree({base::Digest::of(tar)})) ::_exit(4);
    const std::string fits(500'000, 'y');
    full_blobs.put(fits, "");  // what failed gave its space back
    if (!full_blobs.contains(base::Digest::of(fits))) ::_exit(5);
  });
  const int status = child.wait();
  if (status == 77) GTEST_SKIP() << "cannot mount a tmpfs here";
  EXPECT_EQ(status, 0);
}

}  // namespace
}  // namespace strake::layers
