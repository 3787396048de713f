#include "builder/cli/step_options.h"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

#include "builder/cli/grants.h"
#include "builder/cli/output_spec.h"
#include "builder/dockerfile/duration.h"
#include "builder/dockerfile/run_mount.h"
#include "layers/base/error.h"
#include "layers/base/log.h"

namespace strake::cli {
namespace {

using base::Error;
using base::ErrorCode;
using builder::StepSettings;
using sandbox::CapabilitySet;

constexpr std::uint64_t kLeastMemory = 6 << 20;  // docker's: nothing runs in less
constexpr std::uint64_t kCpuPeriod = 100'000;
constexpr long kMost = 1'000'000'000;

Error invalid(std::string message) {
  return Error(ErrorCode::invalid_input, std::move(message));
}

/// A wrong value of an option, in the words of what parses it.
template <typename Parse>
auto value_of(std::string_view option, const Parse& parse) {
  try {
    return parse();
  } catch (Error& error) {
    error.add_context("reading " + std::string(option));
    throw;
  }
}

std::uint64_t size_of(std::string_view option, const std::string& text) {
  return value_of(option, [&] { return dockerfile::parse_size(text); });
}

sandbox::Network parse_network(const std::string& word) {
  if (word == "none") return sandbox::Network::none;
  if (word == "default" || word == "host") return sandbox::Network::host;
  if (word == "private" || word == "pasta" || word == "slirp4netns")
    return sandbox::Network::outward;
  throw invalid("network " + base::quoted(word) + " is not supported")
      .hint("use default, host, private or none");
}

/// "NAME:ADDRESS" or "NAME=ADDRESS"; an IPv6 address may stand in brackets.
std::pair<std::string, std::string> parse_host(const std::string& text) {
  const std::size_t split = text.find_first_of(":=");
  std::string address = split == std::string::npos ? "" : text.substr(split + 1);
  if (address.size() > 2 && address.starts_with('[') && address.ends_with(']'))
    address = address.substr(1, address.size() - 2);
  if (split == std::string::npos || split == 0 || address.empty())
    throw invalid("host " + base::quoted(text) + " is not of the form NAME:ADDRESS");
  if (address == "host-gateway")
    throw invalid("address \"host-gateway\" is not supported: there is no bridge network")
        .hint("RUN uses the host's network: name the address itself");
  if (text.find_first_of(" \t\n") != std::string::npos)
    throw invalid("host " + base::quoted(text) + " must not have white space");
  return {text.substr(0, split), address};
}

void check_address(const std::string& text) {
  std::array<unsigned char, sizeof(in6_addr)> address{};
  const std::string plain = text.substr(0, text.find('%'));  // "fe80::1%eth0"
  if (::inet_pton(AF_INET, text.c_str(), address.data()) != 1 &&
      ::inet_pton(AF_INET6, plain.c_str(), address.data()) != 1)
    throw invalid("--dns " + base::quoted(text) + " is not an IP address");
}

/// Words of /etc/resolv.conf: they must not end the line.
void check_words(std::string_view option, const std::vector<std::string>& words) {
  for (const std::string& word : words)
    if (word.empty() || word.find_first_of(" \t\r\n") != std::string::npos)
      throw invalid(std::string(option) + " " + base::quoted(word) + " is not one word");
}

void check_hostname(const std::string& name) {
  constexpr std::string_view kLetters =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.";
  const bool valid = !name.empty() && name.size() <= 64 && name.front() != '-' &&
                     name.find_first_not_of(kLetters) == std::string::npos;
  if (!valid)
    throw invalid("--hostname " + base::quoted(name) + " is not a host name")
        .hint("use at most 64 letters, digits, dots and hyphens");
}

sandbox::CpuTime parse_cpus(const std::string& text) {
  double cpus = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, cpus, std::chars_format::fixed);
  if (error != std::errc() || stop != end || !(cpus >= 0.01) || cpus > 1'000'000)
    throw invalid("--cpus " + base::quoted(text) + " is not a number of processors")
        .hint("write a number of at least 0.01, as in --cpus 1.5");
  return {.quota_us = static_cast<std::uint64_t>(std::llround(cpus * kCpuPeriod)),
          .period_us = kCpuPeriod};
}

/// "0-3,8": what the kernel takes as a list.
void check_list(std::string_view option, const std::string& text) {
  if (text.empty() || text.find_first_not_of("0123456789,-") != std::string::npos)
    throw invalid(std::string(option) + " " + base::quoted(text) + " is not a list of numbers")
        .hint("write it as in \"0-2,4\"");
}

CapabilitySet capability_set(std::string_view option, const std::vector<std::string>& names,
                             bool& all) {
  CapabilitySet set = 0;
  for (const std::string& name : names) {
    std::string upper = name;
    std::ranges::transform(upper, upper.begin(), [](char c) {
      return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
    });
    if (upper == "ALL" || upper == "CAP_ALL") {
      all = true;
      continue;
    }
    const auto number = sandbox::capability_number(upper);
    if (!number) {
      Error error =
          invalid(std::string(option) + " " + base::quoted(name) + " is not a capability");
      std::vector<std::string> known;
      for (int i = 0; (sandbox::all_capabilities() >> i) != 0; ++i)
        known.push_back(sandbox::capability_name(i).substr(4));
      const std::string near =
          base::nearest(upper.starts_with("CAP_") ? upper.substr(4) : upper, known);
      if (!near.empty()) error.set_hint("did you mean " + near + "?");
      throw error;
    }
    set |= CapabilitySet{1} << *number;
  }
  return set;
}

/// Docker's "KEY=VALUE", of old also "KEY:VALUE".
void add_security_option(const std::string& text, StepSettings& settings) {
  const std::size_t split = text.find_first_of("=:");
  const std::string key = text.substr(0, split);
  const std::string value = split == std::string::npos ? "" : text.substr(split + 1);
  const auto refused = [&](const std::string& why) {
    return Error(ErrorCode::unsupported, "--security-opt " + base::quoted(text) + ": " + why);
  };
  if (key == "no-new-privileges") {
    if (!value.empty() && value != "true" && value != "false")
      throw invalid("--security-opt " + base::quoted(text) +
                    ": the value is neither true nor false");
    settings.no_new_privileges = value != "false";
  } else if (key == "seccomp") {
    if (value == "unconfined")
      settings.all_system_calls = true;
    else if (value == "builtin")
      settings.all_system_calls = false;
    else
      throw refused("the sandbox has one profile of its own")
          .hint("use seccomp=unconfined to have none");
  } else if ((key == "label" && value == "disable") ||
             (key == "apparmor" && value == "unconfined")) {
    base::log_debug("--security-opt " + text +
                    " changes nothing: steps have no label or profile "
                    "but strake's own");
  } else if (key == "label" || key == "apparmor") {
    throw refused("steps run under strake's own label and profile");
  } else if (key == "systempaths") {
    throw refused("/proc and /sys are hidden in part").hint("use RUN --security=insecure");
  } else {
    throw invalid("--security-opt " + base::quoted(text) + " is not known")
        .hint("use no-new-privileges, seccomp=unconfined or label=disable");
  }
}

bool is_cdi_name(const std::string& text) {
  return !text.starts_with('/') && text.find('/') != std::string::npos &&
         text.find('=') != std::string::npos;
}

/// "SOURCE[:TARGET][:PERMISSIONS]", or the name of a CDI device.
void add_device(const std::string& text, StepSettings& settings) {
  if (is_cdi_name(text)) {
    settings.cdi_devices.push_back(text);
    return;
  }
  std::vector<std::string> parts;
  for (std::size_t begin = 0; begin <= text.size();) {
    const std::size_t end = std::min(text.find(':', begin), text.size());
    parts.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  const auto is_permissions = [](const std::string& word) {
    return !word.empty() && word.find_first_not_of("rwm") == std::string::npos;
  };
  std::string permissions = "rwm";
  if (parts.size() > 1 && is_permissions(parts.back())) {
    permissions = parts.back();
    parts.pop_back();
  }
  const std::string& target = parts.back();
  if (parts.size() > 2 || !parts[0].starts_with("/dev/") || !target.starts_with('/'))
    throw invalid("--device " + base::quoted(text) +
                  " is not of the form /dev/SOURCE[:/TARGET[:rwm]]")
        .hint("or name a CDI device: vendor.com/class=name");
  // Whoever may open a device may do so in any way its owner and mode allow: there is no device
  // cgroup.
  if (permissions.find('r') == std::string::npos || permissions.find('w') == std::string::npos)
    throw Error(ErrorCode::unsupported,
                "--device " + base::quoted(text) +
                    ": a device cannot be given for reading or writing only");
  settings.devices.push_back({parts[0], target});
}

std::chrono::milliseconds parse_timeout(const std::string& text) {
  const auto timeout = value_of("--step-timeout", [&] { return dockerfile::parse_duration(text); });
  const auto milliseconds = std::chrono::ceil<std::chrono::milliseconds>(timeout);
  if (milliseconds.count() < 0)
    throw invalid("--step-timeout " + base::quoted(text) + " is negative");
  return milliseconds;
}

}  // namespace

sandbox::Ulimit parse_ulimit(std::string_view text) {
  const std::size_t equals = text.find('=');
  const std::string value(equals == std::string_view::npos ? "" : text.substr(equals + 1));
  if (equals == std::string_view::npos || equals == 0 || value.empty())
    throw invalid("--ulimit " + base::quoted(text) + " is not of the form NAME=SOFT[:HARD]");
  sandbox::Ulimit limit;
  limit.name = std::string(text.substr(0, equals));
  sandbox::ulimit_resource(limit.name);  // throws for a name that is not known
  const auto number = [&](const std::string& word) -> std::int64_t {
    if (word == "unlimited") return -1;
    std::int64_t parsed = 0;
    const char* end = word.data() + word.size();
    const auto [stop, error] = std::from_chars(word.data(), end, parsed);
    if (error != std::errc() || stop != end || parsed < -1)
      throw invalid("--ulimit " + base::quoted(text) + ": " + base::quoted(word) +
                    " is not a number; -1 is unlimited");
    return parsed;
  };
  const std::size_t colon = value.find(':');
  limit.soft = number(value.substr(0, colon));
  limit.hard = colon == std::string::npos ? limit.soft : number(value.substr(colon + 1));
  if (limit.hard != -1 && (limit.soft == -1 || limit.soft > limit.hard))
    throw invalid("--ulimit " + base::quoted(text) + ": the soft limit is above the hard one");
  return limit;
}

sandbox::CapabilityChanges parse_capabilities(const std::vector<std::string>& add,
                                              const std::vector<std::string>& drop) {
  bool add_all = false, drop_all = false;
  sandbox::CapabilityChanges changes;
  changes.add = capability_set("--cap-add", add, add_all);
  changes.drop = capability_set("--cap-drop", drop, drop_all);
  if (drop_all)
    changes.drop = sandbox::all_capabilities();
  else if (add_all)
    changes.add = sandbox::all_capabilities() & ~changes.drop;
  return changes;
}

std::vector<std::string> parse_gpus(std::string_view text) {
  static const std::string kClass = "nvidia.com/gpu=";
  const auto refused = [&](const std::string& why) {
    return invalid("--gpus " + base::quoted(text) + ": " + why)
        .hint("write --gpus all, --gpus 2 or --gpus device=0");
  };
  if (text == "all") return {kClass + "all"};
  std::vector<std::string> names;
  const auto first = [&](std::string_view count) {
    const long number = parse_number(count, 1, 64, "--gpus");
    for (long i = 0; i < number; ++i) names.push_back(kClass + std::to_string(i));
  };
  if (!text.empty() && text.find_first_not_of("0123456789") == std::string_view::npos) {
    first(text);
    return names;
  }
  // "device=0,1" as people write it, and docker's CSV, in which that is quoted: "device=0,1".
  std::string last;
  for (std::string field : split_csv(text)) {
    const std::size_t equals = field.find('=');
    if (equals == std::string::npos) {
      if (last != "device") throw refused(base::quoted(field) + " is not of the form KEY=VALUE");
      names.push_back(kClass + field);
      continue;
    }
    last = field.substr(0, equals);
    const std::string value = field.substr(equals + 1);
    if (last == "device") {
      for (const std::string& name : split_csv(value)) names.push_back(kClass + name);
    } else if (last == "count") {
      if (value == "all" || value == "-1")
        names.push_back(kClass + "all");
      else
        first(value);
    } else if (last != "capabilities" && (last != "driver" || value != "nvidia")) {
      throw refused(base::quoted(last) + " is not known");
    }
  }
  if (names.empty()) throw refused("it names no device");
  return names;
}

void StepOptions::declare(OptionSet& options) {
  options.section("Network of steps");
  options.text("--network", "MODE", network_, "default, host, private or none");
  options.list("--add-host", "NAME:ADDRESS", add_hosts_, "Line of /etc/hosts (repeatable)");
  options.text("--hostname", "NAME", hostname_, "Name of the host that steps see");
  options.list("--dns", "ADDRESS", dns_, "Name server, in place of the host's (repeatable)");
  options.list("--dns-search", "DOMAIN", dns_search_, "Search domain; \".\" for none (repeatable)");
  options.list("--dns-option,--dns-opt", "OPTION", dns_options_,
               "Option of /etc/resolv.conf (repeatable)");

  options.section("Limits of steps");
  options.text("-m,--memory", "SIZE", memory_, "Memory of a step: 512m, 2g");
  options.text("--memory-swap", "SIZE", memory_swap_, "Memory and swap together; -1: all swap");
  options.text("--cpus", "NUMBER", cpus_, "Processors that a step may use: 1.5");
  options.text("--cpu-period", "MICROSECONDS", cpu_period_, "The same as two numbers: of so much");
  options.text("--cpu-quota", "MICROSECONDS", cpu_quota_, "  time, a step gets so much");
  options.text("-c,--cpu-shares", "NUMBER", cpu_shares_,
               "Weight when all are busy (default: 1024)");
  options.text("--cpuset-cpus", "LIST", cpuset_cpus_, "Which processors: 0-2,4");
  options.text("--cpuset-mems", "LIST", cpuset_mems_, "Which memory nodes: 0,1");
  options.text("--pids-limit", "NUMBER", pids_limit_, "Processes of a step at a time");
  options.list("--ulimit", "NAME=SOFT[:HARD]", ulimits_, "Limit of each process (repeatable)");
  options.text("--shm-size", "SIZE", shm_size_, "Size of /dev/shm (default: 64m)");
  options.text("--step-timeout", "DURATION", timeout_, "Stop a step after that time: 90s, 2m30s");

  options.section("Rights of steps");
  options.list("--cap-add", "NAME", cap_add_, "Give a capability, or ALL (repeatable)");
  options.list("--cap-drop", "NAME", cap_drop_, "Take a capability, or ALL (repeatable)");
  options.list("--security-opt", "OPTION", security_,
               "no-new-privileges, seccomp=unconfined (repeatable)");
  options.list("--device", "/dev/NAME[:TARGET] | CDI", devices_,
               "Device of this machine for all steps (repeatable)");
  options.text("--gpus", "all|N|device=N", gpus_, "GPUs for all steps, by their CDI specs");
}

builder::StepSettings StepOptions::settings(const Environment& environment) const {
  StepSettings settings;
  settings.network = parse_network(network_.value_or("default"));
  for (const std::string& text : add_hosts_) settings.add_hosts.push_back(parse_host(text));
  if (hostname_) check_hostname(*hostname_);
  settings.hostname = hostname_.value_or("");
  for (const std::string& address : dns_) check_address(address);
  check_words("--dns-search", dns_search_);
  check_words("--dns-option", dns_options_);
  settings.resolver = {dns_, dns_search_, dns_options_};
  settings.resources = resources();
  for (const std::string& text : ulimits_) settings.ulimits.push_back(parse_ulimit(text));
  if (shm_size_) settings.shm_size_bytes = size_of("--shm-size", *shm_size_);
  if (settings.shm_size_bytes == 0) settings.shm_size_bytes.reset();  // docker's word for usual
  if (timeout_) settings.timeout = parse_timeout(*timeout_);
  if (settings.timeout == std::chrono::milliseconds(0)) settings.timeout.reset();
  settings.capabilities = parse_capabilities(cap_add_, cap_drop_);
  for (const std::string& text : security_) add_security_option(text, settings);
  for (const std::string& text : devices_) add_device(text, settings);
  if (const auto directories = environment("STRAKE_CDI_DIRS"))
    settings.cdi_directories = parse_cdi_directories(*directories);
  if (gpus_)
    for (std::string& name : parse_gpus(*gpus_)) settings.cdi_devices.push_back(std::move(name));
  return settings;
}

sandbox::ResourceLimits StepOptions::resources() const {
  sandbox::ResourceLimits limits;
  if (memory_) limits.memory_bytes = size_of("--memory", *memory_);
  if (limits.memory_bytes == 0) limits.memory_bytes.reset();
  if (limits.memory_bytes && *limits.memory_bytes < kLeastMemory)
    throw invalid("--memory " + base::quoted(*memory_) +
                  " is too little: nothing runs in less than 6m");
  if (memory_swap_ && *memory_swap_ != "0") {
    if (!limits.memory_bytes) throw invalid("--memory-swap needs --memory");
    limits.memory_and_swap_bytes =
        *memory_swap_ == "-1" ? -1
                              : static_cast<std::int64_t>(size_of("--memory-swap", *memory_swap_));
    if (*memory_swap_ != "-1" &&
        static_cast<std::uint64_t>(*limits.memory_and_swap_bytes) < *limits.memory_bytes)
      throw invalid(
          "--memory-swap is memory and swap together, so it cannot be less than --memory");
  }
  if (cpus_ && (cpu_period_ || cpu_quota_))
    throw invalid("--cpus says the same as --cpu-period and --cpu-quota: give one of them");
  if (cpus_) limits.cpu_time = parse_cpus(*cpus_);
  if (cpu_period_ && !cpu_quota_) throw invalid("--cpu-period needs --cpu-quota");
  if (cpu_quota_ && *cpu_quota_ != "0" && *cpu_quota_ != "-1")
    limits.cpu_time = {.quota_us = static_cast<std::uint64_t>(
                           parse_number(*cpu_quota_, 1000, kMost, "--cpu-quota")),
                       .period_us = static_cast<std::uint64_t>(parse_number(
                           cpu_period_.value_or("100000"), 1000, 1'000'000, "--cpu-period"))};
  if (cpu_shares_ && *cpu_shares_ != "0")
    limits.cpu_shares =
        static_cast<std::uint64_t>(parse_number(*cpu_shares_, 2, 262'144, "--cpu-shares"));
  if (cpuset_cpus_) check_list("--cpuset-cpus", *cpuset_cpus_);
  if (cpuset_mems_) check_list("--cpuset-mems", *cpuset_mems_);
  limits.cpus = cpuset_cpus_.value_or("");
  limits.memory_nodes = cpuset_mems_.value_or("");
  if (pids_limit_ && *pids_limit_ != "0" && *pids_limit_ != "-1")
    limits.processes =
        static_cast<std::uint64_t>(parse_number(*pids_limit_, 1, 4'194'304, "--pids-limit"));
  return limits;
}

}  // namespace strake::cli
