// Publishers against a registry in all interleavings: a model checker over the protocol's states.

#include "builder/images/convergence.h"

#include <gtest/gtest.h>

#include <map>
#include <set>

#include "layers/base/error.h"
#include "tests/images/image_values.h"

namespace strake::builder {
namespace {

using oci::Descriptor;
using Step = Convergence::Step;
using testing::attestation;
using testing::image;

const Descriptor kAmd = image("linux/amd64", "amd"), kArm = image("linux/arm64", "arm"),
                 kS390 = image("linux/s390x", "s390");

/// What all publishers share. Each request is served at one instant.
struct Registry {
  std::map<oci::Platform, Descriptor> markers;
  std::optional<oci::Document<oci::Index>> index;
};

/// One publisher between two requests: its marker, the protocol, and a reading of the markers that
/// may be under way, since it takes a request for the list and one for each marker.
struct Publisher {
  Descriptor own;
  Convergence protocol;
  bool marked = false;
  bool careless = false;  // takes its own write for success: what the checker must catch
  /// Markers that are listed can change before they are read, one request each. Where none
  /// changes, reading them at once is no different, and there are far fewer states.
  bool reads_one_by_one = true;
  bool reading = false;
  std::vector<oci::Platform> to_resolve;
  std::vector<Descriptor> resolved;

  explicit Publisher(Descriptor a_own, std::vector<oci::Platform> required = {})
      : own(a_own), protocol(a_own, std::move(required)) {}

  bool done() const {
    return marked && !reading &&
           (protocol.next() == Step::finished || protocol.next() == Step::waiting ||
            (careless && protocol.writes() > 0));
  }

  /// Makes one request.
  void advance(Registry& registry) {
    if (!marked) {
      registry.markers[*own.platform] = own;
      marked = true;
    } else if (protocol.next() == Step::read_index) {
      protocol.saw_index(registry.index);
    } else if (protocol.next() == Step::write_index) {
      registry.index = protocol.index();
      protocol.wrote_index();
    } else if (!reading) {
      for (const auto& [platform, child] : registry.markers) to_resolve.push_back(platform);
      reading = true;
    } else {
      resolve_one(registry);
    }
    while (!reads_one_by_one && !to_resolve.empty()) resolve_one(registry);
    if (reading && to_resolve.empty()) {
      protocol.saw_parts(std::exchange(resolved, {}));
      reading = false;
    }
  }

 private:
  void resolve_one(const Registry& registry) {
    resolved.push_back(registry.markers.at(to_resolve.back()));
    to_resolve.pop_back();
  }
};

struct World {
  Registry registry;
  std::vector<Publisher> publishers;
};

/// Walks through everything that can happen, each state once.
class Checker {
 public:
  /// The contents (digests in their order) that the tag can end with.
  std::set<std::vector<base::Digest>> endings(const World& start) {
    visit(start);
    return endings_;
  }
  std::size_t states() const { return seen_.size(); }
  int most_writes() const { return most_writes_; }

 private:
  void visit(const World& world) {
    if (!seen_.insert(key_of(world)).second) return;
    bool all_done = true;
    for (std::size_t i = 0; i < world.publishers.size(); ++i) {
      if (world.publishers[i].done()) continue;
      all_done = false;
      World next = world;
      next.publishers[i].advance(next.registry);
      visit(next);
    }
    if (!all_done) return;
    std::vector<base::Digest> content;
    if (world.registry.index)
      for (const Descriptor& entry : world.registry.index->value.manifests)
        content.push_back(entry.digest);
    endings_.insert(content);
    for (const Publisher& publisher : world.publishers)
      most_writes_ = std::max(most_writes_, publisher.protocol.writes());
  }

  static std::string key_of(const World& world) {
    std::string key;
    const auto add = [&](const base::Digest& digest) { key += digest.hex().substr(0, 8) + ","; };
    for (const auto& [platform, child] : world.registry.markers) add(child.digest);
    key += "|";
    if (world.registry.index) add(world.registry.index->descriptor.digest);
    for (const Publisher& publisher : world.publishers) {
      key += publisher.marked ? ";m" : ";";
      key += publisher.protocol.state_key();
      key += publisher.reading ? "r" : "";
      for (const oci::Platform& platform : publisher.to_resolve) key += platform.str() + ",";
      for (const Descriptor& child : publisher.resolved) add(child.digest);
    }
    return key;
  }

  std::set<std::string> seen_;
  std::set<std::vector<base::Digest>> endings_;
  int most_writes_ = 0;
};

using Endings = std::set<std::vector<base::Digest>>;

TEST(Convergence, TwoPublishersEndWithBothInEveryInterleaving) {
  Checker checker;
  EXPECT_EQ(checker.endings({{}, {Publisher(kAmd), Publisher(kArm)}}),
            (Endings{{kAmd.digest, kArm.digest}}));
  EXPECT_GT(checker.states(), 100U);
  // Each stale index is repaired once.
  EXPECT_LE(checker.most_writes(), 3);
}

TEST(Convergence, ThreePublishersEndWithAllInEveryInterleaving) {
  World world{{}, {Publisher(kAmd), Publisher(kArm), Publisher(kS390)}};
  for (Publisher& publisher : world.publishers) publisher.reads_one_by_one = false;
  Checker checker;
  EXPECT_EQ(checker.endings(world), (Endings{{kAmd.digest, kArm.digest, kS390.digest}}));
  EXPECT_GT(checker.states(), 1'000U);
}

/// The checker can fail: without reading back, updates are lost.
TEST(Convergence, PublishersThatDoNotReadBackLoseUpdates) {
  World world{{}, {Publisher(kAmd), Publisher(kArm)}};
  for (Publisher& publisher : world.publishers) publisher.careless = true;
  EXPECT_GT(Checker().endings(world).size(), 1U);
}

TEST(Convergence, NewImagesReplaceTheOldOnesOfTheirPlatforms) {
  const Descriptor new_amd = image("linux/amd64", "new amd"),
                   new_arm = image("linux/arm64", "new arm");
  World world{{}, {Publisher(new_amd), Publisher(new_arm)}};
  world.registry.markers = {{*kAmd.platform, kAmd}, {*kArm.platform, kArm}};
  world.registry.index = index_of_parts({kAmd, kArm}, std::nullopt);
  EXPECT_EQ(Checker().endings(world), (Endings{{new_amd.digest, new_arm.digest}}));
}

TEST(Convergence, SamePlatformTwiceEndsWithOneOfBoth) {
  const Descriptor again = image("linux/amd64", "again");
  World world{{}, {Publisher(kAmd), Publisher(again), Publisher(kArm)}};
  for (Publisher& publisher : world.publishers) publisher.reads_one_by_one = false;
  const Endings endings = Checker().endings(world);
  EXPECT_EQ(endings, (Endings{{kAmd.digest, kArm.digest}, {again.digest, kArm.digest}}));
}

TEST(Convergence, RequiredPlatformsArePublishedByWhoeverCompletesThem) {
  const std::vector<oci::Platform> required{*kAmd.platform, *kArm.platform, *kS390.platform};
  Checker checker;
  const Endings endings = checker.endings(
      {{}, {Publisher(kAmd, required), Publisher(kArm, required), Publisher(kS390, required)}});
  EXPECT_EQ(endings, (Endings{{kAmd.digest, kArm.digest, kS390.digest}}));
}

TEST(Convergence, RequiredPlatformsLeaveOutThePartsOfOthers) {
  const std::vector<oci::Platform> required{*kAmd.platform, *kArm.platform};
  World world{{}, {Publisher(kAmd, required), Publisher(kArm, required)}};
  world.registry.markers = {{*kS390.platform, kS390}};
  EXPECT_EQ(Checker().endings(world), (Endings{{kAmd.digest, kArm.digest}}));
}

TEST(Convergence, NothingIsWrittenWhileARequiredPlatformIsMissing) {
  const std::vector<oci::Platform> required{*kAmd.platform, *kArm.platform};
  World world{{}, {Publisher(kAmd, required)}};
  Publisher& publisher = world.publishers[0];
  while (!publisher.done()) publisher.advance(world.registry);
  EXPECT_EQ(publisher.protocol.next(), Step::waiting);
  EXPECT_FALSE(world.registry.index);
  ASSERT_EQ(publisher.protocol.missing().size(), 1U);
  EXPECT_EQ(publisher.protocol.missing()[0].str(), "linux/arm64");
}

/// A publisher that is killed may leave a stale index; running its job again repairs the tag.
TEST(Convergence, RunningAKilledPublisherAgainRepairsTheTag) {
  for (int requests = 0; requests < 12; ++requests) {
    for (int before = 0; before <= requests; ++before) {
      World world{{}, {Publisher(kAmd), Publisher(kArm)}};
      Publisher &killed = world.publishers[0], &other = world.publishers[1];
      for (int i = 0; i < before && !killed.done(); ++i) killed.advance(world.registry);
      while (!other.done()) other.advance(world.registry);
      for (int i = before; i < requests && !killed.done(); ++i) killed.advance(world.registry);
      Publisher again(kAmd);
      while (!again.done()) again.advance(world.registry);
      EXPECT_EQ(world.registry.index->value.manifests.size(), 2U) << before << " " << requests;
    }
  }
}

TEST(Convergence, EqualPartsGiveEqualBytes) {
  EXPECT_EQ(index_of_parts({kAmd, kArm, kS390}, std::nullopt).bytes,
            index_of_parts({kS390, kAmd, kArm}, std::nullopt).bytes);
}

TEST(Convergence, AnnotationsAndAttestationsSurvive) {
  oci::Descriptor described = kAmd;
  described.annotations["note"] = "x";
  const oci::Descriptor proof = attestation(kAmd, "proof"), lost = attestation(kS390, "lost");
  const auto before = oci::make_index(
      {.manifests = {described, kS390, proof, lost}, .annotations = {{"title", "app"}}});
  const auto after = index_of_parts({kAmd, kArm}, before);
  EXPECT_EQ(after.value.annotations, before.value.annotations);
  EXPECT_EQ(after.value.manifests, (std::vector{described, kArm, proof}));
}

TEST(Convergence, AnIndexThatIsRightKeepsItsBytes) {
  auto before = oci::make_index({.manifests = {kAmd, kArm}});
  before.bytes += "\n";  // somebody else's spelling of the same
  before.descriptor.digest = base::Digest::of(before.bytes);
  EXPECT_EQ(index_of_parts({kArm, kAmd}, before).bytes, before.bytes);
}

}  // namespace
}  // namespace strake::builder
