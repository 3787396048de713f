#include "builder/cli/settings_file.h"

#include <yaml-cpp/yaml.h>

#include <vector>

namespace strake::cli {
namespace {

int line_of(const YAML::Mark& mark) {
  return mark.is_null() ? 1 : mark.line + 1;
}

}  // namespace

SettingsFile::SettingsFile(const std::string& text, std::filesystem::path file)
    : text_(std::make_shared<const std::string>(text)), file_(std::move(file)) {}

std::string SettingsFile::place(const YAML::Mark& mark) const {
  return file_.string() + ":" + std::to_string(line_of(mark));
}

base::Error SettingsFile::error(const YAML::Mark& mark, std::string message) const {
  return base::Error(base::ErrorCode::invalid_input, std::move(message))
      .at({file_, line_of(mark), line_of(mark), text_});
}

base::Error SettingsFile::unknown_key(const YAML::Node& key,
                                      std::span<const std::string_view> known) const {
  const std::string name = scalar(key, "key");
  base::Error unknown = error(key.Mark(), "unknown setting " + base::quoted(name));
  const std::vector<std::string> names(known.begin(), known.end());
  if (const std::string near = base::nearest(name, names); !near.empty())
    unknown.set_hint("did you mean " + base::quoted(near) + "?");
  return unknown;
}

std::string SettingsFile::scalar(const YAML::Node& node, std::string_view setting) const {
  if (!node.IsScalar() || node.Scalar().empty())
    throw error(node.Mark(), "setting " + base::quoted(setting) + " must be a single value");
  return node.Scalar();
}

bool SettingsFile::boolean(const YAML::Node& node, std::string_view setting) const {
  const std::string word = scalar(node, setting);
  if (word == "true") return true;
  if (word == "false") return false;
  throw error(node.Mark(), "setting " + base::quoted(setting) + " must be true or false");
}

}  // namespace strake::cli
