#include "registry/registries.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "registry/network.h"
#include "tests/registry/expect_error.h"

namespace strake::registry {
namespace {

using base::ErrorCode;
using testing::code_of;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

RegistryScope scope(const char* text) {
  return parse_registry_scope(text);
}

RegistryRule rule(const char* text) {
  return {.scope = scope(text), .source = "file:1"};
}

std::vector<std::string> names(const std::vector<oci::Repository>& places) {
  std::vector<std::string> texts;
  for (const oci::Repository& place : places) texts.push_back(place.str());
  return texts;
}

TEST(RegistryScope, ContainsWhatIsAtOrBelowItsPathOfItsVeryHost) {
  struct Row {
    const char* scope;
    oci::Repository repository;
    bool contained;
  };
  const Row rows[] = {
      {"reg.example.com", {"reg.example.com", "a"}, true},
      {"Reg.Example.com", {"reg.example.COM", "a"}, true},
      {"reg.example.com", {"reg.example.com:5000", "a"}, false},
      {"reg.example.com", {"reg.example.com.evil.org", "a"}, false},
      {"reg.example.com:5000", {"reg.example.com:5000", "a"}, true},
      {"reg.example.com/team", {"reg.example.com", "team"}, true},
      {"reg.example.com/team", {"reg.example.com", "team/app"}, true},
      {"reg.example.com/team", {"reg.example.com", "teams/app"}, false},
      {"reg.example.com/team", {"reg.example.com", "x/team"}, false},
      {"docker.io", {"docker.io", "library/alpine"}, true},
      {"index.docker.io", {"docker.io", "library/alpine"}, true},
      {"docker.io/library", {"registry-1.docker.io", "library/alpine"}, true},
      {"*.example.com", {"reg.example.com", "a"}, true},
      {"*.example.com", {"a.b.example.com:5000", "a"}, true},
      {"*.example.com", {"example.com", "a"}, false},
      {"*.example.com", {"badexample.com", "a"}, false},
  };
  for (const Row& row : rows) {
    EXPECT_EQ(scope(row.scope).contains(row.repository), row.contained)
        << row.scope << " " << row.repository.str();
  }
}

TEST(RegistryScope, RefusesWhatIsNoNameOfARegistry) {
  for (const char* text :
       {"", "/team", "https://reg.example.com", "reg/", "reg//a", "reg/a:1", "reg/a@sha256:00",
        "a b", "*", "*.", "*.a/b", "*.a.*", "a.*.b", "reg/../x", "user@reg"}) {
    EXPECT_EQ(code_of([&] { scope(text); }), ErrorCode::invalid_input) << text;
  }
  EXPECT_EQ(scope("[::1]:5000/a/b"), (RegistryScope{"[::1]:5000", "a/b"}));
}

TEST(Network, ContainsAddressesOfItsPrefix) {
  struct Row {
    const char* network;
    const char* host;
    bool contained;
  };
  const Row rows[] = {
      {"10.0.0.0/8", "10.200.3.4", true},       {"10.0.0.0/8", "11.0.0.1", false},
      {"192.168.4.0/22", "192.168.7.9", true},  {"192.168.4.0/22", "192.168.8.0", false},
      {"127.0.0.1/32", "127.0.0.1", true},      {"127.0.0.1/32", "127.0.0.2", false},
      {"0.0.0.0/0", "8.8.8.8", true},           {"0.0.0.0/0", "::1", false},
      {"fd00::/8", "[fd12::1]", true},          {"fd00::/8", "fe80::1", false},
      {"10.0.0.0/8", "ten.example.com", false},
  };
  for (const Row& row : rows) {
    EXPECT_EQ(Network::parse(row.network)->contains(row.host), row.contained)
        << row.network << " " << row.host;
  }
  for (const char* text : {"10.0.0.0", "10.0.0.0/33", "10.0.0/8", "fd00::/129", "a/8", "10.0.0.0/"})
    EXPECT_FALSE(Network::parse(text)) << text;
}

TEST(Registries, KnowNothingOfWhatNobodyNamed) {
  const Registries registries;
  const oci::Repository repository{"reg.example.com", "a"};
  EXPECT_EQ(registries.connection_of(repository), Connection{});
  EXPECT_THAT(registries.places_of(repository, false), ElementsAre(repository));
  EXPECT_NO_THROW(registries.check_allowed(repository));
}

TEST(Registries, EarlierSourcesDecideEachPropertyOfAConnection) {
  RegistryRule first = rule("reg.example.com");
  first.connection = {.insecure = true, .ca_files = {"/a.crt"}};
  RegistryRule second = rule("reg.example.com");
  second.connection = {.insecure = false,
                       .http = true,
                       .ca_files = {"/b.crt"},
                       .cert_file = "/c.cert",
                       .key_file = "/c.key",
                       .streams = 3};
  Registries registries;
  registries.add({first});
  registries.add({second});
  EXPECT_EQ(registries.connection_of({"reg.example.com", "a"}),
            (Connection{.insecure = true,
                        .http = true,
                        .ca_files = {"/a.crt", "/b.crt"},
                        .cert_file = "/c.cert",
                        .key_file = "/c.key",
                        .streams = 3}));
}

TEST(Registries, LongestPathDecidesWithinASource) {
  RegistryRule all = rule("reg.example.com"), team = rule("reg.example.com/team"),
               wild = rule("*.example.com");
  wild.connection = {.insecure = true, .streams = 1};
  all.connection = {.insecure = false, .streams = 2};
  team.connection = {.streams = 3};
  Registries registries;
  registries.add({team, wild, all});
  EXPECT_EQ(registries.connection_of({"reg.example.com", "team/app"}),
            (Connection{.insecure = false, .streams = 3}));
  EXPECT_EQ(registries.connection_of({"other.example.com", "team/app"}).streams, 1);
}

TEST(Registries, NetworksHoldForAddresses) {
  Registries registries;
  registries.add({{.scope = {"10.0.0.0/8", ""}, .source = "f", .connection = {.insecure = true}}});
  EXPECT_TRUE(registries.connection_of({"10.1.2.3:5000", "a"}).insecure);
  EXPECT_FALSE(registries.connection_of({"11.1.2.3:5000", "a"}).insecure);
  EXPECT_FALSE(registries.connection_of({"ten.example.com", "a"}).insecure);
}

TEST(Registries, MirrorsTakeThePlaceOfTheirScope) {
  struct Row {
    const char* scope;
    const char* mirror;
    const char* repository;
    const char* place;
  };
  const Row rows[] = {
      {"docker.io", "m:5000", "library/alpine", "m:5000/library/alpine"},
      {"docker.io", "m:5000/hub", "library/alpine", "m:5000/hub/library/alpine"},
      {"docker.io/library", "m:5000", "library/alpine", "m:5000/alpine"},
      {"docker.io/library", "m:5000/hub/x", "library/alpine", "m:5000/hub/x/alpine"},
      {"docker.io/library/alpine", "m:5000/my", "library/alpine", "m:5000/my"},
  };
  for (const Row& row : rows) {
    RegistryRule mirrored = rule(row.scope);
    mirrored.mirrors = {{.location = scope(row.mirror)}};
    Registries registries;
    registries.add({mirrored});
    EXPECT_THAT(names(registries.places_of({"docker.io", row.repository}, false)),
                ElementsAre(row.place, std::string("docker.io/") + row.repository));
  }
}

TEST(Registries, MirrorsAreUsedForWhatTheyAreFor) {
  RegistryRule mirrored = rule("docker.io");
  mirrored.mirrors = {{scope("d:1"), MirrorUse::digest_only},
                      {scope("t:1"), MirrorUse::tag_only},
                      {scope("a:1"), MirrorUse::all}};
  Registries registries;
  registries.add({mirrored});
  EXPECT_THAT(names(registries.places_of({"docker.io", "x"}, false)),
              ElementsAre("t:1/x", "a:1/x", "docker.io/x"));
  EXPECT_THAT(names(registries.places_of({"docker.io", "x"}, true)),
              ElementsAre("d:1/x", "a:1/x", "docker.io/x"));
}

TEST(Registries, MirrorsOfSeveralSourcesAreNotMixed) {
  RegistryRule silent = rule("docker.io"), first = rule("docker.io"), second = rule("docker.io");
  silent.blocked = false;
  first.mirrors = {{.location = scope("first:1")}};
  second.mirrors = {{.location = scope("second:1")}};
  Registries registries;
  registries.add({silent});
  registries.add({first});
  registries.add({second});
  EXPECT_THAT(names(registries.places_of({"docker.io", "x"}, false)),
              ElementsAre("first:1/x", "docker.io/x"));
}

TEST(Registries, AnEmptyListOfMirrorsIsADecision) {
  RegistryRule none = rule("docker.io"), some = rule("docker.io");
  none.mirrors.emplace();
  some.mirrors = {{.location = scope("m:1")}};
  Registries registries;
  registries.add({none});
  registries.add({some});
  EXPECT_THAT(names(registries.places_of({"docker.io", "x"}, false)), ElementsAre("docker.io/x"));
}

TEST(Registries, LocationMovesTheRegistryItself) {
  RegistryRule moved = rule("old.example.com/team");
  moved.location = scope("new.example.com/dept/team");
  moved.mirrors = {{.location = scope("m:1")}};
  Registries registries;
  registries.add({moved});
  EXPECT_THAT(names(registries.places_of({"old.example.com", "team/app"}, false)),
              ElementsAre("m:1/app", "new.example.com/dept/team/app"));
}

TEST(Registries, BlockedOnesAreRefusedNamingTheSource) {
  RegistryRule all = rule("docker.io"), library = rule("docker.io/library");
  all.blocked = true;
  all.source = "/etc/containers/registries.conf:7";
  library.blocked = false;
  Registries registries;
  registries.add({all, library});
  EXPECT_NO_THROW(registries.check_allowed({"docker.io", "library/alpine"}));
  EXPECT_NO_THROW(registries.check_allowed({"quay.io", "team/app"}));
  const base::Error error = testing::error_of([&] {
    registries.check_allowed({"docker.io", "team/app"});
  });
  EXPECT_EQ(error.code(), ErrorCode::denied);
  EXPECT_THAT(error.what(), HasSubstr("\"docker.io/team/app\" is blocked: "
                                      "/etc/containers/registries.conf:7"));
}

TEST(Registries, OnlyAWordAboutBlockingLiftsABlock) {
  RegistryRule mirrored = rule("docker.io"), blocked = rule("docker.io"), allowed = blocked;
  mirrored.mirrors = {{.location = scope("m:1")}};
  blocked.blocked = true;
  allowed.blocked = false;
  Registries registries;
  registries.add({mirrored});
  Registries lifted = registries;
  registries.add({blocked});
  EXPECT_EQ(code_of([&] { registries.check_allowed({"docker.io", "x"}); }), ErrorCode::denied);
  lifted.add({allowed});
  lifted.add({blocked});
  EXPECT_NO_THROW(lifted.check_allowed({"docker.io", "x"}));
}

}  // namespace
}  // namespace strake::registry
