#include "builder/cli/step_options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "layers/base/error.h"

namespace strake::cli {
namespace {

using builder::StepSettings;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

StepSettings settings(const std::vector<std::string>& words) {
  StepOptions steps;
  OptionSet options("build", "", "");
  steps.declare(options);
  options.parse(words);
  return steps.settings([](const std::string&) { return std::nullopt; });
}

std::string failure(const std::vector<std::string>& words) {
  try {
    settings(words);
  } catch (const base::Error& error) {
    return std::string(error.what()) + " | " + error.hint();
  }
  return "no error";
}

TEST(StepOptions, AreAsDockersWhenThereAreNone) {
  const StepSettings none = settings({});
  EXPECT_EQ(none.network, sandbox::Network::host);
  EXPECT_FALSE(none.resources.any());
  EXPECT_FALSE(none.capabilities.any());
  EXPECT_FALSE(none.timeout);
  EXPECT_FALSE(none.shm_size_bytes);
  EXPECT_THAT(none.cdi_devices, IsEmpty());
}

TEST(StepOptions, NameNetworks) {
  EXPECT_EQ(settings({"--network", "none"}).network, sandbox::Network::none);
  EXPECT_EQ(settings({"--network=default"}).network, sandbox::Network::host);
  EXPECT_EQ(settings({"--network=private"}).network, sandbox::Network::outward);
  EXPECT_THAT(failure({"--network", "bridge"}), HasSubstr("use default, host, private or none"));
}

TEST(StepOptions, LimitMemory) {
  EXPECT_EQ(settings({"-m", "512m"}).resources.memory_bytes, 512U << 20);
  EXPECT_EQ(settings({"--memory=1g"}).resources.memory_bytes, 1U << 30);
  EXPECT_EQ(settings({"--memory=6291456"}).resources.memory_bytes, 6291456U);
  EXPECT_EQ(settings({"--memory=0"}).resources.memory_bytes, std::nullopt);
  EXPECT_THAT(failure({"--memory=6291455"}), HasSubstr("too little"));
  EXPECT_THAT(failure({"--memory=much"}), HasSubstr("invalid size \"much\""));
}

TEST(StepOptions, LimitSwapWithMemoryOnly) {
  const auto swap = [](const std::string& value) {
    return settings({"-m", "8m", "--memory-swap", value}).resources.memory_and_swap_bytes;
  };
  EXPECT_EQ(swap("8m"), 8 << 20);
  EXPECT_EQ(swap("-1"), -1);
  EXPECT_EQ(swap("0"), std::nullopt);
  EXPECT_THAT(failure({"-m", "8m", "--memory-swap", "8388607"}), HasSubstr("less than --memory"));
  EXPECT_THAT(failure({"--memory-swap", "8m"}), HasSubstr("needs --memory"));
}

TEST(StepOptions, LimitProcessors) {
  const auto time = [](const std::string& cpus) {
    return settings({"--cpus", cpus}).resources.cpu_time;
  };
  EXPECT_EQ(time("1.5"), (sandbox::CpuTime{150'000, 100'000}));
  EXPECT_EQ(time("0.01"), (sandbox::CpuTime{1'000, 100'000}));
  for (const char* wrong : {"0", "0.009", "-1", "two", "1.5x", ""})
    EXPECT_THAT(failure({"--cpus", wrong}), HasSubstr("not a number of processors")) << wrong;
  EXPECT_EQ(settings({"--cpu-quota", "5000"}).resources.cpu_time,
            (sandbox::CpuTime{5'000, 100'000}));
  EXPECT_THAT(failure({"--cpu-quota", "999"}), HasSubstr("--cpu-quota"));
  EXPECT_THAT(failure({"--cpus", "1", "--cpu-quota", "5000"}), HasSubstr("give one of them"));
  EXPECT_THAT(failure({"--cpu-period", "5000"}), HasSubstr("needs --cpu-quota"));
  EXPECT_EQ(settings({"-c", "2"}).resources.cpu_shares, 2U);
  EXPECT_THAT(failure({"-c", "1"}), HasSubstr("--cpu-shares"));
  EXPECT_THAT(failure({"-c", "262145"}), HasSubstr("--cpu-shares"));
  EXPECT_EQ(settings({"--cpuset-cpus", "0-1,3"}).resources.cpus, "0-1,3");
  EXPECT_THAT(failure({"--cpuset-cpus", "a"}), HasSubstr("not a list of numbers"));
}

TEST(StepOptions, LimitProcesses) {
  EXPECT_EQ(settings({"--pids-limit", "1"}).resources.processes, 1U);
  EXPECT_EQ(settings({"--pids-limit", "-1"}).resources.processes, std::nullopt);
  EXPECT_EQ(settings({"--pids-limit", "0"}).resources.processes, std::nullopt);
  EXPECT_THAT(failure({"--pids-limit", "-2"}), HasSubstr("--pids-limit"));
}

TEST(StepOptions, HaveUlimits) {
  EXPECT_EQ(parse_ulimit("nofile=1024:2048"), (sandbox::Ulimit{"nofile", 1024, 2048}));
  EXPECT_EQ(parse_ulimit("nofile=1024"), (sandbox::Ulimit{"nofile", 1024, 1024}));
  EXPECT_EQ(parse_ulimit("core=-1"), (sandbox::Ulimit{"core", -1, -1}));
  EXPECT_EQ(parse_ulimit("core=5:-1"), (sandbox::Ulimit{"core", 5, -1}));
  EXPECT_EQ(parse_ulimit("core=5:5"), (sandbox::Ulimit{"core", 5, 5}));
  EXPECT_THAT(failure({"--ulimit", "core=6:5"}), HasSubstr("soft limit is above"));
  EXPECT_THAT(failure({"--ulimit", "core=-1:5"}), HasSubstr("soft limit is above"));
  EXPECT_THAT(failure({"--ulimit", "core=-2"}), HasSubstr("not a number"));
  EXPECT_THAT(failure({"--ulimit", "core"}), HasSubstr("NAME=SOFT[:HARD]"));
  EXPECT_THAT(failure({"--ulimit", "nofiles=3"}), HasSubstr("write nofile"));
}

TEST(StepOptions, HaveATimeLimit) {
  EXPECT_EQ(settings({"--step-timeout", "90s"}).timeout, std::chrono::seconds(90));
  EXPECT_EQ(settings({"--step-timeout", "2m30s"}).timeout, std::chrono::seconds(150));
  EXPECT_EQ(settings({"--step-timeout", "1us"}).timeout, std::chrono::milliseconds(1));
  EXPECT_EQ(settings({"--step-timeout", "0"}).timeout, std::nullopt);
  EXPECT_THAT(failure({"--step-timeout", "-1s"}), HasSubstr("negative"));
  EXPECT_THAT(failure({"--step-timeout", "90"}), HasSubstr("invalid duration"));
}

TEST(StepOptions, ChangeCapabilities) {
  const sandbox::CapabilitySet all = sandbox::all_capabilities();
  EXPECT_EQ(parse_capabilities({"SYS_PTRACE", "cap_syslog"}, {}).add,
            (sandbox::CapabilitySet{1} << 19) | (sandbox::CapabilitySet{1} << 34));
  EXPECT_EQ(parse_capabilities({"CHOWN"}, {"all"}),
            (sandbox::CapabilityChanges{.add = 1, .drop = all}));
  EXPECT_EQ(parse_capabilities({"ALL"}, {"CHOWN"}).of(0), all & ~sandbox::CapabilitySet{1});
  EXPECT_THAT(failure({"--cap-add", "SYS_ADMN"}), HasSubstr("did you mean SYS_ADMIN?"));
}

TEST(StepOptions, HaveDockersSecurityOptions) {
  EXPECT_TRUE(settings({"--security-opt", "no-new-privileges"}).no_new_privileges);
  EXPECT_TRUE(settings({"--security-opt", "no-new-privileges:true"}).no_new_privileges);
  EXPECT_FALSE(settings({"--security-opt", "no-new-privileges=false"}).no_new_privileges);
  EXPECT_TRUE(settings({"--security-opt", "seccomp=unconfined"}).all_system_calls);
  EXPECT_FALSE(settings({"--security-opt", "label=disable"}).all_system_calls);
  EXPECT_THAT(failure({"--security-opt", "seccomp=/profile.json"}), HasSubstr("one profile"));
  EXPECT_THAT(failure({"--security-opt", "label=type:x"}), HasSubstr("strake's own label"));
  EXPECT_THAT(failure({"--security-opt", "apparmor=mine"}), HasSubstr("profile"));
  EXPECT_THAT(failure({"--security-opt", "x=y"}), HasSubstr("is not known"));
}

TEST(StepOptions, NameDevices) {
  using builder::HostDevice;
  EXPECT_THAT(settings({"--device", "/dev/fuse"}).devices,
              ElementsAre(HostDevice{"/dev/fuse", "/dev/fuse"}));
  EXPECT_THAT(settings({"--device", "/dev/fuse:/dev/f"}).devices,
              ElementsAre(HostDevice{"/dev/fuse", "/dev/f"}));
  EXPECT_THAT(settings({"--device", "/dev/fuse:/dev/f:rwm"}).devices,
              ElementsAre(HostDevice{"/dev/fuse", "/dev/f"}));
  EXPECT_THAT(settings({"--device", "/dev/fuse:rw"}).devices,
              ElementsAre(HostDevice{"/dev/fuse", "/dev/fuse"}));
  EXPECT_THAT(settings({"--device", "a.com/gpu=0"}).cdi_devices, ElementsAre("a.com/gpu=0"));
  EXPECT_THAT(failure({"--device", "/dev/fuse:r"}), HasSubstr("reading or writing only"));
  EXPECT_THAT(failure({"--device", "fuse"}), HasSubstr("is not of the form"));
  EXPECT_THAT(failure({"--device", "/dev/a:b"}), HasSubstr("is not of the form"));
}

TEST(StepOptions, NameGpus) {
  EXPECT_THAT(parse_gpus("all"), ElementsAre("nvidia.com/gpu=all"));
  EXPECT_THAT(parse_gpus("2"), ElementsAre("nvidia.com/gpu=0", "nvidia.com/gpu=1"));
  EXPECT_THAT(parse_gpus("device=1,3"), ElementsAre("nvidia.com/gpu=1", "nvidia.com/gpu=3"));
  EXPECT_THAT(parse_gpus("\"device=1,3\""), ElementsAre("nvidia.com/gpu=1", "nvidia.com/gpu=3"));
  EXPECT_THAT(parse_gpus("device=GPU-3a"), ElementsAre("nvidia.com/gpu=GPU-3a"));
  EXPECT_THAT(parse_gpus("count=all"), ElementsAre("nvidia.com/gpu=all"));
  for (const char* wrong : {"", "none", "0", "driver=amd"})
    EXPECT_THAT(failure({"--gpus", wrong}), HasSubstr("--gpus")) << wrong;
}

TEST(StepOptions, NameHostsAndServers) {
  const StepSettings given =
      settings({"--add-host", "db:10.0.0.1", "--hostname", "box", "--dns", "192.0.2.1", "--dns",
                "2001:db8::1", "--dns-search", "a.b", "--dns-opt", "ndots:2"});
  EXPECT_THAT(given.add_hosts, ElementsAre(testing::Pair("db", "10.0.0.1")));
  EXPECT_EQ(given.hostname, "box");
  EXPECT_THAT(given.resolver.servers, ElementsAre("192.0.2.1", "2001:db8::1"));
  EXPECT_THAT(given.resolver.search, ElementsAre("a.b"));
  EXPECT_THAT(given.resolver.options, ElementsAre("ndots:2"));
  EXPECT_THAT(failure({"--dns", "server"}), HasSubstr("not an IP address"));
  EXPECT_THAT(failure({"--dns-search", "a\nnameserver x"}), HasSubstr("not one word"));
  EXPECT_EQ(settings({"--hostname", std::string(64, 'a')}).hostname.size(), 64U);
  EXPECT_THAT(failure({"--hostname", std::string(65, 'a')}), HasSubstr("not a host name"));
  EXPECT_THAT(failure({"--hostname", "a b"}), HasSubstr("not a host name"));
}

}  // namespace
}  // namespace strake::cli
