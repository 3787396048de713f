#include "registry/registries_conf.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/registry/expect_error.h"

namespace strake::registry {
namespace {

using base::ErrorCode;
using ::testing::HasSubstr;
using ::testing::StartsWith;

Registries read(const char* text) {
  Registries registries;
  registries.add(parse_registries_conf(text, "/etc/r.conf"));
  return registries;
}

std::string places(const Registries& registries, const oci::Repository& repository,
                   bool by_digest = false) {
  std::string text;
  for (const oci::Repository& place : registries.places_of(repository, by_digest))
    text += (text.empty() ? "" : " ") + place.str();
  return text;
}

base::Error refusal(const char* text) {
  const base::Error error = testing::error_of([&] { parse_registries_conf(text, "/etc/r.conf"); });
  EXPECT_EQ(error.code(), ErrorCode::invalid_input) << text;
  return error;
}

TEST(RegistriesConf, ReadsMirrorsInOrder) {
  const Registries registries = read(R"(
unqualified-search-registries = ["docker.io"]
[aliases]
alpine = "docker.io/library/alpine"
[[registry]]
location = "docker.io"
[[registry.mirror]]
location = "one.example.com/hub"
[[registry.mirror]]
location = "two.example.com:5000"
insecure = true
)");
  EXPECT_EQ(places(registries, {"docker.io", "library/alpine"}),
            "one.example.com/hub/library/alpine two.example.com:5000/library/alpine "
            "docker.io/library/alpine");
  EXPECT_EQ(registries.connection_of({"two.example.com:5000", "library/alpine"}).insecure, true);
  EXPECT_EQ(registries.connection_of({"one.example.com", "hub/x"}).insecure, std::nullopt);
  EXPECT_EQ(registries.connection_of({"docker.io", "x"}).insecure, std::nullopt);
}

TEST(RegistriesConf, PrefixIsReplacedByLocation) {
  const Registries registries = read(R"(
[[registry]]
prefix = "example.com/foo"
location = "internal.example.com:5000/bar"
insecure = true
)");
  EXPECT_EQ(places(registries, {"example.com", "foo/image"}),
            "internal.example.com:5000/bar/image");
  EXPECT_EQ(places(registries, {"example.com", "food/image"}), "example.com/food/image");
  EXPECT_EQ(registries.connection_of({"internal.example.com:5000", "bar/image"}).insecure, true);
  EXPECT_EQ(registries.connection_of({"example.com", "foo/image"}).insecure, std::nullopt);
}

TEST(RegistriesConf, WildcardPrefixNeedsNoLocation) {
  const Registries registries = read(R"(
[[registry]]
prefix = "*.example.com"
insecure = true
blocked = true
[[registry]]
location = "good.example.com"
)");
  EXPECT_EQ(testing::code_of([&] {
              registries.check_allowed({"bad.example.com:5000", "a"});
            }),
            ErrorCode::denied);
  EXPECT_NO_THROW(registries.check_allowed({"good.example.com", "a"}));
  EXPECT_EQ(registries.connection_of({"bad.example.com", "a"}).insecure, true);
}

TEST(RegistriesConf, MirrorsCanBeForDigestsOrTags) {
  const Registries registries = read(R"(
[[registry]]
location = "a.io"
mirror-by-digest-only = true
[[registry.mirror]]
location = "m"
[[registry]]
location = "b.io"
[[registry.mirror]]
location = "d"
pull-from-mirror = "digest-only"
[[registry.mirror]]
location = "t"
pull-from-mirror = "tag-only"
[[registry.mirror]]
location = "e"
pull-from-mirror = "all"
)");
  EXPECT_EQ(places(registries, {"a.io", "x"}), "a.io/x");
  EXPECT_EQ(places(registries, {"a.io", "x"}, true), "m/x a.io/x");
  EXPECT_EQ(places(registries, {"b.io", "x"}), "t/x e/x b.io/x");
  EXPECT_EQ(places(registries, {"b.io", "x"}, true), "d/x e/x b.io/x");
}

TEST(RegistriesConf, TableOfALongerPrefixSaysAllOfItsImages) {
  const Registries registries = read(R"(
[[registry]]
location = "docker.io"
blocked = true
[[registry.mirror]]
location = "m"
[[registry]]
location = "docker.io/library"
)");
  EXPECT_NO_THROW(registries.check_allowed({"docker.io", "library/alpine"}));
  EXPECT_EQ(places(registries, {"docker.io", "library/alpine"}), "docker.io/library/alpine");
  EXPECT_THAT(testing::error_of([&] {
                registries.check_allowed({"docker.io", "a"});
              }).what(),
              HasSubstr("/etc/r.conf:2"));
}

TEST(RegistriesConf, RefusesWithFileAndLine) {
  EXPECT_THAT(refusal("[[registry]\n").what(), StartsWith("/etc/r.conf:1: malformed TOML: "));
  EXPECT_THAT(refusal("\n[[registry]]\nblocked = true\n").what(),
              StartsWith("/etc/r.conf:2: a registry needs a \"location\""));
  EXPECT_THAT(refusal("[[registry]]\nlocation = \"a\"\nblocked = \"yes\"\n").what(),
              StartsWith("/etc/r.conf:3: \"blocked\" must be a truth value"));
  EXPECT_THAT(refusal("[[registry]]\nlocation = \"https://a\"\n").what(),
              StartsWith("/etc/r.conf:2: \"https://a\" is not the name of a registry"));
  EXPECT_THAT(refusal("[[registry]]\nlocation = \"a\"\n[[registry.mirror]]\n").what(),
              StartsWith("/etc/r.conf:3: a mirror needs a \"location\""));
  EXPECT_THAT(refusal("[[registry]]\nlocation = \"a\"\n[[registry.mirror]]\nlocation = \"m\"\n"
                      "pull-from-mirror = \"some\"\n")
                  .what(),
              HasSubstr("must be all, digest-only or tag-only"));
  EXPECT_THAT(refusal("registry = 1\n").what(), HasSubstr("\"registry\" must be [[tables]]"));
  const base::Error old = refusal("[registries.search]\nregistries = ['docker.io']\n");
  EXPECT_THAT(old.what(), HasSubstr("version 1"));
  EXPECT_FALSE(old.hint().empty());
}

TEST(RegistriesConf, EmptyFileSaysNothing) {
  EXPECT_TRUE(parse_registries_conf("", "f").empty());
  EXPECT_TRUE(parse_registries_conf("short-name-mode = \"permissive\"\n", "f").empty());
}

}  // namespace
}  // namespace strake::registry
