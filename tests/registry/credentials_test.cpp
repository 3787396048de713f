#include "registry/credentials.h"

#include <pwd.h>
#include <sys/stat.h>

#include <cstdlib>
#include <fstream>
#include <sstream>

#include "layers/base/files.h"
#include "registry/base64.h"
#include "registry/credential_helper.h"
#include "tests/registry/expect_error.h"

namespace strake::registry {
namespace {

namespace fs = std::filesystem;
using base::ErrorCode;
using testing::code_of;
using ::testing::HasSubstr;

std::string entry(const std::string& host, const std::string& user, const std::string& password) {
  return "\"" + host + "\":{\"auth\":\"" + base64_encoded(user + ":" + password) + "\"}";
}

class CredentialsTest : public ::testing::Test {
 protected:
  CredentialsTest() {
    path_ = std::getenv("PATH") != nullptr ? std::getenv("PATH") : "";
    setenv("PATH", (directory_.path().string() + ":" + path_).c_str(), 1);
  }
  ~CredentialsTest() override { setenv("PATH", path_.c_str(), 1); }

  fs::path write(const std::string& name, const std::string& text, mode_t mode = 0600) {
    const fs::path path = directory_.path() / name;
    std::ofstream(path) << text;
    chmod(path.c_str(), mode);
    return path;
  }
  void helper(const std::string& name, const std::string& script) {
    write("docker-credential-" + name, "#!/bin/sh\n" + script + "\n", 0755);
  }
  std::string read(const std::string& name) {
    std::ostringstream text;
    text << std::ifstream(directory_.path() / name).rdbuf();
    return text.str();
  }
  Credentials with_file(const std::string& json) {
    return Credentials({.inline_config = "",
                        .files = {write("config.json", json)},
                        .login_file = directory_.path() / "config.json"});
  }

  base::TempDirectory directory_{fs::temp_directory_path(), "strake-credentials-"};
  std::string path_;
};

TEST_F(CredentialsTest, ComeFromTheFirstSourceThatHasThem) {
  Credentials credentials(
      {.inline_config = "{\"auths\":{" + entry("a", "inline", "password1") + "}}",
       .files = {directory_.path() / "absent.json",
                 write("one.json", "{\"auths\":{" + entry("a", "one", "password2") + "," +
                                       entry("b", "one", "password2") + "}}"),
                 write("two.json", "{\"auths\":{" + entry("b", "two", "password3") + "," +
                                       entry("c", "two", "password3") + "}}"),
                 write("empty.json", "")}});
  EXPECT_EQ(credentials.find({"a", "x"})->username, "inline");
  EXPECT_EQ(credentials.find({"b", "x"})->username, "one");
  EXPECT_EQ(credentials.find({"c", "x"})->username, "two");
  EXPECT_EQ(credentials.find({"d", "x"}), std::nullopt);
  credentials.set("a", {"explicit", "password4"});
  EXPECT_EQ(credentials.find({"a", "x"})->username, "explicit");
}

TEST_F(CredentialsTest, DockerHubIsFoundUnderItsOldName) {
  const Credentials credentials =
      with_file("{\"auths\":{" + entry("https://index.docker.io/v1/", "me", "password") + "}}");
  EXPECT_EQ(credentials.find({"docker.io", "library/alpine"})->username, "me");
}

TEST_F(CredentialsTest, HelperOfTheHostGoesBeforeTheStoreAndBeforeAuths) {
  helper(
      "host",
      R"(read server; echo "{\"ServerURL\":\"$server\",\"Username\":\"host:$server\",\"Secret\":\"secret\"}")");
  helper(
      "store",
      R"(read server; [ "$server" = b ] || { echo credentials not found in native keychain; exit 1; }
echo "{\"Username\":\"<token>\",\"Secret\":\"refresh\"}")");
  const Credentials credentials = with_file(
      "{\"auths\":{" + entry("a", "file", "password") + "," + entry("c", "file", "password") +
      "},\"credsStore\":\"store\",\"credHelpers\":{\"a\":\"host\"}}");
  EXPECT_EQ(*credentials.find({"a", "x"}), (Credential{"host:a", "secret"}));
  EXPECT_EQ(*credentials.find({"b", "x"}), (Credential{"<token>", "", "refresh"}));
  EXPECT_EQ(credentials.find({"c", "x"})->username, "file");
  EXPECT_EQ(credentials.find({"d", "x"}), std::nullopt);
}

TEST_F(CredentialsTest, HelperRunsOnceForARepository) {
  helper("count", "echo x >> " + (directory_.path() / "calls").string() +
                      R"(; echo '{"Username":"u","Secret":"secret"}')");
  const Credentials credentials = with_file(R"({"credsStore":"count"})");
  credentials.find({"a", "x"});
  credentials.find({"a", "x"});
  EXPECT_EQ(read("calls"), "x\n");
}

TEST_F(CredentialsTest, MissingStoreIsNotFatalButAMissingHelperOfTheHostIs) {
  const Credentials store = with_file("{\"credsStore\":\"strake-absent\",\"auths\":{" +
                                      entry("a", "file", "password") + "}}");
  EXPECT_EQ(store.find({"a", "x"})->username, "file");
  const Credentials host = with_file(R"({"credHelpers":{"a":"strake-absent"}})");
  EXPECT_EQ(code_of([&] { host.find({"a", "x"}); }), ErrorCode::not_found);
}

TEST_F(CredentialsTest, HelpersWithOddNamesAreNotRun) {
  for (const char* name : {"../evil", "a b", "A", "a/b", "$x"}) {
    EXPECT_EQ(code_of([&] { CredentialHelper{name}; }), ErrorCode::invalid_input) << name;
  }
}

TEST_F(CredentialsTest, HelpersThatMisbehaveAreErrors) {
  helper("hangs", "exec sleep 60");
  helper("floods", "while :; do echo 0123456789012345678901234567890123456789; done");
  helper("closes", "exec >&-; exec sleep 60");
  helper("garbage", "echo secret-in-garbage");
  helper("fails", "echo boom; exit 3");
  const auto begin = std::chrono::steady_clock::now();
  for (const char* name : {"hangs", "closes"}) {
    EXPECT_EQ(code_of([&] { CredentialHelper(name, std::chrono::milliseconds(200)).get("a"); }),
              ErrorCode::system)
        << name;
  }
  EXPECT_EQ(code_of([&] { CredentialHelper("floods").get("a"); }), ErrorCode::system);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(20));
  EXPECT_THAT(testing::error_of([] { CredentialHelper("garbage").get("a"); }).what(),
              ::testing::Not(HasSubstr("secret-in-garbage")));
  EXPECT_THAT(testing::error_of([] { CredentialHelper("fails").get("a"); }).what(),
              HasSubstr("boom"));
}

TEST_F(CredentialsTest, HelperThatDoesNotReadIsFine) {
  helper("deaf", R"(exec <&-; echo '{"Username":"u","Secret":"secret"}')");
  CredentialHelper("deaf").store("a", {"u", std::string(200'000, 'p')});
  EXPECT_EQ(CredentialHelper("deaf").get("a")->username, "u");
}

TEST_F(CredentialsTest, LoginKeepsWhatItDoesNotKnow) {
  const Credentials credentials =
      with_file(R"({"zeta":1,"auths":{"other":{"auth":"eDp5","email":"e"}},"alpha":{"b":[1,2]}})");
  EXPECT_THAT(credentials.store("docker.io", {"me", "password"}), HasSubstr("config.json"));
  const std::string text = read("config.json");
  EXPECT_THAT(text, HasSubstr("\"https://index.docker.io/v1/\""));
  EXPECT_THAT(text, HasSubstr(base64_encoded("me:password")));
  EXPECT_THAT(text, HasSubstr("\"email\": \"e\""));
  EXPECT_LT(text.find("zeta"), text.find("alpha"));
  struct stat status {};
  ASSERT_EQ(stat((directory_.path() / "config.json").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777, 0600u);

  EXPECT_TRUE(credentials.erase("docker.io"));
  EXPECT_FALSE(credentials.erase("docker.io"));
  EXPECT_THAT(read("config.json"), ::testing::Not(HasSubstr("index.docker.io")));
  EXPECT_THAT(read("config.json"), HasSubstr("\"email\": \"e\""));
}

TEST_F(CredentialsTest, LoginMakesTheFile) {
  const Credentials credentials({.login_file = directory_.path() / "new" / "config.json"});
  credentials.store("h:5000", {"me", "password"});
  EXPECT_THAT(read("new/config.json"), HasSubstr("\"h:5000\""));
}

TEST_F(CredentialsTest, LoginReplacesTheFileBehindASymlink) {
  const fs::path real = write("real.json", "{}");
  fs::create_symlink(real, directory_.path() / "link.json");
  Credentials({.login_file = directory_.path() / "link.json"}).store("h", {"me", "password"});
  EXPECT_TRUE(fs::is_symlink(directory_.path() / "link.json"));
  EXPECT_THAT(read("real.json"), HasSubstr("\"h\""));
}

TEST_F(CredentialsTest, LoginUsesTheHelper) {
  helper("keep", "cat > " + (directory_.path() / "said").string() + "; echo $1 >> " +
                     (directory_.path() / "said").string());
  const Credentials credentials = with_file(R"({"credsStore":"keep"})");
  EXPECT_EQ(credentials.store("h", {"me", "password"}), "docker-credential-keep");
  EXPECT_EQ(read("said"),
            "{\"Secret\":\"password\",\"ServerURL\":\"h\",\"Username\":\"me\"}store\n");
  EXPECT_THAT(read("config.json"), ::testing::Not(HasSubstr(base64_encoded("me:password"))));
  EXPECT_TRUE(credentials.erase("h"));
  EXPECT_EQ(read("said"), "herase\n");
}

TEST_F(CredentialsTest, MalformedFileIsNamed) {
  const Credentials credentials = with_file("{broken");
  EXPECT_THAT(testing::error_of([&] {
                credentials.find({"h", "x"});
              }).what(),
              HasSubstr("config.json"));
}

TEST_F(CredentialsTest, EnvironmentNamesTheFiles) {
  const char* names[] = {"DOCKER_AUTH_CONFIG", "DOCKER_CONFIG",   "REGISTRY_AUTH_FILE",
                         "XDG_RUNTIME_DIR",    "XDG_CONFIG_HOME", "HOME"};
  std::map<std::string, std::optional<std::string>> saved;
  for (const char* name : names) {
    const char* value = std::getenv(name);
    saved[name] = value != nullptr ? std::optional<std::string>(value) : std::nullopt;
    unsetenv(name);
  }
  const passwd* root = getpwuid(0);
  if (root != nullptr) {
    EXPECT_EQ(CredentialSources::from_environment(0).login_file,
              std::string(root->pw_dir) + "/.docker/config.json");
  }
  EXPECT_THAT(CredentialSources::from_environment(3'999'999'999).files, ::testing::IsEmpty());
  setenv("HOME", "/home/ana", 1);
  EXPECT_THAT(CredentialSources::from_environment(0).files,
              ::testing::ElementsAre("/home/ana/.docker/config.json",
                                     "/home/ana/.config/containers/auth.json"));
  setenv("DOCKER_CONFIG", "/dc", 1);
  setenv("DOCKER_AUTH_CONFIG", "{}", 1);
  setenv("REGISTRY_AUTH_FILE", "/raf.json", 1);
  setenv("XDG_RUNTIME_DIR", "/run/user/1", 1);
  setenv("XDG_CONFIG_HOME", "relative", 1);
  const CredentialSources sources = CredentialSources::from_environment(0);
  EXPECT_EQ(sources.inline_config, "{}");
  EXPECT_EQ(sources.login_file, "/dc/config.json");
  EXPECT_THAT(sources.files, ::testing::ElementsAre("/raf.json", "/dc/config.json",
                                                    "/run/user/1/containers/auth.json",
                                                    "/home/ana/.config/containers/auth.json"));
  for (const auto& [name, value] : saved) {
    if (value) {
      setenv(name.c_str(), value->c_str(), 1);
    } else {
      unsetenv(name.c_str());
    }
  }
}

}  // namespace
}  // namespace strake::registry
