#include "cache/stat_memo.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <thread>
#include <vector>

#include "layers/base/files.h"

namespace strake::cache {
namespace {

namespace fs = std::filesystem;
using std::chrono::milliseconds;
using std::chrono::nanoseconds;
using std::chrono::seconds;

const StatMemo::Time kNow{seconds(1'700'000'000)};

std::int64_t ns_before_now(nanoseconds age) {
  return std::chrono::duration_cast<nanoseconds>(kNow.time_since_epoch() - age).count();
}

FileStamp old_file(std::uint64_t inode, std::uint64_t size = 10) {
  return {.device = 1,
          .inode = inode,
          .size_bytes = size,
          .mtime_ns = ns_before_now(std::chrono::hours(2)),
          .ctime_ns = ns_before_now(std::chrono::hours(1))};
}
base::Digest content(std::uint64_t i) {
  return base::Digest::of(std::to_string(i));
}

class StatMemoTest : public ::testing::Test {
 protected:
  base::TempDirectory directory_{fs::temp_directory_path(), "strake-memo-"};
  fs::path file_ = directory_.path() / "memo";

  void write_memo(std::uint64_t first, std::uint64_t last) {
    StatMemo memo(file_);
    for (std::uint64_t i = first; i < last; ++i) memo.remember(old_file(i), content(i), kNow);
    memo.save();
  }
  std::string bytes() { return base::read_file(file_).value(); }
  void overwrite(const std::string& bytes) {
    base::write_file_atomically(file_, bytes, 0600, base::Durability::none);
  }
};

TEST_F(StatMemoTest, FindsWhatWasRememberedInThisRun) {
  StatMemo memo;
  EXPECT_EQ(memo.find(old_file(1)), std::nullopt);
  memo.remember(old_file(1), content(1), kNow);
  EXPECT_EQ(memo.find(old_file(1)), content(1));
  memo.save();  // in memory only: nothing to write
}

TEST_F(StatMemoTest, FindsWhatAnEarlierRunSaved) {
  write_memo(0, 1000);
  const StatMemo memo(file_);
  EXPECT_EQ(memo.size(), 1000U);
  for (std::uint64_t i = 0; i < 1000; ++i) EXPECT_EQ(memo.find(old_file(i)), content(i));
  EXPECT_EQ(memo.find(old_file(1000)), std::nullopt);
}

TEST_F(StatMemoTest, KnowsWhichFilesHaveNoAttributes) {
  StatMemo memo(file_);
  memo.remember(old_file(1), content(1), kNow);
  memo.remember(old_file(2), content(2), kNow, true);
  memo.save();
  EXPECT_FALSE(memo.look_up(old_file(1))->plain);
  EXPECT_TRUE(memo.look_up(old_file(2))->plain);
  const StatMemo later(file_);
  EXPECT_FALSE(later.look_up(old_file(1))->plain);
  EXPECT_TRUE(later.look_up(old_file(2))->plain);
}

TEST_F(StatMemoTest, EachMemberOfTheStampCounts) {
  write_memo(1, 2);
  const StatMemo memo(file_);
  using Member = std::uint64_t FileStamp::*;
  for (const Member member : {&FileStamp::device, &FileStamp::inode, &FileStamp::size_bytes}) {
    FileStamp stamp = old_file(1);
    ++(stamp.*member);
    EXPECT_EQ(memo.find(stamp), std::nullopt);
  }
  for (const auto member : {&FileStamp::mtime_ns, &FileStamp::ctime_ns}) {
    FileStamp stamp = old_file(1);
    ++(stamp.*member);
    EXPECT_EQ(memo.find(stamp), std::nullopt);
  }
}

TEST_F(StatMemoTest, DoesNotTrustAFileThatWasJustWritten) {
  struct Case {
    nanoseconds mtime_age, ctime_age;
    bool trusted;
  };
  const nanoseconds margin = StatMemo::kRacyMargin, tick(1);
  const Case cases[] = {
      {seconds(60), seconds(60), true},
      {margin + tick, margin + tick, true},
      {margin, seconds(60), false},
      {seconds(60), margin, false},                         // touch -d cannot hide a write
      {seconds(60), nanoseconds(0), false},                 // written in the tick it was read in
      {-seconds(60), seconds(60), false},                   // from the future
      {seconds(60), -std::chrono::hours(24 * 365), false},  // the clock was set back
  };
  for (const Case& c : cases) {
    StatMemo memo;
    FileStamp stamp = old_file(1);
    stamp.mtime_ns = ns_before_now(c.mtime_age);
    stamp.ctime_ns = ns_before_now(c.ctime_age);
    memo.remember(stamp, content(1), kNow);
    EXPECT_EQ(memo.find(stamp).has_value(), c.trusted)
        << c.mtime_age.count() << " " << c.ctime_age.count();
  }
}

TEST_F(StatMemoTest, IsOnlyWrittenWhenSomethingWasAdded) {
  {
    StatMemo memo(file_);
    memo.save();
    EXPECT_FALSE(fs::exists(file_));
  }
  write_memo(0, 10);
  const auto before = fs::last_write_time(file_);
  fs::last_write_time(file_, before - seconds(100));
  {
    StatMemo memo(file_);
    EXPECT_TRUE(memo.find(old_file(3)));
    memo.save();
  }
  EXPECT_EQ(fs::last_write_time(file_), before - seconds(100));
}

TEST_F(StatMemoTest, AnotherVersionOfAFileTakesTheEntrysPlace) {
  write_memo(0, 10);
  {
    StatMemo memo(file_);
    memo.remember(old_file(3, 99), content(99), kNow);
    memo.save();
  }
  const StatMemo memo(file_);
  EXPECT_EQ(memo.size(), 10U);
  EXPECT_EQ(memo.find(old_file(3)), std::nullopt);
  EXPECT_EQ(memo.find(old_file(3, 99)), content(99));
  EXPECT_EQ(memo.find(old_file(4)), content(4));
}

TEST_F(StatMemoTest, ForgetsUnseenEntriesOnceTheyAreMany) {
  write_memo(0, 6000);
  {
    StatMemo memo(file_);
    for (std::uint64_t i = 0; i < 100; ++i) EXPECT_TRUE(memo.find(old_file(i)));
    memo.remember(old_file(7000), content(7000), kNow);
    memo.save();
  }
  const StatMemo memo(file_);
  EXPECT_EQ(memo.size(), 101U);
  EXPECT_EQ(memo.find(old_file(99)), content(99));
  EXPECT_EQ(memo.find(old_file(100)), std::nullopt);
}

TEST_F(StatMemoTest, KeepsUnseenEntriesWhileTheyAreFew) {
  write_memo(0, 1000);
  write_memo(5000, 5001);
  EXPECT_EQ(StatMemo(file_).size(), 1001U);
}

TEST_F(StatMemoTest, DamageNeverGivesAWrongDigest) {
  write_memo(0, 3);
  const std::string good = bytes();
  for (std::size_t i = 0; i < good.size(); ++i) {
    std::string damaged = good;
    damaged[i] = static_cast<char>(damaged[i] ^ 0x10);
    overwrite(damaged);
    const StatMemo memo(file_);
    for (std::uint64_t inode = 0; inode < 3; ++inode) {
      const auto found = memo.find(old_file(inode));
      EXPECT_TRUE(!found || *found == content(inode)) << "byte " << i;
    }
  }
}

TEST_F(StatMemoTest, TruncatedFileIsAnEmptyMemo) {
  write_memo(0, 20);
  const std::string good = bytes();
  for (const std::size_t length : {std::size_t{0}, std::size_t{1}, std::size_t{31}, std::size_t{32},
                                   std::size_t{40}, good.size() - 80, good.size() - 1}) {
    overwrite(good.substr(0, length));
    EXPECT_EQ(StatMemo(file_).size(), 0U) << length;
  }
  overwrite(good + "x");
  EXPECT_EQ(StatMemo(file_).size(), 0U);
}

TEST_F(StatMemoTest, OtherVersionIsAnEmptyMemoAndIsReplaced) {
  write_memo(0, 20);
  std::string other = bytes();
  other[8] = static_cast<char>(other[8] + 1);
  overwrite(other);
  EXPECT_EQ(StatMemo(file_).size(), 0U);
  write_memo(0, 5);
  EXPECT_EQ(StatMemo(file_).size(), 5U);
}

TEST_F(StatMemoTest, MayBeSharedByThreads) {
  write_memo(0, 2000);
  {
    StatMemo memo(file_);
    std::vector<std::jthread> threads;
    for (std::uint64_t t = 0; t < 4; ++t)
      threads.emplace_back([&memo, t] {
        for (std::uint64_t i = 0; i < 2000; ++i) {
          memo.find(old_file(i));
          memo.remember(old_file(10'000 + i * 4 + t), content(i), kNow);
          memo.remember(old_file(90'000 + i), content(i), kNow);
        }
      });
    threads.clear();
    EXPECT_EQ(memo.find(old_file(10'000 + 1999 * 4 + 3)), content(1999));
    memo.save();
  }
  const StatMemo memo(file_);
  EXPECT_EQ(memo.size(), 2000U + 8000U + 2000U);
  for (std::uint64_t i = 0; i < 2000; ++i) {
    EXPECT_EQ(memo.find(old_file(i)), content(i));
    EXPECT_EQ(memo.find(old_file(10'000 + i * 4)), content(i));
    EXPECT_EQ(memo.find(old_file(90'000 + i)), content(i));
  }
}

TEST_F(StatMemoTest, OpensALargeMemoWithoutParsingIt) {
  write_memo(0, 20'000);
  auto shortest = std::chrono::steady_clock::duration::max();
  for (int round = 0; round < 20; ++round) {
    const auto start = std::chrono::steady_clock::now();
    const StatMemo memo(file_);
    const bool found = memo.find(old_file(12'345)).has_value();
    shortest = std::min(shortest, std::chrono::steady_clock::now() - start);
    EXPECT_TRUE(found);
  }
  EXPECT_LT(shortest, milliseconds(2));
}

TEST(StatMemoFile, BelongsToItsContext) {
  EXPECT_EQ(StatMemo::file_for("/s/memo", "/home/a"), StatMemo::file_for("/s/memo", "/home/a"));
  EXPECT_NE(StatMemo::file_for("/s/memo", "/home/a"), StatMemo::file_for("/s/memo", "/home/b"));
  EXPECT_EQ(StatMemo::file_for("/s/memo", "/home/a").parent_path(), "/s/memo");
}

}  // namespace
}  // namespace strake::cache
