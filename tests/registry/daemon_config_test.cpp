#include "registry/daemon_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/registry/expect_error.h"

namespace strake::registry {
namespace {

using base::ErrorCode;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

Registries read(const char* text) {
  Registries registries;
  registries.add(parse_daemon_config(text, "/etc/docker/daemon.json"));
  return registries;
}

std::string refusal(const char* text) {
  const base::Error error =
      testing::error_of([&] { parse_daemon_config(text, "/etc/docker/daemon.json"); });
  EXPECT_EQ(error.code(), ErrorCode::invalid_input) << text;
  return error.what();
}

TEST(DaemonConfig, MirrorsAreOfDockerHubAlone) {
  const Registries registries =
      read(R"({"registry-mirrors": ["https://one.example.com/", "http://two.example.com:5000"]})");
  EXPECT_THAT(registries.places_of({"docker.io", "library/alpine"}, false),
              ElementsAre(oci::Repository{"one.example.com", "library/alpine"},
                          oci::Repository{"two.example.com:5000", "library/alpine"},
                          oci::Repository{"docker.io", "library/alpine"}));
  EXPECT_EQ(registries.places_of({"quay.io", "a"}, false).size(), 1U);
  EXPECT_EQ(registries.connection_of({"one.example.com", "a"}).http, false);
  EXPECT_EQ(registries.connection_of({"two.example.com:5000", "a"}).http, true);
}

TEST(DaemonConfig, InsecureRegistriesAreHostsAndNetworks) {
  const Registries registries =
      read(R"({"insecure-registries": ["reg.local:5000", "10.0.0.0/8"], "debug": true})");
  EXPECT_EQ(registries.connection_of({"reg.local:5000", "a"}).insecure, true);
  EXPECT_EQ(registries.connection_of({"10.3.4.5", "a"}).insecure, true);
  EXPECT_EQ(registries.connection_of({"reg.local", "a"}).insecure, std::nullopt);
}

TEST(DaemonConfig, SaysNothingWhenItIsEmpty) {
  for (const char* text : {"", " \n", "{}", R"({"registry-mirrors": null})",
                           R"({"registry-mirrors": [], "insecure-registries": []})"}) {
    EXPECT_TRUE(parse_daemon_config(text, "f").empty()) << text;
  }
}

TEST(DaemonConfig, RefusesWithFileAndPlace) {
  EXPECT_THAT(refusal("{\n\"registry-mirrors\": [,]\n}"),
              StartsWith("/etc/docker/daemon.json:2: malformed JSON"));
  EXPECT_THAT(refusal("[]"), HasSubstr("not a JSON object"));
  EXPECT_THAT(refusal(R"({"registry-mirrors": "https://m"})"),
              StartsWith("/etc/docker/daemon.json: \"registry-mirrors\": it must be a list"));
  for (const char* text :
       {R"({"registry-mirrors": ["m.example.com"]})", R"({"registry-mirrors": ["https://m/path"]})",
        R"({"registry-mirrors": ["https://user:secret@m"]})",
        R"({"registry-mirrors": ["ftp://m"]})"}) {
    const std::string message = refusal(text);
    EXPECT_THAT(message, HasSubstr("is no URL of a mirror"));
    EXPECT_THAT(message, Not(HasSubstr("secret")));
  }
  EXPECT_THAT(refusal(R"({"insecure-registries": ["http://reg.local"]})"),
              HasSubstr("\"insecure-registries\""));
}

}  // namespace
}  // namespace strake::registry
