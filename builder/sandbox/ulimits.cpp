#include <sys/resource.h>

#include <string>
#include <vector>

#include "builder/sandbox/limits.h"
#include "layers/base/error.h"

namespace strake::sandbox {
namespace {

struct KnownLimit {
  std::string_view name;
  int resource;
};
constexpr KnownLimit kLimits[] = {{"core", RLIMIT_CORE},         {"cpu", RLIMIT_CPU},
                                  {"data", RLIMIT_DATA},         {"fsize", RLIMIT_FSIZE},
                                  {"locks", RLIMIT_LOCKS},       {"memlock", RLIMIT_MEMLOCK},
                                  {"msgqueue", RLIMIT_MSGQUEUE}, {"nice", RLIMIT_NICE},
                                  {"nofile", RLIMIT_NOFILE},     {"nproc", RLIMIT_NPROC},
                                  {"rss", RLIMIT_RSS},           {"rtprio", RLIMIT_RTPRIO},
                                  {"rttime", RLIMIT_RTTIME},     {"sigpending", RLIMIT_SIGPENDING},
                                  {"stack", RLIMIT_STACK}};

}  // namespace

int ulimit_resource(std::string_view name) {
  for (const KnownLimit& known : kLimits)
    if (known.name == name) return known.resource;
  std::vector<std::string> names;
  for (const KnownLimit& known : kLimits) names.emplace_back(known.name);
  base::Error error(base::ErrorCode::invalid_input, "unknown ulimit " + base::quoted(name));
  const std::string near = base::nearest(name, names);
  if (!near.empty()) error.set_hint("write " + near);
  throw error;
}

}  // namespace strake::sandbox
