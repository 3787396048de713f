#include "builder/plan/stage_planner.h"

#include <algorithm>
#include <array>

#include "builder/dockerfile/expansion.h"
#include "builder/dockerfile/glob.h"
#include "builder/dockerfile/limits.h"
#include "builder/dockerfile/ports.h"
#include "builder/dockerfile/signal.h"
#include "builder/plan/go_format.h"
#include "layers/base/error.h"

namespace strake::plan {
namespace {

using base::Error;
using base::ErrorCode;

/// Usable in RUN without being declared; not part of any key, not in the history.
constexpr std::array<std::string_view, 10> kProxyArgs = {
    "HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "FTP_PROXY",
    "ftp_proxy",  "NO_PROXY",   "no_proxy",    "ALL_PROXY",   "all_proxy"};

bool is_proxy_arg(std::string_view name) {
  return std::find(kProxyArgs.begin(), kProxyArgs.end(), name) != kProxyArgs.end();
}

bool starts_with(std::string_view text, std::string_view prefix) {
  return text.substr(0, prefix.size()) == prefix;
}

/// Replaces NAME's value in place, or appends it: the order of an image's environment.
void set_image_variable(std::vector<std::string>& env, const std::string& name,
                        const std::string& value) {
  for (std::string& variable : env) {
    if (starts_with(variable, name + "=")) {
      variable = name + "=" + value;
      return;
    }
  }
  env.push_back(name + "=" + value);
}

Error too_many_variables() {
  return Error(ErrorCode::invalid_input,
               "more than " + std::to_string(dockerfile::kMaxVariables) + " variables");
}

}  // namespace

void Environment::set(const std::string& name, const std::string& value) {
  const auto known = std::find_if(variables_.begin(), variables_.end(),
                                  [&](const auto& variable) { return variable.first == name; });
  if (known != variables_.end()) {
    bytes_ -= known->first.size() + known->second.size();
    variables_.erase(known);
  }
  variables_.emplace_back(name, value);
  bytes_ += name.size() + value.size();
  if (variables_.size() > dockerfile::kMaxVariables) throw too_many_variables();
  if (bytes_ > dockerfile::kMaxEnvironmentBytes)
    throw Error(ErrorCode::invalid_input, "the environment is larger than " +
                                              std::to_string(dockerfile::kMaxEnvironmentBytes) +
                                              " bytes, more than any process can be given");
}

std::optional<std::string_view> Environment::find(std::string_view name) const {
  for (const auto& [key, value] : variables_)
    if (key == name) return value;
  return std::nullopt;
}

std::vector<std::string> Environment::list() const {
  std::vector<std::string> out;
  out.reserve(variables_.size());
  for (const auto& [name, value] : variables_) out.push_back(name + "=" + value);
  return out;
}

StagePlanner::StagePlanner(const Stage& stage, const StageGraph& graph, const PlanOptions& options,
                           StageState state, SourceMap sources, char escape,
                           std::vector<Step>& steps)
    : stage_(stage),
      graph_(graph),
      options_(options),
      state_(std::move(state)),
      sources_(std::move(sources)),
      escape_(escape),
      steps_(steps) {}

StageState StagePlanner::run() {
  for (position_ = 0; position_ < stage_.instructions.size(); ++position_) {
    instruction_ = &stage_.instructions[position_];
    try {
      std::visit([this](const auto& operation) { plan(operation); }, instruction_->operation);
    } catch (Error& error) {
      error.set_location(instruction_->where);
      throw;
    }
  }
  return std::move(state_);
}

// ---- Instructions that change the environment of later ones ----------------------------------

void StagePlanner::plan(const dockerfile::Env& env) {
  std::vector<dockerfile::KeyValue> values;  // all expanded before any is set
  for (const dockerfile::KeyValue& pair : env.pairs)
    values.push_back({expand(pair.key), expand(pair.value)});
  std::string text = "ENV";
  for (const auto& [name, value] : values) {
    if (name.empty()) throw Error(ErrorCode::invalid_input, "ENV has an empty variable name");
    state_.env.set(name, value);
    set_image_variable(config().env, name, value);
    text += " " + name + "=" + value;
  }
  add_history(text);
}

void StagePlanner::plan(const dockerfile::Arg& arg) {
  std::string text = "ARG";
  for (const auto& [name, default_value] : arg.declarations) {
    std::optional<std::string> value;
    if (const auto given = options_.build_args.find(name); given != options_.build_args.end()) {
      value = given->second;
    } else if (default_value) {
      value = expand(*default_value);
    } else if (const auto global = graph_.global_args.find(name);
               global != graph_.global_args.end()) {
      value = global->second;
    }
    if (value) state_.env.set(name, *value);
    if (is_proxy_arg(name)) declared_proxies_.insert(name);
    if (std::find(state_.arg_names.begin(), state_.arg_names.end(), name) == state_.arg_names.end())
      state_.arg_names.push_back(name);
    if (state_.arg_names.size() > dockerfile::kMaxVariables) throw too_many_variables();
    text += " " + name + (value ? "=" + *value : "");
  }
  add_history(text);
}

void StagePlanner::plan(const dockerfile::User& user) {
  config().user = expand(user.user);
  if (config().user.empty())
    throw Error(ErrorCode::invalid_input, "USER is empty once its variables are expanded");
  add_history("USER " + config().user);
}

void StagePlanner::plan(const dockerfile::Shell& shell) {
  config().shell = shell.argv;
  add_history("SHELL " + go_list(shell.argv));
}

// ---- Instructions that only describe the image -----------------------------------------------

void StagePlanner::plan(const dockerfile::Label& label) {
  std::string text = "LABEL";
  for (const dockerfile::KeyValue& pair : label.pairs) {
    const std::string name = expand(pair.key);
    const std::string value = expand(pair.value);
    if (name.empty()) throw Error(ErrorCode::invalid_input, "LABEL has an empty name");
    config().labels[name] = value;
    text += " " + name + "=" + value;
  }
  add_history(text);
}

void StagePlanner::plan(const dockerfile::Expose& expose) {
  const auto lookup = [this](std::string_view name) { return state_.env.find(name); };
  std::vector<std::string> words;
  for (const std::string& word : expose.words)
    for (std::string& part : dockerfile::expand_to_words(word, lookup, {.escape = escape_}).words)
      words.push_back(std::move(part));
  std::vector<std::string> ports = dockerfile::parse_exposed_ports(words);
  std::sort(ports.begin(), ports.end());
  config().exposed_ports.insert(ports.begin(), ports.end());
  add_history("EXPOSE " + go_list(ports));
}

void StagePlanner::plan(const dockerfile::Volume& volume) {
  const std::vector<std::string> paths = expand_all(volume.paths);
  for (const std::string& path : paths) {
    if (path.empty()) throw Error(ErrorCode::invalid_input, "VOLUME names an empty path");
    config().volumes.insert(path);
  }
  add_history("VOLUME " + go_list(paths));
}

void StagePlanner::plan(const dockerfile::Stopsignal& stopsignal) {
  config().stop_signal = expand(stopsignal.signal);
  dockerfile::parse_signal(config().stop_signal);
  add_history("STOPSIGNAL " + config().stop_signal);
}

void StagePlanner::plan(const dockerfile::Healthcheck& healthcheck) {
  oci::Healthcheck check;
  if (healthcheck.none) {
    check.test = {"NONE"};
  } else if (const auto* exec = std::get_if<dockerfile::ExecForm>(&healthcheck.test)) {
    check.test = {"CMD"};
    check.test.insert(check.test.end(), exec->argv.begin(), exec->argv.end());
  } else {
    check.test = {"CMD-SHELL", std::get<dockerfile::ShellForm>(healthcheck.test).text};
  }
  check.interval_ns = healthcheck.interval.count();
  check.timeout_ns = healthcheck.timeout.count();
  check.start_period_ns = healthcheck.start_period.count();
  check.start_interval_ns = healthcheck.start_interval.count();
  check.retries = healthcheck.retries;
  std::string text = "HEALTHCHECK &{" + go_quoted(check.test);
  for (const std::int64_t duration :
       {check.interval_ns, check.timeout_ns, check.start_period_ns, check.start_interval_ns})
    text += " " + go_quoted(go_duration(duration));
  // A number printed as if it were text, but images all over the world have it so.
  add_history(text + " " + go_quoted_character(static_cast<char32_t>(check.retries)) + "}");
  config().healthcheck = std::move(check);
}

void StagePlanner::plan(const dockerfile::Entrypoint& entrypoint) {
  const std::vector<std::string> words = with_shell(entrypoint.command);
  config().entrypoint = words.empty() ? std::nullopt : std::optional(words);
  // A CMD that came with the base belongs to the base's entrypoint.
  if (!state_.cmd_set) config().cmd.reset();
  add_history("ENTRYPOINT " + go_quoted(words));
}

void StagePlanner::plan(const dockerfile::Cmd& cmd) {
  config().cmd = with_shell(cmd.command);
  state_.cmd_set = true;
  add_history("CMD " + go_quoted(*config().cmd));
}

void StagePlanner::plan(const dockerfile::Onbuild& onbuild) {
  config().on_build.push_back(onbuild.text);
}

void StagePlanner::plan(const dockerfile::Maintainer& maintainer) {
  state_.image.author = maintainer.name;
  add_history("MAINTAINER " + maintainer.name);
}

void StagePlanner::plan(const dockerfile::From&) {
  throw Error(ErrorCode::invalid_input, "FROM cannot stand here");
}

// ---- Parts ------------------------------------------------------------------------------------

std::vector<std::string> StagePlanner::shell() const {
  return config().shell.empty() ? std::vector<std::string>{"/bin/sh", "-c"} : config().shell;
}

std::vector<std::string> StagePlanner::with_shell(const dockerfile::CommandLine& command) const {
  if (const auto* exec = std::get_if<dockerfile::ExecForm>(&command)) return exec->argv;
  std::vector<std::string> words = shell();
  words.push_back(std::get<dockerfile::ShellForm>(command).text);
  return words;
}

/// "|2 A=1 B=2 ": the ARGs a RUN sees, as in docker's history.
std::string StagePlanner::run_prefix() const {
  if (state_.arg_names.empty()) return "";
  std::string text = "|" + std::to_string(state_.arg_names.size()) + " ";
  for (const std::string& name : state_.arg_names)
    text += name + "=" + std::string(state_.env.find(name).value_or("")) + " ";
  return text;
}

std::vector<std::string> StagePlanner::proxy_environment() const {
  std::vector<std::string> env;
  for (const std::string_view name : kProxyArgs) {
    const auto given = options_.build_args.find(std::string(name));
    if (given != options_.build_args.end() && !declared_proxies_.contains(std::string(name)))
      env.push_back(given->first + "=" + given->second);
  }
  return env;
}

std::string StagePlanner::expand(std::string_view word) const {
  return dockerfile::expand_word(word,
                                 [this](std::string_view name) { return state_.env.find(name); },
                                 {.escape = escape_})
      .text;
}

std::vector<std::string> StagePlanner::expand_all(const std::vector<std::string>& words) const {
  std::vector<std::string> out;
  out.reserve(words.size());
  for (const std::string& word : words) out.push_back(expand(word));
  return out;
}

/// `path` below the working directory unless absolute; cleaned, without a slash at the end.
std::string StagePlanner::absolute(const std::string& path) const {
  if (!path.empty() && path[0] == '/') return dockerfile::clean_path(path);
  return dockerfile::clean_path("/" + config().working_dir + "/" + path);
}

StepId StagePlanner::add_source(Operation operation, std::optional<StepId> parent,
                                std::string title) {
  Step step;
  step.id = static_cast<StepId>(steps_.size());
  step.parent = parent;
  step.operation = std::move(operation);
  step.stage = stage_.shown_name();
  step.title = std::move(title);
  step.where = instruction_->where;
  steps_.push_back(std::move(step));
  return steps_.back().id;
}

void StagePlanner::add_step(Operation operation) {
  state_.file_system = add_source(std::move(operation), state_.file_system, instruction_->original);
}

void StagePlanner::add_history(std::string created_by, bool of_last_step) {
  state_.history.push_back(
      {std::move(created_by), of_last_step ? state_.file_system : std::nullopt});
}

}  // namespace strake::plan
