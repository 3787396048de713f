#include "builder/exec/base_images.h"

#include <gmock/gmock.h>

#include "builder/exec/layer_fetcher.h"
#include "layers/base/error.h"
#include "layers/base/log.h"
#include "tests/exec/store_support.h"
#include "tests/registry/expect_error.h"
#include "tests/registry/fake_registry.h"

namespace strake::builder {
namespace {

using base::ErrorCode;
using registry::testing::FakeRegistry;
using support::ServerRequest;
using support::ServerResponse;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

/// reg.example.com/app:1 is an image without layers, whose label tells its versions apart.
class PullPolicies : public MachineTest {
 protected:
  void push(const std::string& version) {
    const std::string config =
        R"({"architecture":"amd64","os":"linux","config":{"Labels":{"version":")" + version +
        R"("}},"rootfs":{"type":"layers","diff_ids":[]}})";
    const std::string manifest =
        R"({"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json",)"
        R"("config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":")" +
        fake_.add_blob("app", config).str() + R"(","size":)" + std::to_string(config.size()) +
        R"(},"layers":[]})";
    fake_.add_manifest("app", "1", manifest, "application/vnd.oci.image.manifest.v1+json");
    digest_ = base::Digest::of(manifest);
  }
  void serve() {
    http_.serve("https://reg.example.com", [this](const ServerRequest& r) { return fake_(r); });
  }
  /// The requests that resolving took; the version that was got is in version_.
  std::vector<std::string> resolve(PullPolicy policy) { return resolve(request_, policy); }
  std::vector<std::string> resolve(const plan::ImageRequest& request, PullPolicy policy) {
    const std::size_t before = http_.requests().size();
    version_ = resolve_images({{request, {}}}, policy, machine_, {})
                   .at(request)
                   .config.config.labels.at("version");
    std::vector<std::string> methods;
    for (const std::string& line : http_.lines()) methods.push_back(line.substr(0, line.find(' ')));
    methods.erase(methods.begin(), methods.begin() + static_cast<long>(before));
    return methods;
  }

  FakeRegistry fake_;
  base::Digest digest_;
  std::string version_;
  plan::ImageRequest request_{{{"reg.example.com", "app"}, "1", std::nullopt},
                              {.os = "linux", .architecture = "amd64"}};
};

// Case B16: tags that move while they are resolved.
TEST_F(PullPolicies, ATagThatMovesGivesOneVersion) {
  // An index of two platforms for each version; the tag moves after every request.
  int requests = 0;
  const auto config = [](int version, const std::string& architecture) {
    return R"({"architecture":")" + architecture +
           R"(","os":"linux","config":{"Labels":{"version":")" + std::to_string(version) +
           R"("}},"rootfs":{"type":"layers","diff_ids":[]}})";
  };
  const auto descriptor = [](const std::string& type, const std::string& bytes) {
    return R"("mediaType":"application/vnd.oci.image.)" + type + R"(+json","digest":")" +
           base::Digest::of(bytes).str() + R"(","size":)" + std::to_string(bytes.size());
  };
  const auto move_tag = [&] {
    std::string entries;
    for (const char* architecture : {"amd64", "arm64"}) {
      const std::string json = config(requests, architecture);
      fake_.add_blob("app", json);
      const std::string manifest =
          R"({"schemaVersion":2,"config":{)" + descriptor("config.v1", json) + R"(},"layers":[]})";
      fake_.add_manifest("app", base::Digest::of(manifest).str(), manifest,
                         "application/vnd.oci.image.manifest.v1+json");
      entries += (entries.empty() ? "{" : ",{") + descriptor("manifest.v1", manifest) +
                 R"(,"platform":{"os":"linux","architecture":")" + architecture + R"("}})";
    }
    fake_.add_manifest("app", "1", R"({"schemaVersion":2,"manifests":[)" + entries + "]}",
                       "application/vnd.oci.image.index.v1+json");
  };
  std::mutex mutex;
  http_.serve("https://reg.example.com", [&](const ServerRequest& request) {
    const std::lock_guard lock(mutex);
    ++requests;
    move_tag();
    return fake_(request);
  });
  plan::ImageRequest other = request_;
  other.platform.architecture = "arm64";
  for (const PullPolicy policy : {PullPolicy::missing, PullPolicy::always, PullPolicy::newer}) {
    const auto images = resolve_images({{request_, {}}, {other, {}}}, policy, machine_, {});
    EXPECT_EQ(images.at(request_).config.config.labels.at("version"),
              images.at(other).config.config.labels.at("version"));
    EXPECT_EQ(images.at(other).config.platform.architecture, "arm64");
    EXPECT_TRUE(images.at(request_).image.digest);
  }
}

// Case B19: indexes in indexes, and several images for one platform.
TEST_F(PullPolicies, AnIndexIsOneLevelDeepAndItsFirstMatchCounts) {
  serve();
  const auto entry = [](const std::string& type, const std::string& bytes) {
    return R"({"mediaType":"application/vnd.oci.image.)" + type + R"(.v1+json","digest":")" +
           base::Digest::of(bytes).str() + R"(","size":)" + std::to_string(bytes.size()) +
           R"(,"platform":{"os":"linux","architecture":"amd64"}})";
  };
  const auto tag_index = [&](const std::string& entries) {
    const std::string index = R"({"schemaVersion":2,"manifests":[)" + entries + "]}";
    fake_.add_manifest("app", "1", index, "application/vnd.oci.image.index.v1+json");
    return index;
  };
  push("first");
  const std::string first = fake_.manifest("app", "1");
  push("second");
  const std::string second = fake_.manifest("app", "1");
  const std::string index = tag_index(entry("manifest", first) + "," + entry("manifest", second));
  resolve(PullPolicy::always);
  EXPECT_EQ(version_, "first");

  tag_index(entry("index", index));
  EXPECT_EQ(registry::testing::code_of([&] { resolve(PullPolicy::always); }),
            ErrorCode::unsupported);
  // One that is said to contain itself: no bytes have a digest that is in them.
  tag_index(entry("index", "itself"));
  EXPECT_THROW(resolve(PullPolicy::always), base::Error);
  tag_index("");
  EXPECT_EQ(registry::testing::code_of([&] { resolve(PullPolicy::always); }), ErrorCode::not_found);
}

TEST_F(PullPolicies, MissingAsksOnce) {
  serve();
  push("one");
  EXPECT_THAT(resolve(PullPolicy::missing), ElementsAre("GET", "GET"));
  push("two");
  EXPECT_THAT(resolve(PullPolicy::missing), IsEmpty());
  EXPECT_EQ(version_, "one");
}

TEST_F(PullPolicies, AlwaysAndNewerFetchOnlyWhatChanged) {
  serve();
  for (const PullPolicy policy : {PullPolicy::always, PullPolicy::newer}) {
    push("one");
    resolve(policy);
    EXPECT_THAT(resolve(policy), ElementsAre("HEAD"));
    EXPECT_EQ(version_, "one");
    push("two");
    EXPECT_THAT(resolve(policy), ElementsAre("HEAD", "GET", "GET"));
    EXPECT_EQ(version_, "two");
  }
}

TEST_F(PullPolicies, DigestsNeedNoAsking) {
  serve();
  push("one");
  request_.image.tag.reset();
  request_.image.digest = digest_;
  resolve(PullPolicy::always);
  EXPECT_THAT(resolve(PullPolicy::always), IsEmpty());
  EXPECT_EQ(version_, "one");
}

TEST_F(PullPolicies, NewerIsContentWithTheLocalImageWhenTheRegistryIsDown) {
  std::string log;
  base::set_log_sink([](base::LogLevel, std::string_view line,
                        void* to) { *static_cast<std::string*>(to) += line; },
                     &log);
  serve();
  push("one");
  resolve(PullPolicy::missing);
  // A refusal is not worth trying again here, as a 503 would be.
  const auto unavailable = [](const ServerRequest&) {
    return ServerResponse{.status = 429, .headers = {{"Retry-After", "3600"}}};
  };
  http_.serve("https://reg.example.com", unavailable);
  resolve(PullPolicy::newer);
  base::set_log_sink(nullptr, nullptr);
  EXPECT_EQ(version_, "one");
  EXPECT_THAT(log, HasSubstr("using the local \"reg.example.com/app:1\""));
  EXPECT_EQ(registry::testing::code_of([&] { resolve(PullPolicy::always); }),
            ErrorCode::unavailable);
}

TEST_F(PullPolicies, NewerSaysWhatARegistryRefuses) {
  serve();
  push("one");
  resolve(PullPolicy::missing);
  http_.serve("https://reg.example.com",
              [](const ServerRequest&) { return ServerResponse{.status = 403}; });
  EXPECT_EQ(registry::testing::code_of([&] { resolve(PullPolicy::newer); }), ErrorCode::denied);
}

TEST_F(PullPolicies, NeverSendsNoPacket) {
  const base::Error error = registry::testing::error_of([&] { resolve(PullPolicy::never); });
  EXPECT_EQ(error.code(), ErrorCode::not_found);
  EXPECT_THAT(error.hint(), HasSubstr("--pull=never"));
  EXPECT_THAT(http_.requests(), IsEmpty());
  serve();
  push("one");
  resolve(PullPolicy::missing);
  EXPECT_THAT(resolve(PullPolicy::never), IsEmpty());
  EXPECT_EQ(version_, "one");
}

TEST_F(PullPolicies, NeverHasNoLayersButLocalOnes) {
  const base::DiffId layer{base::Digest::of("tar")};
  const oci::Descriptor blob{"application/vnd.oci.image.layer.v1.tar+gzip",
                             base::Digest::of("blob"), 4};
  const oci::Repository repository{"reg.example.com", "app"};
  layers_.add_blob(layer, blob, &repository);
  EXPECT_TRUE(LayerFetcher(machine_, {}).available(layer));

  LayerFetcher offline(machine_, {}, PullPolicy::never);
  EXPECT_FALSE(offline.available(layer));
  for (const auto& error :
       {registry::testing::error_of([&] {
          offline.ensure_trees({&layer, 1});
        }),
        registry::testing::error_of([&] { offline.ensure_blob(layer, blob); })}) {
    EXPECT_EQ(error.code(), ErrorCode::not_found);
    EXPECT_THAT(error.what(), HasSubstr("is not in the store"));
  }
  EXPECT_THAT(http_.requests(), IsEmpty());
}

}  // namespace
}  // namespace strake::builder
