#include "builder/exec/step_settings.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <string_view>

#include "layers/base/rooted_directory.h"

namespace strake::builder {
namespace {

using base::Error;
using base::ErrorCode;
using base::FileDescriptor;

/// "64m" rather than 67108864, where that is exact.
std::string size_text(std::uint64_t bytes) {
  constexpr std::array<const char*, 4> kUnits = {"", "k", "m", "g"};
  std::size_t unit = 0;
  while (unit + 1 < kUnits.size() && bytes != 0 && bytes % 1024 == 0) {
    bytes /= 1024;
    ++unit;
  }
  return std::to_string(bytes) + kUnits[unit];
}

/// "2m30s", "1.5s"
std::string duration_text(std::chrono::milliseconds duration) {
  const auto total = duration.count();
  std::string text;
  if (total >= 3'600'000) text += std::to_string(total / 3'600'000) + "h";
  if (total % 3'600'000 >= 60'000) text += std::to_string(total % 3'600'000 / 60'000) + "m";
  const auto rest = total % 60'000;
  if (rest == 0 && !text.empty()) return text;
  std::array<char, 32> seconds{};
  std::snprintf(seconds.data(), seconds.size(), "%.3f", static_cast<double>(rest) / 1000);
  std::string shown(seconds.data());
  shown.erase(shown.find_last_not_of('0') + 1);
  if (shown.ends_with('.')) shown.pop_back();
  return text + shown + "s";
}

std::string end_of(const sandbox::ExitStatus& status, const StepSettings& settings) {
  if (!status.explanation.empty())
    return status.explanation + " (exit code " + std::to_string(status.code) + ")";
  if (status.timed_out)
    return "the command took longer than " + duration_text(*settings.timeout) + " and was stopped";
  if (status.oom_killed)
    return "the command was killed for lack of memory (exit code " + std::to_string(status.code) +
           ")";
  if (status.signal != 0)
    return "the command was killed by signal " + std::to_string(status.signal);
  return "the command failed with exit code " + std::to_string(status.code);
}

/// The devices below a directory of /dev, as docker takes them: /dev/snd is all of its devices.
class DeviceFinder {
 public:
  explicit DeviceFinder(sandbox::Spec& spec)
      : spec_(spec), host_(base::RootedDirectory::open_host("/")) {}

  void add(const HostDevice& device) {
    const std::size_t before = files_.size();
    add(device.source, device.target);
    if (files_.size() == before)
      throw Error(ErrorCode::invalid_input,
                  "there is no device in the directory " + base::quoted(device.source));
  }
  std::vector<FileDescriptor> finish() && { return std::move(files_); }

 private:
  void add(const std::string& source, const std::string& target) {
    auto file = host_.try_open(source, O_PATH);
    if (!file) throw Error(ErrorCode::not_found, "there is no device " + base::quoted(source));
    struct ::stat status;
    if (::fstat(file->get(), &status) != 0) throw base::system_error(errno, "look at", source);
    if (S_ISDIR(status.st_mode)) {
      add_directory(source, target);
    } else if (S_ISCHR(status.st_mode) || S_ISBLK(status.st_mode)) {
      spec_.mounts.push_back(sandbox::DeviceNode{.source_fd = file->get(), .target = target});
      files_.push_back(std::move(*file));
    } else {
      throw Error(ErrorCode::invalid_input, base::quoted(source) + " is not a device");
    }
  }

  /// Symlinks and other files in it are passed over: they lead elsewhere.
  void add_directory(const std::string& source, const std::string& target) {
    for (const std::string& name : host_.list(source)) {
      const std::string path = source + "/" + name;
      const auto status = host_.lstat(path);
      if (status &&
          (S_ISDIR(status->st_mode) || S_ISCHR(status->st_mode) || S_ISBLK(status->st_mode)))
        add(path, target + "/" + name);
    }
  }

  sandbox::Spec& spec_;
  const base::RootedDirectory host_;
  std::vector<FileDescriptor> files_;
};

std::string hex(std::uint64_t number) {
  std::array<char, 24> text{};
  std::snprintf(text.data(), text.size(), "%llx", static_cast<unsigned long long>(number));
  return text.data();
}

}  // namespace

void apply(const StepSettings& settings, sandbox::Spec& spec) {
  spec.network = settings.network;
  spec.extra_hosts = settings.add_hosts;
  if (!settings.hostname.empty()) spec.hostname = settings.hostname;
  spec.resolver = settings.resolver;
  spec.resources = settings.resources;
  spec.ulimits = settings.ulimits;
  if (settings.shm_size_bytes) spec.shm_size_bytes = *settings.shm_size_bytes;
  spec.capabilities = settings.capabilities;
  spec.no_new_privileges = settings.no_new_privileges;
  spec.all_system_calls = settings.all_system_calls;
  if (settings.timeout) spec.timeout = *settings.timeout;
}

std::vector<FileDescriptor> add_host_devices(const StepSettings& settings, sandbox::Spec& spec) {
  if (settings.devices.empty()) return {};
  DeviceFinder finder(spec);
  for (const HostDevice& device : settings.devices) finder.add(device);
  return std::move(finder).finish();
}

void add_fields(const StepSettings& settings, cache::KeyBuilder& key) {
  if (!settings.hostname.empty()) key.field("hostname", settings.hostname);
  for (const auto& [name, address] : settings.add_hosts) key.field("host", name);
  for (const sandbox::Ulimit& limit : settings.ulimits)
    key.field("ulimit " + limit.name,
              std::to_string(limit.soft) + ":" + std::to_string(limit.hard));
  if (settings.shm_size_bytes) key.field("shm size", std::to_string(*settings.shm_size_bytes));
  if (settings.capabilities.add != 0) key.field("cap-add", hex(settings.capabilities.add));
  if (settings.capabilities.drop != 0) key.field("cap-drop", hex(settings.capabilities.drop));
  if (settings.no_new_privileges) key.field("security-opt", "no-new-privileges");
  if (settings.all_system_calls) key.field("security-opt", "seccomp=unconfined");
  for (const HostDevice& device : settings.devices) key.field("device", device.target);
}

Error failure(const sandbox::ExitStatus& status, const StepSettings& settings) {
  Error error(ErrorCode::step_failed, end_of(status, settings));
  const auto& memory = settings.resources.memory_bytes;
  if (status.timed_out) {
    error.set_hint("give steps more time with --step-timeout");
  } else if (status.oom_killed && memory) {
    error.add_note("its limit is " + size_text(*memory) + " (--memory)");
    error.set_hint("raise it with --memory");
  } else if (status.oom_killed) {
    error.set_hint("the machine ran out of memory: give the build more");
  } else if (status.processes_exhausted && settings.resources.processes) {
    error.add_note("it could not start another process: its limit is " +
                   std::to_string(*settings.resources.processes) + " (--pids-limit)");
    error.set_hint("raise it with --pids-limit");
  }
  return error;
}

}  // namespace strake::builder
