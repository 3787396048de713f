#include "builder/check/scope.h"

#include <algorithm>
#include <numeric>

#include "builder/dockerfile/glob.h"
#include "builder/plan/platform_args.h"
#include "layers/base/default_path.h"

namespace strake::check {
namespace {

using dockerfile::Instruction;

std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), 0);
  for (std::size_t i = 0; i < a.size(); ++i) {
    std::size_t diagonal = std::exchange(row[0], i + 1);
    for (std::size_t j = 0; j < b.size(); ++j) {
      const std::size_t changed = diagonal + (a[i] == b[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({changed, row[j] + 1, diagonal + 1});
    }
  }
  return row.back();
}

}  // namespace

std::string suggestion(std::string_view word, const std::vector<std::string>& candidates) {
  std::string best;
  std::size_t best_distance = 3;
  for (const std::string& candidate : candidates) {
    if (candidate == word) return "";
    const std::size_t longer = std::max(word.size(), candidate.size());
    if (longer - std::min(word.size(), candidate.size()) >= best_distance) continue;
    const std::size_t distance = edit_distance(word, candidate);
    if (distance >= best_distance) continue;
    best = candidate;
    best_distance = distance;
  }
  return best;
}

dockerfile::ExpandedWord GlobalScope::expand(std::string_view word, char escape) const {
  return dockerfile::expand_word(word,
                                 [this](std::string_view name) -> std::optional<std::string_view> {
                                   const auto found = values.find(std::string(name));
                                   if (found == values.end()) return std::nullopt;
                                   return found->second;
                                 },
                                 {.escape = escape});
}

GlobalScope make_global_scope(const dockerfile::Dockerfile& file, const CheckOptions& options,
                              const std::map<std::string, std::string>& build_args) {
  GlobalScope scope{
      plan::platform_args(options.build_platform, options.target_platform, options.target), {}};
  for (auto& [name, value] : scope.values)
    if (const auto given = build_args.find(name); given != build_args.end()) value = given->second;
  for (const Instruction& instruction : file.instructions) {
    const auto* arg = std::get_if<dockerfile::Arg>(&instruction.operation);
    if (arg == nullptr) break;
    for (const auto& [name, default_value] : arg->declarations) {
      scope.declared.insert(name);
      try {
        if (const auto given = build_args.find(name); given != build_args.end())
          scope.values[name] = given->second;
        else if (default_value)
          scope.values[name] = scope.expand(*default_value, file.directives.escape).text;
      } catch (base::Error& error) {
        error.set_location(instruction.where);
        throw;
      }
    }
  }
  return scope;
}

Scope::Scope(char escape, const oci::RunConfig* config) : escape_(escape) {
  bool has_path = false;
  if (config != nullptr) {
    for (const std::string& variable : config->env) {
      const std::size_t equals = std::min(variable.find('='), variable.size());
      set(variable.substr(0, equals), variable.substr(std::min(equals + 1, variable.size())));
    }
    has_path = find("PATH").has_value();
    if (!config->shell.empty()) shell_ = config->shell;
    if (config->working_dir.starts_with('/')) workdir_ = config->working_dir;
    if (!config->user.empty()) user_ = config->user;
  }
  if (!has_path) set("PATH", std::string(base::kDefaultPath));
}

std::optional<std::string_view> Scope::find(std::string_view name) const {
  for (const auto& [key, value] : variables_)
    if (key == name) return value;
  return std::nullopt;
}

std::vector<std::string> Scope::names() const {
  std::vector<std::string> names;
  names.reserve(variables_.size());
  for (const auto& [name, value] : variables_) names.push_back(name);
  return names;
}

void Scope::set(const std::string& name, const std::string& value) {
  const auto found = std::find_if(variables_.begin(), variables_.end(),
                                  [&](const auto& variable) { return variable.first == name; });
  if (found == variables_.end())
    variables_.emplace_back(name, value);
  else
    found->second = value;
}

dockerfile::ExpandedWord Scope::expand(std::string_view word) const {
  return dockerfile::expand_word(word, [this](std::string_view name) { return find(name); },
                                 {.escape = escape_});
}

void Scope::apply_workdir(const std::string& path) {
  has_workdir_ = true;
  if (path.starts_with('/'))
    workdir_ = dockerfile::clean_path(path);
  else if (workdir_)
    workdir_ = dockerfile::clean_path(*workdir_ + "/" + path);
}

void Scope::apply(const Instruction& instruction, const plan::StageGraph& graph,
                  const std::map<std::string, std::string>& build_args) {
  if (const auto* env = std::get_if<dockerfile::Env>(&instruction.operation)) {
    std::vector<std::pair<std::string, std::string>> values;  // all expanded before any is set
    for (const dockerfile::KeyValue& pair : env->pairs)
      values.emplace_back(expand(pair.key).text, expand(pair.value).text);
    for (const auto& [name, value] : values) set(name, value);
  } else if (const auto* arg = std::get_if<dockerfile::Arg>(&instruction.operation)) {
    for (const auto& [name, default_value] : arg->declarations) {
      args_.insert(name);
      const auto global = graph.global_args.find(name);
      if (const auto given = build_args.find(name); given != build_args.end())
        set(name, given->second);
      else if (default_value)
        set(name, expand(*default_value).text);
      else if (global != graph.global_args.end())
        set(name, global->second);
    }
  } else if (const auto* workdir = std::get_if<dockerfile::Workdir>(&instruction.operation)) {
    apply_workdir(expand(workdir->path).text);
  } else if (const auto* user = std::get_if<dockerfile::User>(&instruction.operation)) {
    user_ = expand(user->user).text;
  } else if (const auto* shell = std::get_if<dockerfile::Shell>(&instruction.operation)) {
    shell_ = shell->argv;
  }
}

}  // namespace strake::check
