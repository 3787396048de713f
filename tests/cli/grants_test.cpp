#include "builder/cli/grants.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <fstream>
#include <map>

#include "layers/base/error.h"
#include "layers/base/files.h"

namespace strake::cli {
namespace {

using testing::HasSubstr;
using testing::Not;

Environment environment(std::map<std::string, std::string> variables) {
  return [variables = std::move(variables)](const std::string& name) -> std::optional<std::string> {
    const auto found = variables.find(name);
    if (found == variables.end()) return std::nullopt;
    return found->second;
  };
}

builder::SecretSource secret(std::string_view text) {
  return parse_secret(text, environment({{"TOKEN", "hush"}, {"EMPTY", ""}}));
}

template <typename Act>
std::string failure_of(Act act) {
  try {
    act();
  } catch (const base::Error& error) {
    return std::string(error.what()) + " | " + error.hint();
  }
  return "no error";
}

std::string secret_failure(std::string_view text) {
  return failure_of([&] { secret(text); });
}

TEST(SecretOption, NamesAFile) {
  for (const char* text : {"id=k,src=/dir/f", "src=/dir/f,id=k", "id=k,source=/dir/f",
                           "type=file,id=k,src=/dir/f", "id=k,\"src=/dir/f\""}) {
    const builder::SecretSource parsed = secret(text);
    EXPECT_EQ(parsed.id, "k") << text;
    EXPECT_EQ(parsed.file, "/dir/f") << text;
    EXPECT_FALSE(parsed.value) << text;
  }
  EXPECT_EQ(secret("id=k,\"src=/a,b\"").file, "/a,b");
  EXPECT_EQ(secret("id=k,src=/a=b").file, "/a=b");
}

TEST(SecretOption, NamesAVariable) {
  for (const char* text :
       {"id=k,env=TOKEN", "type=env,id=k,src=TOKEN", "type=env,id=k,env=TOKEN"}) {
    EXPECT_EQ(secret(text).id, "k") << text;
    EXPECT_EQ(secret(text).value, "hush") << text;
  }
  EXPECT_EQ(secret("id=k,env=EMPTY").value, "");
}

TEST(SecretOption, WithoutASourceTheIdIsAVariableOrElseAFile) {
  EXPECT_EQ(secret("id=TOKEN").value, "hush");
  EXPECT_EQ(secret("type=env,id=TOKEN").value, "hush");
  const builder::SecretSource file = secret("id=token");
  EXPECT_FALSE(file.value);
  EXPECT_EQ(file.file, "token");
  EXPECT_FALSE(secret("type=file,id=TOKEN").value);
}

TEST(SecretOption, RefusesWhatNamesNothing) {
  EXPECT_THAT(secret_failure(""), Not(HasSubstr("no error")));
  EXPECT_THAT(secret_failure("src=f"), HasSubstr("no id"));
  EXPECT_THAT(secret_failure("id=,src=f"), HasSubstr("no id"));
  EXPECT_THAT(secret_failure("id"), HasSubstr("key=value"));
  EXPECT_THAT(secret_failure("id=k,scr=f"), HasSubstr("unknown field \"scr\""));
  EXPECT_THAT(secret_failure("id=k,type=pipe"), HasSubstr("neither"));
  EXPECT_THAT(secret_failure("id=k,src=f,env=TOKEN"), HasSubstr("both"));
  EXPECT_THAT(secret_failure("id=k,type=file,env=TOKEN"), HasSubstr("no env"));
  EXPECT_THAT(secret_failure("id=k,env=UNSET"), HasSubstr("UNSET, which is not set"));
  EXPECT_THAT(secret_failure("id=UNSET,type=env"), HasSubstr("UNSET, which is not set"));
}

class AgentOption : public testing::Test {
 protected:
  AgentOption() {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path_.copy(address.sun_path, sizeof address.sun_path - 1);
    EXPECT_EQ(::bind(socket_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  }
  builder::AgentSource parse(const std::string& text) const {
    return parse_agent(text, environment({{"SSH_AUTH_SOCK", path_}}));
  }
  std::string failure(const std::string& text) const {
    return failure_of([&] { parse(text); });
  }

  base::TempDirectory directory_{testing::TempDir(), "strake-agents-"};
  std::string path_ = (directory_.path() / "agent").native();
  base::FileDescriptor socket_{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
};

TEST_F(AgentOption, IsAnIdAndASocket) {
  EXPECT_EQ(parse("default").id, "default");
  EXPECT_EQ(parse("default").socket, path_);
  EXPECT_EQ(parse("").id, "default");
  EXPECT_EQ(parse("github").socket, path_);
  const builder::AgentSource given = parse_agent("github=" + path_, environment({}));
  EXPECT_EQ(given.id, "github");
  EXPECT_EQ(given.socket, path_);
}

TEST_F(AgentOption, RefusesWhatIsNoAgent) {
  EXPECT_THAT(failure_of([&] { parse_agent("default", environment({})); }),
              HasSubstr("SSH_AUTH_SOCK is not set"));
  EXPECT_THAT(failure("a=/nowhere/agent"), HasSubstr("no ssh agent at \"/nowhere/agent\""));
  const std::string key = (directory_.path() / "id_ed25519").native();
  std::ofstream(key) << "key";
  EXPECT_THAT(failure("a=" + key), HasSubstr("ssh-add " + key));
}

TEST(AllowOption, GrantsWhatItNames) {
  builder::Entitlements allow;
  add_entitlements("network.host", allow);
  EXPECT_FALSE(allow.insecure);
  add_entitlements("network.host,security.insecure", allow);
  EXPECT_TRUE(allow.insecure);
  EXPECT_THAT(failure_of([&] { add_entitlements("security", allow); }),
              HasSubstr("\"security\" is not known"));
}

}  // namespace
}  // namespace strake::cli
