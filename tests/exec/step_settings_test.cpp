#include "builder/exec/step_settings.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "layers/base/files.h"

namespace strake::builder {
namespace {

using base::ErrorCode;
using testing::HasSubstr;

bool counts(const StepSettings& settings) {
  cache::KeyBuilder key("run/1");
  add_fields(settings, key);
  return !key.fields().empty();
}

TEST(StepSettings, AreInAKeyWhenTheyCanChangeAResult) {
  EXPECT_FALSE(counts({}));
  EXPECT_TRUE(counts({.add_hosts = {{"db", "10.0.0.1"}}}));
  EXPECT_TRUE(counts({.hostname = "box"}));
  EXPECT_TRUE(counts({.ulimits = {{"nofile", 1, 2}}}));
  EXPECT_TRUE(counts({.shm_size_bytes = 1 << 20}));
  EXPECT_TRUE(counts({.capabilities = {.add = 1}}));
  EXPECT_TRUE(counts({.capabilities = {.drop = 1}}));
  EXPECT_TRUE(counts({.no_new_privileges = true}));
  EXPECT_TRUE(counts({.all_system_calls = true}));
  EXPECT_TRUE(counts({.devices = {{"/dev/a", "/dev/b"}}}));
}

TEST(StepSettings, AreInNoKeyWhenTheyOnlyDecideWhetherItSucceeds) {
  StepSettings settings;
  settings.resources.memory_bytes = 1 << 30;
  settings.resources.cpu_time = sandbox::CpuTime{1000, 1000};
  settings.resources.processes = 5;
  settings.timeout = std::chrono::seconds(1);
  settings.resolver.servers = {"192.0.2.1"};
  EXPECT_FALSE(counts(settings));
}

TEST(StepSettings, GoIntoTheSpecOfACommand) {
  StepSettings settings;
  settings.network = sandbox::Network::outward;
  settings.hostname = "box";
  settings.timeout = std::chrono::seconds(2);
  settings.capabilities.drop = 1;
  sandbox::Spec spec;
  apply(settings, spec);
  EXPECT_EQ(spec.network, sandbox::Network::outward);
  EXPECT_EQ(spec.hostname, "box");
  EXPECT_EQ(spec.timeout, std::chrono::seconds(2));
  EXPECT_EQ(spec.capabilities.drop, 1U);
  EXPECT_EQ(spec.shm_size_bytes, sandbox::Spec{}.shm_size_bytes);
}

std::string told(const sandbox::ExitStatus& status, const StepSettings& settings) {
  const base::Error error = failure(status, settings);
  EXPECT_EQ(error.code(), ErrorCode::step_failed);
  std::string text = error.what();
  for (const std::string& note : error.notes()) text += " | " + note;
  return text + " | " + error.hint();
}

TEST(StepSettings, AreNamedWhenACommandMeetsThem) {
  StepSettings settings;
  settings.resources.memory_bytes = 64 << 20;
  settings.resources.processes = 9;
  settings.timeout = std::chrono::milliseconds(150'500);
  EXPECT_EQ(told({.code = 137, .oom_killed = true}, settings),
            "the command was killed for lack of memory (exit code 137) | its limit is 64m "
            "(--memory) | raise it with --memory");
  EXPECT_EQ(told({.code = 124, .timed_out = true}, settings),
            "the command took longer than 2m30.5s and was stopped | give steps more time with "
            "--step-timeout");
  EXPECT_THAT(told({.code = 2, .processes_exhausted = true}, settings),
              HasSubstr("its limit is 9 (--pids-limit) | raise it with --pids-limit"));
  EXPECT_THAT(told({.code = 137, .oom_killed = true}, {}),
              HasSubstr("the machine ran out of memory"));
  EXPECT_EQ(told({.code = 3}, settings), "the command failed with exit code 3 | ");
}

TEST(StepSettings, GiveDevicesOfTheMachine) {
  sandbox::Spec spec;
  const auto files = add_host_devices({.devices = {{"/dev/null", "/dev/nothing"}}}, spec);
  ASSERT_EQ(spec.mounts.size(), 1U);
  const auto& node = std::get<sandbox::DeviceNode>(spec.mounts.front());
  EXPECT_EQ(node.target, "/dev/nothing");
  EXPECT_EQ(node.source_fd, files.front().get());
}

TEST(StepSettings, RefuseWhatIsNoDevice) {
  const auto refusal = [](const std::string& path) -> std::string {
    sandbox::Spec spec;
    try {
      static_cast<void>(add_host_devices({.devices = {{path, path}}}, spec));
    } catch (const base::Error& error) {
      return error.what();
    }
    return "no error";
  };
  EXPECT_EQ(refusal("/etc/passwd"), "\"/etc/passwd\" is not a device");
  EXPECT_EQ(refusal("/dev/strake-none"), "there is no device \"/dev/strake-none\"");
  const base::TempDirectory empty(std::filesystem::temp_directory_path(), "devices-");
  EXPECT_THAT(refusal(empty.path()), HasSubstr("there is no device in the directory"));
}

}  // namespace
}  // namespace strake::builder
