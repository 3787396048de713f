#include "builder/exec/step_keys.h"

#include <gtest/gtest.h>

#include "tests/exec/exec_support.h"

namespace strake::builder {
namespace {

const base::ChainId kBelow{base::Digest::of("below")};

// Rule 22: predefined proxy args are not part of a key; the environment, ARGs included, is (rule
// 21).
TEST(StepKeys, EveryFieldOfARunCounts) {
  const BuildRequest request;
  plan::Run run;
  run.argv = {"/bin/sh", "-c", "x"};
  run.env = {"A=1"};
  run.working_dir = "/";
  const cache::CacheKey key = run_key(run, kBelow, {}, request).key;
  EXPECT_EQ(run_key(run, kBelow, {}, request).key, key);

  const auto differs = [&](auto change) {
    plan::Run other = run;
    change(other);
    return run_key(other, kBelow, {}, request).key != key;
  };
  EXPECT_TRUE(differs([](plan::Run& r) { r.argv = {"/bin/sh", "-c x"}; }));
  EXPECT_TRUE(differs([](plan::Run& r) { r.env = {"A=2"}; }));
  EXPECT_TRUE(differs([](plan::Run& r) { r.env.push_back("B="); }));
  EXPECT_TRUE(differs([](plan::Run& r) { r.user = "app"; }));
  EXPECT_TRUE(differs([](plan::Run& r) { r.working_dir = "/w"; }));
  EXPECT_TRUE(differs([](plan::Run& r) { r.network = false; }));
  EXPECT_TRUE(differs([](plan::Run& r) { r.architecture = "arm64"; }));
  EXPECT_TRUE(differs([](plan::Run& r) { r.scripts = {{"EOF", "text"}}; }));
  EXPECT_TRUE(differs([](plan::Run& r) { r.devices = {{"a.com/gpu=0"}}; }));
  EXPECT_FALSE(differs([](plan::Run& r) { r.proxy_env = {"http_proxy=x"}; }));
  EXPECT_NE(run_key(run, {base::Digest::of("other")}, {}, request).key, key);

  BuildRequest other = request;
  other.source_date_epoch = 1;
  EXPECT_NE(run_key(run, kBelow, {}, other).key, key);
  other = request;
  other.add_hosts = {{"db", "10.0.0.1"}};
  const cache::CacheKey with_host = run_key(run, kBelow, {}, other).key;
  EXPECT_NE(with_host, key);
  other.add_hosts = {{"db", "10.0.0.2"}};
  EXPECT_EQ(run_key(run, kBelow, {}, other).key, with_host);  // the address does not count
}

TEST(StepKeys, CopyCountsContentNotTimes) {
  const BuildRequest request;
  plan::Copy copy;
  copy.sources = {"d"};
  copy.destination = "/x/";
  cache::StatMemo memo;
  const auto key_of = [&](const Tree& tree, const plan::Copy& step) {
    const base::RootedDirectory root = tree.root();
    const CopySource source{.root = root, .is_context = true, .shown_name = ""};
    return copy_key(step, kBelow, select_files(step, source), source, memo, request).key;
  };
  Tree tree;
  tree.file("d/f", "1").file("d/g", "2");
  const cache::CacheKey key = key_of(tree, copy);
  std::filesystem::last_write_time(
      tree.path() / "d/f", std::filesystem::file_time_type::clock::now() - std::chrono::hours(1));
  EXPECT_EQ(key_of(tree, copy), key);
  plan::Copy owned = copy;
  owned.chown = "1";
  EXPECT_NE(key_of(tree, owned), key);

  Tree renamed;
  renamed.file("d/f", "1").file("d/h", "2");
  EXPECT_NE(key_of(renamed, copy), key);
  Tree changed;
  changed.file("d/f", "1").file("d/g", "3");
  EXPECT_NE(key_of(changed, copy), key);
  Tree executable;
  executable.file("d/f", "1").file("d/g", "2", 0755);
  EXPECT_NE(key_of(executable, copy), key);
  Tree linked;
  linked.file("d/f", "1").symlink("d/g", "2");
  EXPECT_NE(key_of(linked, copy), key);
}

// Rule 31: the key of a --link does not depend on the layers below.
TEST(StepKeys, LinkedCopiesDoNotDependOnWhatIsBelow) {
  const BuildRequest request;
  plan::Copy copy;
  copy.destination = "/";
  copy.link = true;
  const base::ChainId other{base::Digest::of("other")};
  EXPECT_EQ(copy_from_key(copy, kBelow, kBelow, request).key,
            copy_from_key(copy, other, kBelow, request).key);
  copy.link = false;
  EXPECT_NE(copy_from_key(copy, kBelow, kBelow, request).key,
            copy_from_key(copy, other, kBelow, request).key);
}

// Rule 39: the accounts that a --chown by name is looked up in count: they are in what is below.
TEST(StepKeys, OwnersByNameDependOnWhatIsBelow) {
  const BuildRequest request;
  plan::Copy copy;
  copy.destination = "/";
  copy.chown = "app";
  const base::ChainId other{base::Digest::of("other")};
  EXPECT_NE(copy_from_key(copy, kBelow, kBelow, request).key,
            copy_from_key(copy, other, kBelow, request).key);
}

}  // namespace
}  // namespace strake::builder
