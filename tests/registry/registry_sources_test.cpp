#include "registry/registry_sources.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "layers/base/files.h"
#include "layers/base/log.h"
#include "registry/certificates.h"
#include "tests/registry/expect_error.h"

namespace strake::registry {
namespace {

using base::ErrorCode;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
namespace fs = std::filesystem;

class RegistrySources : public ::testing::Test {
 protected:
  void write(const fs::path& file, const std::string& text) {
    fs::create_directories((root_.path() / file).parent_path());
    base::write_file_atomically(root_.path() / file, text);
  }
  fs::path path(const char* file) const { return root_.path() / file; }
  void set(const char* name, const fs::path& value) { variables_[name] = value; }
  Variables variables() {
    return [this](const std::string& name) -> std::optional<std::string> {
      const auto found = variables_.find(name);
      return found == variables_.end() ? std::nullopt : std::optional(found->second);
    };
  }
  Registries load() {
    Registries registries;
    add_system_sources(registries, variables(), path("etc"));
    return registries;
  }
  std::string first_place() { return load().places_of({"docker.io", "x"}, false)[0].str(); }
  static std::string mirror(const std::string& name) {
    return "[[registry]]\nlocation = \"docker.io\"\n[[registry.mirror]]\nlocation = \"" + name +
           "\"\n";
  }

  const base::TempDirectory root_{"/tmp", "strake-sources-"};
  std::map<std::string, std::string> variables_;
};

TEST_F(RegistrySources, AbsentFilesSayNothing) {
  EXPECT_EQ(first_place(), "docker.io/x");
}

TEST_F(RegistrySources, DropInsReplaceTablesOfTheMainFile) {
  write("etc/containers/registries.conf", mirror("main"));
  EXPECT_EQ(first_place(), "main/x");
  write("etc/containers/registries.conf.d/10-a.conf", mirror("ten"));
  write("etc/containers/registries.conf.d/20-b.conf", mirror("twenty"));
  write("etc/containers/registries.conf.d/30-c.conf.bak", mirror("thirty"));
  EXPECT_EQ(first_place(), "twenty/x");
  set("HOME", path("home"));
  write("home/.config/containers/registries.conf.d/00.conf", mirror("users"));
  EXPECT_EQ(first_place(), "users/x");
}

TEST_F(RegistrySources, UsersFileTakesThePlaceOfTheSystems) {
  set("HOME", path("home"));
  write("etc/containers/registries.conf", mirror("system"));
  write("etc/containers/registries.conf.d/10.conf", mirror("drop-in"));
  write("home/.config/containers/registries.conf", mirror("user"));
  EXPECT_EQ(first_place(), "user/x");
  set("XDG_CONFIG_HOME", path("xdg"));
  EXPECT_EQ(first_place(), "drop-in/x");
}

TEST_F(RegistrySources, VariablesNameOtherFiles) {
  set("HOME", path("home"));
  write("home/.config/containers/registries.conf", mirror("user"));
  write("mine.conf", mirror("mine"));
  set("CONTAINERS_REGISTRIES_CONF", path("mine.conf"));
  EXPECT_EQ(first_place(), "mine/x");
  write("etc/containers/registries.conf.d/10.conf", mirror("drop-in"));
  EXPECT_EQ(first_place(), "drop-in/x");
  set("CONTAINERS_REGISTRIES_CONF_DIR", path("none"));
  EXPECT_EQ(first_place(), "mine/x");
}

TEST_F(RegistrySources, RegistriesConfGoesBeforeDaemonJson) {
  set("HOME", path("home"));
  write("etc/docker/daemon.json", R"({"registry-mirrors": ["http://system:5000"]})");
  EXPECT_EQ(first_place(), "system:5000/x");
  write("home/.config/docker/daemon.json", R"({"registry-mirrors": ["http://users:5000"]})");
  EXPECT_EQ(first_place(), "users:5000/x");
  write("etc/containers/registries.conf", "[[registry]]\nlocation = \"docker.io\"\n");
  EXPECT_EQ(first_place(), "users:5000/x");
  write("etc/containers/registries.conf", mirror("containers"));
  EXPECT_EQ(first_place(), "containers/x");
}

TEST_F(RegistrySources, MalformedFilesAreWarnedOfAndLeftOut) {
  std::string log;
  base::set_log_sink([](base::LogLevel, std::string_view line,
                        void* to) { *static_cast<std::string*>(to) += std::string(line) + "\n"; },
                     &log);
  write("etc/containers/registries.conf", "[[registry\n");
  write("etc/docker/daemon.json", R"({"registry-mirrors": ["http://system:5000"]})");
  EXPECT_EQ(first_place(), "system:5000/x");
  base::set_log_sink(nullptr, nullptr);
  EXPECT_THAT(log, HasSubstr(path("etc/containers/registries.conf").string() + ":1: malformed"));
}

TEST_F(RegistrySources, CertificatesAreLookedForInBothToolsDirectories) {
  set("HOME", path("home"));
  EXPECT_THAT(certificate_directories(variables(), "/etc"),
              ElementsAre("/etc/docker/certs.d", "/etc/containers/certs.d",
                          path("home/.config/docker/certs.d").string(),
                          path("home/.config/containers/certs.d").string()));
}

TEST_F(RegistrySources, EveryCertificateOfAHostIsFound) {
  const std::vector<std::string> directories{path("a"), path("b")};
  EXPECT_EQ(find_certificates("reg:5000", directories), Certificates{});
  write("a/reg:5000/two.crt", "");
  write("a/reg:5000/one.crt", "");
  write("a/other/ca.crt", "");
  write("b/reg:5000/three.crt", "");
  write("b/reg:5000/client.cert", "");
  write("b/reg:5000/client.key", "");
  EXPECT_EQ(find_certificates("reg:5000", directories),
            (Certificates{{path("a/reg:5000/one.crt"), path("a/reg:5000/two.crt"),
                           path("b/reg:5000/three.crt")},
                          path("b/reg:5000/client.cert"),
                          path("b/reg:5000/client.key")}));
}

TEST_F(RegistrySources, ClientCertificateWithoutKeyIsAnError) {
  write("a/reg/ca.cert", "");
  const std::vector<std::string> directories{path("a")};
  const base::Error error = testing::error_of([&] { find_certificates("reg", directories); });
  EXPECT_EQ(error.code(), ErrorCode::invalid_input);
  EXPECT_THAT(error.what(), HasSubstr("has no key"));
  EXPECT_THAT(error.hint(), HasSubstr("name a CA certificate *.crt"));
}

TEST_F(RegistrySources, SeveralCasBecomeOneFile) {
  const std::string one = "-----BEGIN CERTIFICATE-----\none\n",
                    two = "-----BEGIN CERTIFICATE-----\ntwo";
  write("one.crt", one);
  write("two.crt", two);
  write("none.crt", "hello");
  const std::vector<std::string> both{path("one.crt"), path("two.crt")};
  const CaBundle bundle(both);
  EXPECT_EQ(base::read_file(bundle.path()), one + "\n" + two + "\n");
  EXPECT_EQ(CaBundle({both.data(), 1}).path(), both[0]);
  EXPECT_EQ(CaBundle().path(), "");
  for (const char* file : {"none.crt", "absent.crt"}) {
    const std::vector<std::string> files{path(file)};
    EXPECT_EQ(testing::code_of([&] { CaBundle{files}; }), ErrorCode::invalid_input) << file;
  }
}

}  // namespace
}  // namespace strake::registry
