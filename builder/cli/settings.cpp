#include "builder/cli/settings.h"

#include <yaml-cpp/yaml.h>

#include <array>

#include "builder/cli/output_spec.h"
#include "builder/cli/settings_file.h"
#include "builder/cli/settings_registries.h"
#include "layers/base/error.h"
#include "layers/base/files.h"

namespace strake::cli {
namespace {

constexpr std::size_t kLargestFile = 1 << 20;

using Setter = void (*)(Settings&, const SettingsFile&, const YAML::Node&);

void set_root(Settings& settings, const SettingsFile& file, const YAML::Node& value) {
  settings.root = file.scalar(value, "root");
  if (!settings.root->is_absolute())
    throw file.error(value.Mark(), "setting \"root\" must be an absolute path");
}

void set_insecure_registries(Settings& settings, const SettingsFile& file,
                             const YAML::Node& value) {
  if (!value.IsSequence())
    throw file.error(value.Mark(), "setting \"insecure-registries\" must be a list")
        .hint("write it as [registry.local:5000]");
  for (const YAML::Node& host : value)
    settings.insecure_registries.insert(file.scalar(host, "insecure-registries"));
}

void set_jobs(Settings& settings, const SettingsFile& file, const YAML::Node& value) {
  try {
    settings.jobs = static_cast<std::size_t>(
        parse_number(file.scalar(value, "jobs"), 1, 1024, "setting \"jobs\""));
  } catch (const base::Error& error) {
    throw file.error(value.Mark(), error.what());
  }
}

void set_progress(Settings& settings, const SettingsFile& file, const YAML::Node& value) {
  const std::string word = file.scalar(value, "progress");
  settings.progress = parse_progress_mode(word);
  if (!settings.progress)
    throw file.error(value.Mark(), "progress " + base::quoted(word) + " is not known")
        .hint("use auto, tty, plain or quiet");
}

void set_registries(Settings& settings, const SettingsFile& file, const YAML::Node& value) {
  settings.registries.push_back(read_registries(file, value));
}

constexpr std::array<std::pair<std::string_view, Setter>, 5> kSettings{{
    {"root", set_root},
    {"registries", set_registries},
    {"insecure-registries", set_insecure_registries},
    {"jobs", set_jobs},
    {"progress", set_progress},
}};

void apply(Settings& settings, const SettingsFile& file, const YAML::Node& key,
           const YAML::Node& value) {
  const std::string name = file.scalar(key, "key");
  std::vector<std::string_view> known;
  for (const auto& [known_name, setter] : kSettings) {
    if (name == known_name) return setter(settings, file, value);
    known.push_back(known_name);
  }
  throw file.unknown_key(key, known);
}

YAML::Node parse_yaml(const SettingsFile& file) {
  try {
    return YAML::Load(file.text());
  } catch (const YAML::Exception& error) {
    throw file.error(error.mark, "malformed YAML: " + error.msg);
  }
}

std::optional<std::filesystem::path> home_directory(const Environment& environment,
                                                    const char* xdg_variable,
                                                    std::string_view fallback) {
  // The XDG specification has relative paths ignored.
  const std::filesystem::path xdg = environment(xdg_variable).value_or("");
  if (xdg.is_absolute()) return xdg;
  const std::filesystem::path home = environment("HOME").value_or("");
  if (!home.is_absolute()) return std::nullopt;
  return home / fallback;
}

void load_over(Settings& settings, const std::filesystem::path& file) {
  const std::optional<std::string> text = base::read_file(file, kLargestFile);
  if (!text) return;
  Settings more = parse_settings(*text, file);
  if (more.root) settings.root = more.root;
  if (more.jobs) settings.jobs = more.jobs;
  if (more.progress) settings.progress = more.progress;
  // In front of what was read before: the first source that decides wins.
  settings.registries.insert(settings.registries.begin(),
                             std::make_move_iterator(more.registries.begin()),
                             std::make_move_iterator(more.registries.end()));
  settings.insecure_registries.insert(more.insecure_registries.begin(),
                                      more.insecure_registries.end());
}

}  // namespace

Settings parse_settings(const std::string& text, const std::filesystem::path& path) {
  const SettingsFile file(text, path);
  const YAML::Node document = parse_yaml(file);
  Settings settings;
  if (document.IsNull()) return settings;
  if (!document.IsMap())
    throw file.error(document.Mark(), "settings must be a list of \"name: value\"");
  std::set<std::string> seen;
  for (const auto& entry : document) {
    apply(settings, file, entry.first, entry.second);
    if (!seen.insert(entry.first.Scalar()).second)
      throw file.error(entry.first.Mark(),
                       "setting " + base::quoted(entry.first.Scalar()) + " is given twice");
  }
  return settings;
}

Settings load_settings(const Environment& environment) {
  Settings settings;
  load_over(settings, "/etc/strake/strake.yaml");
  if (const auto config = home_directory(environment, "XDG_CONFIG_HOME", ".config"))
    load_over(settings, *config / "strake" / "strake.yaml");
  return settings;
}

std::filesystem::path store_root(const CommonOptions& common, const Settings& settings,
                                 const Environment& environment, bool is_root) {
  if (common.root) return *common.root;
  if (settings.root) return *settings.root;
  if (is_root) return "/var/lib/strake";
  if (const auto data = home_directory(environment, "XDG_DATA_HOME", ".local/share"))
    return *data / "strake";
  throw base::Error(base::ErrorCode::invalid_input,
                    "there is no place for the store: neither HOME nor XDG_DATA_HOME is set")
      .hint("set STRAKE_ROOT or give --root");
}

}  // namespace strake::cli
