#include "cache/disk_cache.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>

#include "layers/base/files.h"
#include "layers/base/log.h"

namespace strake::cache {
namespace {

namespace fs = std::filesystem;

CacheKey key_named(std::string_view name) {
  return {base::Digest::of(name)};
}
SlotId slot_named(std::string_view name) {
  return {base::Digest::of(name)};
}

CacheRecord sample_record() {
  return {.layer = oci::Layer{{base::Digest::of("layer")}, 12'345},
          .fields = {{"base", "sha256:11"}, {"command", "echo \"hi\"\n"}, {"env A", ""}},
          .slot = slot_named("Dockerfile:3"),
          .title = "RUN echo \"hi\"",
          .created = std::chrono::system_clock::time_point(std::chrono::seconds(1'700'000'000)),
          .duration = std::chrono::milliseconds(1234),
          .files = FileManifest{{{.path = "a", .mode = 0100644, .content = 5}}}};
}

CacheRecord without_files(CacheRecord record) {
  record.files.reset();
  return record;
}

class DiskCacheTest : public ::testing::Test {
 protected:
  base::TempDirectory store_{fs::temp_directory_path(), "strake-cache-"};
  DiskCache cache_{store_.path() / "cache", store_.path() / "locks"};

  fs::path file_of(const CacheKey& key) {
    const std::string hex = key.digest.hex();
    return store_.path() / "cache" / hex.substr(0, 2) / hex;
  }
  std::string bytes_of(const CacheKey& key) { return base::read_file(file_of(key)).value(); }
  void overwrite(const CacheKey& key, const std::string& bytes) {
    base::write_file_atomically(file_of(key), bytes, 0600, base::Durability::none);
  }
};

TEST_F(DiskCacheTest, FindsWhatWasStoredWithoutItsFiles) {
  const CacheKey key = key_named("k");
  EXPECT_EQ(cache_.find(key), std::nullopt);
  cache_.store(key, sample_record());
  EXPECT_EQ(cache_.find(key), without_files(sample_record()));
  DiskCache other_process(store_.path() / "cache", store_.path() / "locks");
  EXPECT_EQ(other_process.find(key), without_files(sample_record()));
}

TEST_F(DiskCacheTest, KeepsThatAStepChangedNothing) {
  CacheRecord record = sample_record();
  record.layer.reset();
  record.files.reset();
  cache_.store(key_named("k"), record);
  EXPECT_EQ(cache_.find(key_named("k")), record);
}

TEST_F(DiskCacheTest, KeepsBytesThatAreNotText) {
  CacheRecord record = without_files(sample_record());
  record.fields.push_back({"command", std::string("printf '\xff\xfe\0'", 12)});
  record.title = "RUN \xc3\x28";
  cache_.store(key_named("k"), record);
  EXPECT_EQ(cache_.find(key_named("k")), record);
}

TEST_F(DiskCacheTest, KeepsRecordsLargerThanTheFirstRead) {
  CacheRecord record = sample_record();
  for (int i = 0; i < 500; ++i)
    record.fields.push_back({"env V" + std::to_string(i), std::string(200, 'v')});
  for (int i = 0; i < 5000; ++i)
    record.files->entries.push_back({.path = "f/" + std::to_string(10'000 + i)});
  cache_.store(key_named("k"), record);
  EXPECT_EQ(cache_.find(key_named("k")), without_files(record));
  EXPECT_EQ(cache_.find_latest(record.slot), record);
}

TEST_F(DiskCacheTest, LatestRecordOfASlotIsTheOneStoredLast) {
  CacheRecord record = sample_record();
  EXPECT_EQ(cache_.find_latest(record.slot), std::nullopt);
  cache_.store(key_named("1"), record);
  EXPECT_EQ(cache_.find_latest(record.slot), record);
  record.title = "RUN other";
  cache_.store(key_named("2"), record);
  EXPECT_EQ(cache_.find_latest(record.slot), record);
  EXPECT_EQ(cache_.find_latest(slot_named("elsewhere")), std::nullopt);
  EXPECT_TRUE(cache_.find(key_named("1")));
}

TEST_F(DiskCacheTest, SlotWithoutItsRecordHasNone) {
  const CacheRecord record = sample_record();
  cache_.store(key_named("1"), record);
  cache_.remove(key_named("1"));
  EXPECT_EQ(cache_.find_latest(record.slot), std::nullopt);
}

TEST_F(DiskCacheTest, RecordStoredForAnotherSlotIsNotTheFirstSlotsLatest) {
  CacheRecord record = sample_record();
  cache_.store(key_named("1"), record);
  record.slot = slot_named("elsewhere");
  cache_.store(key_named("1"), record);
  EXPECT_EQ(cache_.find_latest(sample_record().slot), std::nullopt);
  EXPECT_EQ(cache_.find_latest(record.slot), record);
}

TEST_F(DiskCacheTest, StoringAgainReplaces) {
  CacheRecord record = sample_record();
  cache_.store(key_named("1"), record);
  record.duration = std::chrono::milliseconds(1);
  cache_.store(key_named("1"), record);
  EXPECT_EQ(cache_.find(key_named("1")), without_files(record));
}

// --- damage ---------------------------------------------------------------------------------

TEST_F(DiskCacheTest, AnyFlippedBitIsAMissAndRemovesTheRecord) {
  const CacheKey key = key_named("k");
  cache_.store(key, sample_record());
  const std::string good = bytes_of(key);
  for (std::size_t i = 0; i < good.size(); ++i) {
    std::string damaged = good;
    damaged[i] = static_cast<char>(damaged[i] ^ (1 << (i % 8)));
    overwrite(key, damaged);
    EXPECT_EQ(cache_.find_latest(sample_record().slot), std::nullopt) << "byte " << i;
    EXPECT_FALSE(fs::exists(file_of(key))) << "byte " << i;
  }
}

TEST_F(DiskCacheTest, AnyTruncationIsAMissAndRemovesTheRecord) {
  const CacheKey key = key_named("k");
  cache_.store(key, sample_record());
  const std::string good = bytes_of(key);
  for (std::size_t length = 0; length < good.size(); ++length) {
    overwrite(key, good.substr(0, length));
    EXPECT_EQ(cache_.find(key), std::nullopt) << length;
    EXPECT_FALSE(fs::exists(file_of(key))) << length;
  }
  overwrite(key, good + "x");
  EXPECT_EQ(cache_.find(key), std::nullopt);
}

TEST_F(DiskCacheTest, RecordUnderAnotherKeyIsAMiss) {
  cache_.store(key_named("a"), sample_record());
  CacheRecord other = sample_record();
  other.layer->tar_size_bytes = 1;
  cache_.store(key_named("b"), other);
  overwrite(key_named("a"), bytes_of(key_named("b")));
  EXPECT_EQ(cache_.find(key_named("a")), std::nullopt);
  EXPECT_FALSE(fs::exists(file_of(key_named("a"))));
  EXPECT_TRUE(cache_.find(key_named("b")));
}

TEST_F(DiskCacheTest, RecordOfAnotherVersionIsAMiss) {
  const CacheKey key = key_named("k");
  cache_.store(key, sample_record());
  std::string other = bytes_of(key);
  ASSERT_TRUE(other.starts_with("strake-record 1 "));
  other[14] = '2';
  overwrite(key, other);
  EXPECT_EQ(cache_.find(key), std::nullopt);
}

TEST_F(DiskCacheTest, SoundChecksumAroundForeignJsonIsAMiss) {
  const CacheKey key = key_named("k");
  cache_.store(key, sample_record());
  for (const std::string body : {"", "{}", "[]", "7", "not json", "{\"key\": 3}"}) {
    overwrite(key, "strake-record 1 " + std::to_string(body.size()) + " " +
                       base::Digest::of(body).hex() + "\n" + body);
    EXPECT_EQ(cache_.find(key), std::nullopt) << body;
  }
}

TEST_F(DiskCacheTest, WhatIsNoRegularFileIsAMiss) {
  const CacheKey key = key_named("k");
  cache_.store(key, sample_record());
  fs::rename(file_of(key), store_.path() / "elsewhere");
  fs::create_symlink(store_.path() / "elsewhere", file_of(key));
  base::set_log_sink([](base::LogLevel, std::string_view, void*) {}, nullptr);
  EXPECT_EQ(cache_.find(key), std::nullopt);
  base::set_log_sink(nullptr, nullptr);
  fs::remove(file_of(key));
  ASSERT_EQ(::mkfifo(file_of(key).c_str(), 0600), 0);
  EXPECT_EQ(cache_.find(key), std::nullopt);  // and does not block
  cache_.store(key, sample_record());
  EXPECT_TRUE(cache_.find(key));
}

// --- use and removal ------------------------------------------------------------------------

TEST_F(DiskCacheTest, AHitIsNotedOnceADay) {
  const CacheKey key = key_named("k");
  cache_.store(key, sample_record());
  const auto set_age = [&](std::chrono::hours age) {
    fs::last_write_time(file_of(key), fs::file_time_type::clock::now() - age);
    return fs::last_write_time(file_of(key));
  };
  const auto recent = set_age(std::chrono::hours(23));
  cache_.find(key);
  EXPECT_EQ(fs::last_write_time(file_of(key)), recent);

  const auto old = set_age(std::chrono::hours(25));
  EXPECT_EQ(cache_.list().size(), 1U);
  EXPECT_EQ(fs::last_write_time(file_of(key)), old);  // looking is not using
  cache_.find(key);
  EXPECT_GT(fs::last_write_time(file_of(key)), recent);
}

TEST_F(DiskCacheTest, ListsRecordsWithTheirSizesAndUse) {
  EXPECT_TRUE(cache_.list().empty());
  for (int i = 0; i < 20; ++i) cache_.store(key_named(std::to_string(i)), sample_record());
  overwrite(key_named("7"), "damaged");
  const std::vector<DiskCache::Stored> all = cache_.list();
  ASSERT_EQ(all.size(), 19U);
  EXPECT_TRUE(std::ranges::is_sorted(all, {}, &DiskCache::Stored::key));
  for (const DiskCache::Stored& stored : all) {
    EXPECT_EQ(stored.size_bytes, fs::file_size(file_of(stored.key)));
    EXPECT_LT(std::chrono::system_clock::now() - stored.last_used, std::chrono::minutes(5));
    EXPECT_EQ(stored.record.title, sample_record().title);
  }
}

TEST_F(DiskCacheTest, RemovesRecordsAndLeftovers) {
  CacheRecord record = sample_record();
  cache_.store(key_named("1"), record);
  record.slot = slot_named("2");
  cache_.store(key_named("2"), record);
  const fs::path torn = file_of(key_named("1")).parent_path() / ".torn";
  base::write_file_atomically(torn, "x");

  cache_.remove(key_named("2"));
  cache_.remove(key_named("2"));
  cache_.remove_leftovers();
  EXPECT_FALSE(fs::exists(torn));
  EXPECT_TRUE(cache_.find(key_named("1")));
  EXPECT_TRUE(cache_.find_latest(sample_record().slot));
  EXPECT_FALSE(fs::is_symlink(store_.path() / "cache/slots" / record.slot.digest.hex()));
}

TEST_F(DiskCacheTest, LockOfAKeyIsFreeAgainAfterUse) {
  bool waited = false;
  {
    const KeyLock lock = cache_.lock(key_named("k"), {}, [&] { waited = true; });
  }
  {
    const KeyLock lock = cache_.lock(key_named("k"), {}, [&] { waited = true; });
  }
  EXPECT_FALSE(waited);
  EXPECT_TRUE(fs::is_empty(store_.path() / "locks"));
}

TEST(NoCache, RemembersNothing) {
  NoCache cache;
  cache.store(key_named("k"), sample_record());
  EXPECT_EQ(cache.find(key_named("k")), std::nullopt);
  EXPECT_EQ(cache.find_latest(sample_record().slot), std::nullopt);
  EXPECT_FALSE(cache.lock(key_named("k"), {}, {}));
}

}  // namespace
}  // namespace strake::cache
