#include "builder/exec/image_run.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "layers/base/error.h"

namespace strake::builder {
namespace {

using Words = std::vector<std::string>;

oci::RunConfig image() {
  oci::RunConfig config;
  config.entrypoint = Words{"/app"};
  config.cmd = Words{"serve"};
  config.env = {"COLOUR=red", "PATH=/app/bin"};
  return config;
}

bool has(const Words& env, const std::string& variable) {
  return std::count(env.begin(), env.end(), variable) == 1;
}

TEST(CommandOf, IsEntrypointAndCmd) {
  EXPECT_EQ(command_of(image(), {}), (Words{"/app", "serve"}));
}

TEST(CommandOf, TakesArgumentsInPlaceOfCmd) {
  ImageRunRequest request;
  request.arguments = {"check", "-v"};
  EXPECT_EQ(command_of(image(), request), (Words{"/app", "check", "-v"}));
}

TEST(CommandOf, LeavesCmdOutWithAnotherEntrypoint) {
  ImageRunRequest request;
  request.entrypoint = Words{"/bin/sh"};
  EXPECT_EQ(command_of(image(), request), Words{"/bin/sh"});
  request.entrypoint = Words{};
  request.arguments = {"ls"};
  EXPECT_EQ(command_of(image(), request), Words{"ls"});
}

TEST(CommandOf, RefusesToRunNothing) {
  EXPECT_THROW(command_of({}, {}), base::Error);
  ImageRunRequest request;
  request.entrypoint = Words{};
  EXPECT_THROW(command_of(image(), request), base::Error);
}

TEST(EnvironmentOf, PutsTheRequestOverTheImageOverTheDefaults) {
  ImageRunRequest request;
  request.env = {"COLOUR=blue", "SIZE=big"};
  const Words env = environment_of(image(), request);
  EXPECT_TRUE(has(env, "COLOUR=blue"));
  EXPECT_TRUE(has(env, "PATH=/app/bin"));
  EXPECT_TRUE(has(env, "SIZE=big"));
  EXPECT_TRUE(has(env, "HOSTNAME=strake"));
  EXPECT_EQ(env.size(), 4U);
}

TEST(EnvironmentOf, TakesAwayAVariableWithoutAValue) {
  ImageRunRequest request;
  request.env = {"COLOUR"};
  for (const std::string& variable : environment_of(image(), request))
    EXPECT_FALSE(variable.starts_with("COLOUR")) << variable;
}

TEST(EnvironmentOf, NamesTheTerminalIfThereIsOne) {
  ImageRunRequest request;
  EXPECT_FALSE(has(environment_of(image(), request), "TERM=xterm"));
  request.interaction.terminal = true;
  EXPECT_TRUE(has(environment_of(image(), request), "TERM=xterm"));
}

}  // namespace
}  // namespace strake::builder
