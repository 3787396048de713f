#include "builder/sandbox/oom_watch.h"

#include <charconv>
#include <sstream>

#include "layers/base/error.h"
#include "layers/base/files.h"

namespace strake::sandbox {
namespace {

constexpr std::size_t kMaxBytes = 1 << 20;

std::string content(const std::string& path) {
  try {
    return base::read_file(path, kMaxBytes).value_or("");
  } catch (const base::Error&) {
    return "";  // unreadable is as good as absent: the next source answers
  }
}

/// The file that counts, by the lines "hierarchy:controllers:path" of /proc/self/cgroup.
std::string counting_file() {
  std::istringstream lines(content("/proc/self/cgroup"));
  for (std::string line; std::getline(lines, line);) {
    const std::string path = line.substr(line.rfind(':') + 1);
    if (line.starts_with("0::")) {
      const std::string file = "/sys/fs/cgroup" + path + "/memory.events";
      if (!content(file).empty()) return file;
    } else if (line.find(":memory:") != std::string::npos) {
      const std::string file = "/sys/fs/cgroup/memory" + path + "/memory.oom_control";
      if (!content(file).empty()) return file;
    }
  }
  return "/proc/vmstat";
}

std::uint64_t kills() {
  static const std::string file = counting_file();
  std::istringstream lines(content(file));
  for (std::string line; std::getline(lines, line);) {
    constexpr std::string_view kKey = "oom_kill ";
    if (!line.starts_with(kKey)) continue;
    std::uint64_t count = 0;
    std::from_chars(line.data() + kKey.size(), line.data() + line.size(), count);
    return count;
  }
  return 0;
}

}  // namespace

OomWatch::OomWatch() : before_(kills()) {}

bool OomWatch::happened() const {
  return kills() > before_;
}

}  // namespace strake::sandbox
