#include "builder/exec/step_keys.h"

#include <gtest/gtest.h>

#include "layers/base/error.h"
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
  other.steps.add_hosts = {{"db", "10.0.0.1"}};
  const cache::CacheKey with_host = run_key(run, kBelow, {}, other).key;
  EXPECT_NE(with_host, key);
  other.steps.add_hosts = {{"db", "10.0.0.2"}};
  EXPECT_EQ(run_key(run, kBelow, {}, other).key, with_host);  // the address does not count

  other = request;
  other.steps.network = sandbox::Network::outward;
  EXPECT_NE(run_key(run, kBelow, {}, other).key, key);
  plan::Run granted = run;
  granted.host_network = true;
  EXPECT_EQ(run_key(granted, kBelow, {}, other).key, key);  // it has the host's after all
  other = request;
  other.steps.capabilities.drop = 1;
  EXPECT_NE(run_key(run, kBelow, {}, other).key, key);
  other = request;
  other.steps.resources.memory_bytes = 1 << 30;
  EXPECT_EQ(run_key(run, kBelow, {}, other).key, key);
}

TEST(StepKeys, EveryFieldOfAMountCounts) {
  using dockerfile::MountType;
  const BuildRequest request;
  const auto key_of = [&](const plan::Mount& mount, const std::string& source = "s") {
    plan::Run run;
    run.argv = {"x"};
    run.mounts = {mount};
    return run_key(run, kBelow, std::vector{source}, request).key;
  };
  plan::Mount mount;
  mount.options.type = MountType::secret;
  mount.options.target = "/t";
  mount.options.id = "id";
  const auto differs = [&](auto change) {
    plan::Mount other = mount;
    change(other);
    return key_of(other) != key_of(mount);
  };
  EXPECT_TRUE(differs([](plan::Mount& m) { m.options.target = "/u"; }));
  EXPECT_TRUE(differs([](plan::Mount& m) { m.options.id = "other"; }));
  EXPECT_TRUE(differs([](plan::Mount& m) { m.options.variable = "V"; }));
  EXPECT_TRUE(differs([](plan::Mount& m) { m.options.required = true; }));
  EXPECT_TRUE(differs([](plan::Mount& m) { m.options.mode = 0400; }));
  EXPECT_TRUE(differs([](plan::Mount& m) { m.options.uid = 0; }));
  EXPECT_TRUE(differs([](plan::Mount& m) { m.options.gid = 0; }));
  EXPECT_TRUE(differs([](plan::Mount& m) { m.options.type = MountType::ssh; }));

  mount.options.type = MountType::tmpfs;
  EXPECT_TRUE(differs([](plan::Mount& m) { m.options.size_bytes = 1; }));
  mount.options.type = MountType::bind;
  mount.from = plan::StepId{1};
  EXPECT_TRUE(differs([](plan::Mount& m) { m.options.read_only = false; }));
  EXPECT_NE(key_of(mount, "s"), key_of(mount, "t"));
}

// The content of a cache is no input of a step, and so neither is which cache it is.
TEST(StepKeys, WhichCacheIsMountedDoesNotCount) {
  const BuildRequest request;
  plan::Run run;
  run.argv = {"x"};
  run.mounts.resize(1);
  run.mounts[0].options.type = dockerfile::MountType::cache;
  run.mounts[0].options.target = "/t";
  run.mounts[0].options.id = "a";
  const std::vector<std::string> none(1);
  const cache::CacheKey key = run_key(run, kBelow, none, request).key;
  run.mounts[0].options.id = "b";
  run.mounts[0].options.sharing = dockerfile::CacheSharing::locked;
  EXPECT_EQ(run_key(run, kBelow, none, request).key, key);
  run.mounts[0].options.mode = 0700;
  EXPECT_NE(run_key(run, kBelow, none, request).key, key);
}

TEST(StepKeys, SeveralMountsDoNotMixUp) {
  const BuildRequest request;
  plan::Run run;
  run.argv = {"x"};
  run.mounts.resize(2);
  for (plan::Mount& mount : run.mounts) mount.from = plan::StepId{1};
  run.mounts[0].options.target = "/a";
  run.mounts[1].options.target = "/b";
  EXPECT_NE(run_key(run, kBelow, std::vector<std::string>{"1", "2"}, request).key,
            run_key(run, kBelow, std::vector<std::string>{"2", "1"}, request).key);
  plan::Run swapped = run;
  std::swap(swapped.mounts[0], swapped.mounts[1]);
  EXPECT_NE(run_key(run, kBelow, std::vector<std::string>{"1", "1"}, request).key,
            run_key(swapped, kBelow, std::vector<std::string>{"1", "1"}, request).key);
}

TEST(StepKeys, MountsAreComparedByTheirContent) {
  const auto content_of = [](const Tree& tree, const std::string& source) {
    plan::Mount mount;
    mount.options.source = source;
    const base::RootedDirectory root = tree.root();
    return mount_content(mount, {.root = root, .shown_name = "its source"});
  };
  Tree tree;
  tree.file("d/f", "1").file("d/[x]", "2").file("beside", "3").symlink("link", "d");
  Tree same;
  same.file("d/f", "1").file("d/[x]", "2").file("beside", "other").symlink("link", "d");
  EXPECT_EQ(content_of(tree, "/d"), content_of(same, "/d"));
  EXPECT_NE(content_of(tree, "/"), content_of(same, "/"));
  EXPECT_EQ(content_of(tree, "/link"), content_of(tree, "/d"));
  EXPECT_NE(content_of(tree, "/d/f"), content_of(tree, "/d"));
  EXPECT_NE(content_of(tree, "/d/[x]"), content_of(tree, "/d/f"));  // no pattern
  same.file("d/f", "2");
  EXPECT_NE(content_of(tree, "/d"), content_of(same, "/d"));
  EXPECT_THROW(content_of(tree, "/nowhere"), base::Error);
}

TEST(StepKeys, WhatIsFetchedIsKnownByItsVersion) {
  BuildRequest request;
  const base::ChainId other{base::Digest::of("other")};
  const cache::CacheKey key = fetch_key("/0/f", "file sha256:1", kBelow, request).key;
  EXPECT_EQ(fetch_key("/0/f", "file sha256:1", kBelow, request).key, key);
  EXPECT_NE(fetch_key("/0/g", "file sha256:1", kBelow, request).key, key);
  EXPECT_NE(fetch_key("/0/f", "file sha256:2", kBelow, request).key, key);
  EXPECT_NE(fetch_key("/0/f", "file sha256:1", other, request).key, key);
  request.source_date_epoch = 1;
  EXPECT_NE(fetch_key("/0/f", "file sha256:1", kBelow, request).key, key);
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
