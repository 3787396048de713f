#include "registry/registry_sources.h"

#include <algorithm>

#include "layers/base/error.h"
#include "layers/base/files.h"
#include "layers/base/log.h"
#include "registry/daemon_config.h"
#include "registry/registries_conf.h"

namespace strake::registry {
namespace {

using base::Error;
namespace fs = std::filesystem;

constexpr std::size_t kLargestFile = 4 << 20;

/// An absolute path from a variable; empty when it is unset or relative.
fs::path directory(const Variables& variables, const char* name) {
  const fs::path path = variables(name).value_or("");
  return path.is_absolute() ? path : fs::path();
}

/// The user's configuration; empty when nobody knows where that is.
fs::path user_config(const Variables& variables) {
  const fs::path xdg = directory(variables, "XDG_CONFIG_HOME");
  if (!xdg.empty()) return xdg;
  const fs::path home = directory(variables, "HOME");
  return home.empty() ? home : home / ".config";
}

bool is_there(const fs::path& file) {
  std::error_code error;
  return fs::exists(file, error);
}

/// Adds the *.conf files of `directory`, in the order of names.
void add_drop_ins(std::vector<fs::path>& files, const fs::path& directory) {
  std::vector<fs::path> found;
  std::error_code error;
  for (fs::directory_iterator i(directory, error), end; !error && i != end; i.increment(error)) {
    if (i->path().extension() == ".conf" && !i->is_directory(error)) found.push_back(i->path());
  }
  std::sort(found.begin(), found.end());
  files.insert(files.end(), found.begin(), found.end());
}

using Parser = RegistryRules (*)(std::string_view text, const fs::path& file);

/// The rules of a file that is not ours: builds go on without one that cannot be used.
RegistryRules read(const fs::path& file, Parser parse) {
  try {
    const std::optional<std::string> text = base::read_file(file, kLargestFile);
    return text ? parse(*text, file) : RegistryRules();
  } catch (const Error& error) {
    base::log_warning("registry settings are left out: " + std::string(error.what()));
    return {};
  }
}

}  // namespace

std::vector<fs::path> registries_conf_files(const Variables& variables, const fs::path& etc) {
  const fs::path user = user_config(variables);
  const fs::path users_file = user / "containers/registries.conf";
  const fs::path users_drop_ins = user / "containers/registries.conf.d";
  const std::string chosen = variables("CONTAINERS_REGISTRIES_CONF").value_or("");
  const std::string chosen_drop_ins = variables("CONTAINERS_REGISTRIES_CONF_DIR").value_or("");

  const bool users_own = chosen.empty() && !user.empty() && is_there(users_file);
  fs::path main = etc / "containers/registries.conf";
  if (users_own) main = users_file;
  if (!chosen.empty()) main = chosen;

  std::vector<fs::path> files;
  if (is_there(main)) files.push_back(main);
  if (!chosen_drop_ins.empty()) {
    add_drop_ins(files, chosen_drop_ins);
    return files;
  }
  if (!users_own) add_drop_ins(files, etc / "containers/registries.conf.d");
  if (!user.empty()) add_drop_ins(files, users_drop_ins);
  return files;
}

void add_system_sources(Registries& registries, const Variables& variables, const fs::path& etc) {
  // One source: tables of later files replace those of the same prefix.
  RegistryRules containers;
  for (const fs::path& file : registries_conf_files(variables, etc)) {
    RegistryRules rules = read(file, parse_registries_conf);
    std::move(rules.begin(), rules.end(), std::back_inserter(containers));
  }
  registries.add(std::move(containers));
  if (const fs::path user = user_config(variables); !user.empty()) {
    registries.add(read(user / "docker/daemon.json", parse_daemon_config));
  }
  registries.add(read(etc / "docker/daemon.json", parse_daemon_config));
}

std::vector<std::string> certificate_directories(const Variables& variables, const fs::path& etc) {
  std::vector<std::string> directories{etc / "docker/certs.d", etc / "containers/certs.d"};
  if (const fs::path user = user_config(variables); !user.empty()) {
    directories.push_back(user / "docker/certs.d");
    directories.push_back(user / "containers/certs.d");
  }
  return directories;
}

}  // namespace strake::registry
