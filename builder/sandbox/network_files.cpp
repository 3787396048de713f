#include "builder/sandbox/network_files.h"

#include <sstream>
#include <vector>

#include "builder/sandbox/outward_network.h"
#include "layers/base/files.h"

namespace strake::sandbox {
namespace {

constexpr std::size_t kMaxResolverBytes = 1 << 20;

/// The first word of a line, which says what it is about.
std::string keyword_of(const std::string& line) {
  const std::size_t begin = line.find_first_not_of(" \t");
  if (begin == std::string::npos) return "";
  return line.substr(begin, line.find_first_of(" \t", begin) - begin);
}

std::string line_of(std::string keyword, const std::vector<std::string>& words) {
  for (const std::string& word : words) keyword += " " + word;
  return keyword + "\n";
}

/// Who answers where the host's servers are not within reach.
std::vector<std::string> servers_of(const Spec& spec) {
  if (spec.resolver.servers.empty() && spec.network == Network::outward)
    return {find_network_program().name_server()};
  return spec.resolver.servers;
}

}  // namespace

std::string hosts_file(const Spec& spec, const std::string& hostname) {
  std::string content =
      "127.0.0.1\tlocalhost " + hostname + "\n::1\tlocalhost ip6-localhost ip6-loopback\n";
  for (const auto& [name, address] : spec.extra_hosts) content += address + "\t" + name + "\n";
  return content;
}

std::string resolver_file(const Spec& spec) {
  if (spec.resolv_conf) return *spec.resolv_conf;
  const std::vector<std::string> servers = servers_of(spec);
  const auto& [given, search, options] = spec.resolver;
  // systemd-resolved's stub at 127.0.0.53 answers with the host's network: that has its loopback.
  const bool host_servers = servers.empty() && spec.network == Network::host;
  std::istringstream lines(
      base::read_file("/etc/resolv.conf", kMaxResolverBytes).value_or(std::string()));
  std::string content;
  for (std::string line; std::getline(lines, line);) {
    const std::string keyword = keyword_of(line);
    if (keyword == "nameserver" && !host_servers) continue;
    if ((keyword == "search" || keyword == "domain") && !search.empty()) continue;
    if (keyword == "options" && !options.empty()) continue;
    content += line + "\n";
  }
  // A lone "." is docker's word for no search at all.
  if (!search.empty() && search != std::vector<std::string>{"."})
    content += line_of("search", search);
  for (const std::string& server : servers) content += line_of("nameserver", {server});
  if (!options.empty()) content += line_of("options", options);
  return content;
}

}  // namespace strake::sandbox
