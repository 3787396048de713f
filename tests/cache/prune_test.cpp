#include "cache/prune.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace strake::cache {
namespace {

using std::chrono::hours;

const PruneTime kNow{std::chrono::seconds(1'700'000'000)};

PruneTime ago(int h) {
  return kNow - hours(h);
}
CacheKey key(std::string_view name) {
  return {base::Digest::of(name)};
}
base::DiffId layer(std::string_view name) {
  return {base::Digest::of(name)};
}
base::Digest blob(std::string_view name) {
  return base::Digest::of(name);
}

/// app:1 is layers base + app; the records of "app" and "old" are two builds of the same step; two
/// things are left over from interrupted builds.
Inventory sample() {
  return {
      .images = {{.name = "app:1",
                  .size_bytes = 1,
                  .last_used = ago(100),
                  .layers = {layer("base"), layer("app")},
                  .blobs = {blob("manifest"), blob("config")}}},
      .records = {{key("app"), 10, ago(2), layer("app")},
                  {key("old"), 10, ago(50), layer("old")},
                  {key("nothing"), 10, ago(40), std::nullopt}},
      .mounts = {{"apt", 500, ago(30)}},
      .layers = {{layer("base"), 1000, ago(100), {blob("base.gz")}},
                 {layer("app"), 200, ago(2), {blob("app.gz")}},
                 {layer("old"), 300, ago(50), {blob("old.gz"), blob("base.gz")}},
                 {layer("stray"), 50, ago(1), {blob("stray.gz")}}},
      .blobs = {{blob("manifest"), 1, ago(100)},
                {blob("config"), 1, ago(100)},
                {blob("base.gz"), 400, ago(100)},
                {blob("app.gz"), 80, ago(2)},
                {blob("old.gz"), 120, ago(50)},
                {blob("stray.gz"), 20, ago(1)},
                {blob("loose"), 7, ago(5)}},
  };
}
constexpr std::uint64_t kTotal = 1 + 30 + 500 + 1550 + 629;

struct Case {
  const char* what;
  PruneOptions options;
  std::vector<std::string> images;
  std::vector<const char*> records;
  std::vector<std::string> mounts;
  std::vector<const char*> layers;
  std::vector<const char*> blobs;
  std::uint64_t freed;
};

TEST(Prune, DeletesWhatTheOptionsSay) {
  using enum PruneScope;
  const Case cases[] = {
      {"by default what nothing leads to",
       {.scope = dangling},
       {},
       {},
       {},
       {"stray"},
       {"stray.gz", "loose"},
       77},
      {"dangling and old",
       {.scope = dangling, .older_than = hours(3)},
       {},
       {},
       {},
       {},
       {"loose"},
       7},
      {"what no named image leads to",
       {.scope = unused},
       {},
       {"old", "nothing"},
       {"apt"},
       {"stray", "old"},
       {"stray.gz", "loose", "old.gz"},
       77 + 20 + 500 + 420},
      {"what no named image leads to and is old",
       {.scope = unused, .older_than = hours(45)},
       {},
       {"old"},
       {},
       {"old"},
       {"old.gz"},
       430},
      {"everything",
       {.scope = everything},
       {"app:1"},
       {"old", "nothing", "app"},
       {"apt"},
       {"stray", "base", "old", "app"},
       {"stray.gz", "loose", "manifest", "config", "old.gz", "base.gz", "app.gz"},
       kTotal},
      {"everything old",
       {.scope = everything, .older_than = hours(45)},
       {"app:1"},
       {"old"},
       {},
       {"base", "old"},
       {"manifest", "config", "old.gz", "base.gz"},
       1 + 10 + 1300 + 522},
      {"nothing when it is small enough",
       {.scope = unused, .max_bytes = kTotal},
       {},
       {},
       {},
       {},
       {},
       0},
      {"dangling things first",
       {.scope = unused, .max_bytes = kTotal - 1},
       {},
       {},
       {},
       {"stray"},
       {"stray.gz"},
       70},
      {"then what was not used for longest",
       {.scope = unused, .max_bytes = kTotal - 78},
       {},
       {"old"},
       {},
       {"stray", "old"},
       {"stray.gz", "loose", "old.gz"},
       77 + 430},
      {"no more than allowed, even if it stays too large",
       {.scope = unused, .max_bytes = 0},
       {},
       {"old", "nothing"},
       {"apt"},
       {"stray", "old"},
       {"stray.gz", "loose", "old.gz"},
       77 + 20 + 500 + 420},
      {"only old things on the way to the size",
       {.scope = unused, .older_than = hours(35), .max_bytes = 0},
       {},
       {"old", "nothing"},
       {},
       {"old"},
       {"old.gz"},
       440},
  };
  for (const Case& c : cases) {
    const PrunePlan plan = plan_prune(sample(), c.options, kNow);
    const auto named = [](const auto& names, auto make) {
      std::vector<decltype(make(names[0]))> out;
      for (const char* name : names) out.push_back(make(name));
      std::ranges::sort(out);
      return out;
    };
    const auto sorted = [](auto values) {
      std::ranges::sort(values);
      return values;
    };
    EXPECT_EQ(plan.images, c.images) << c.what;
    EXPECT_EQ(plan.mounts, c.mounts) << c.what;
    EXPECT_EQ(sorted(plan.records), named(c.records, key)) << c.what;
    EXPECT_EQ(sorted(plan.layers), named(c.layers, layer)) << c.what;
    EXPECT_EQ(sorted(plan.blobs), named(c.blobs, blob)) << c.what;
    EXPECT_EQ(plan.freed_bytes, c.freed) << c.what;
    EXPECT_EQ(plan.kept_bytes, kTotal - c.freed) << c.what;
  }
}

TEST(Prune, TakesRecordsLeastRecentlyUsedFirst) {
  const PrunePlan plan = plan_prune(sample(), {.scope = PruneScope::everything}, kNow);
  EXPECT_EQ(plan.records, (std::vector{key("old"), key("nothing"), key("app")}));
}

TEST(Prune, LayerOfTwoRecordsGoesWithTheLast) {
  Inventory inventory = {
      .records = {{key("1"), 1, ago(9), layer("l")}, {key("2"), 1, ago(3), layer("l")}},
      .layers = {{layer("l"), 100, ago(9), {}}}};
  PruneOptions options{.scope = PruneScope::unused, .older_than = hours(5)};
  PrunePlan plan = plan_prune(inventory, options, kNow);
  EXPECT_EQ(plan.records, std::vector{key("1")});
  EXPECT_TRUE(plan.layers.empty());
  options.older_than = hours(1);
  plan = plan_prune(inventory, options, kNow);
  EXPECT_EQ(plan.layers, std::vector{layer("l")});
}

TEST(Prune, BasesOfBuildsAreNotNamedImages) {
  const Inventory inventory = {.images = {{.name = "alpine:3.20",
                                           .size_bytes = 1,
                                           .last_used = ago(9),
                                           .layers = {layer("l")},
                                           .blobs = {blob("m")},
                                           .only_base = true}},
                               .layers = {{layer("l"), 100, ago(9), {}}},
                               .blobs = {{blob("m"), 10, ago(9)}}};
  EXPECT_EQ(plan_prune(inventory, {}, kNow).freed_bytes, 0U);
  EXPECT_EQ(plan_prune(inventory, {.scope = PruneScope::unused}, kNow).freed_bytes, 111U);
}

TEST(Prune, ReferencesToAbsentThingsMeanNothing) {
  const Inventory inventory = {
      .images = {{.name = "a", .last_used = ago(1), .layers = {layer("x")}, .blobs = {blob("x")}}},
      .records = {{key("1"), 5, ago(1), layer("gone")}},
      .layers = {{layer("l"), 1, ago(1), {blob("gone")}}}};
  const PrunePlan plan = plan_prune(inventory, {.scope = PruneScope::everything}, kNow);
  EXPECT_EQ(plan.layers, std::vector{layer("l")});
  EXPECT_TRUE(plan.blobs.empty());
  EXPECT_EQ(plan.kept_bytes, 0U);
}

TEST(Prune, ThingsFromTheFutureAreNotOld) {
  const Inventory inventory = {.records = {{key("1"), 5, ago(-1000), std::nullopt}}};
  EXPECT_TRUE(plan_prune(inventory, {.scope = PruneScope::unused, .older_than = hours(1)}, kNow)
                  .records.empty());
}

}  // namespace
}  // namespace strake::cache
