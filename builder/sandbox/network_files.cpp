#include "builder/sandbox/network_files.h"

#include <sstream>

#include "layers/base/files.h"

namespace strake::sandbox {
namespace {

constexpr std::size_t kMaxResolverBytes = 1 << 20;

bool is_name_server(const std::string& line) {
  return line.find_first_not_of(" \t") == line.find("nameserver");
}

std::string without_name_servers(const std::string& content) {
  std::istringstream lines(content);
  std::string result;
  for (std::string line; std::getline(lines, line);)
    if (line.find("nameserver") == std::string::npos || !is_name_server(line))
      result += line + "\n";
  return result;
}

}  // namespace

std::string hosts_file(const Spec& spec) {
  std::string content =
      "127.0.0.1\tlocalhost " + spec.hostname + "\n::1\tlocalhost ip6-localhost ip6-loopback\n";
  for (const auto& [name, address] : spec.extra_hosts) content += address + "\t" + name + "\n";
  return content;
}

std::string resolver_file(const Spec& spec) {
  if (spec.resolv_conf) return *spec.resolv_conf;
  // systemd-resolved's stub at 127.0.0.53 answers here too: the step has the host's loopback.
  const std::string host =
      base::read_file("/etc/resolv.conf", kMaxResolverBytes).value_or(std::string());
  return spec.network == Network::host ? host : without_name_servers(host);
}

}  // namespace strake::sandbox
