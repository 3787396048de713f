#pragma once

#include <optional>
#include <set>
#include <string>
#include <vector>

#include "builder/dockerfile/instruction.h"
#include "builder/plan/build_plan.h"
#include "builder/plan/stage_graph.h"

namespace strake::plan {

/// Environment of a build: "last set" order, as RUN gets it.
class Environment {
 public:
  /// Moves the name to the end. Throws Error(invalid_input) beyond the limits (limits.h).
  void set(const std::string& name, const std::string& value);
  std::optional<std::string_view> find(std::string_view name) const;
  std::vector<std::string> list() const;  // "NAME=value"

 private:
  std::vector<std::pair<std::string, std::string>> variables_;
  std::size_t bytes_ = 0;  // of names and values
};

/// What a stage hands to stages that are built from it, and to the image.
struct StageState {
  oci::ImageConfig image;              // config so far; diff_ids and history are the base image's
  Environment env;                     // of expansion and RUN: config.env and ARGs
  std::vector<std::string> arg_names;  // declared ARGs with or without value, for history
  std::vector<HistoryEntry> history;
  std::optional<StepId> file_system;
  bool cmd_set = false;  // by this stage, not by a base
};

/// What the sources that a stage names are: a step's file system, or a named context.
using SourceMap = std::map<SourcePlace, std::variant<StepId, std::string>>;

/// Turns the instructions of one stage, one after another, into steps and configuration.
class StagePlanner {
 public:
  /// `steps` is the plan's list, to which steps are added.
  StagePlanner(const Stage& stage, const StageGraph& graph, const PlanOptions& options,
               StageState state, SourceMap sources, char escape, std::vector<Step>& steps);

  /// Throws Error with the line of the instruction at fault.
  StageState run();

 private:
  void plan(const dockerfile::Run& run);
  void plan(const dockerfile::Copy& copy);
  void plan(const dockerfile::Add& add);
  void plan(const dockerfile::Env& env);
  void plan(const dockerfile::Label& label);
  void plan(const dockerfile::Arg& arg);
  void plan(const dockerfile::Workdir& workdir);
  void plan(const dockerfile::User& user);
  void plan(const dockerfile::Expose& expose);
  void plan(const dockerfile::Volume& volume);
  void plan(const dockerfile::Shell& shell);
  void plan(const dockerfile::Stopsignal& stopsignal);
  void plan(const dockerfile::Healthcheck& healthcheck);
  void plan(const dockerfile::Entrypoint& entrypoint);
  void plan(const dockerfile::Cmd& cmd);
  void plan(const dockerfile::Onbuild& onbuild);
  void plan(const dockerfile::Maintainer& maintainer);
  void plan(const dockerfile::From& from);

  std::vector<Mount> mounts_of(const dockerfile::Run& run);
  Mount mount_of(const dockerfile::Run& run, std::size_t position);
  StepId context_layer(const std::string& context, const std::string& source);
  void check_remote_flags(const dockerfile::Add& add,
                          const std::vector<std::string>& sources) const;
  void fetch_sources(const dockerfile::Add& add, Copy& step);
  Copy expanded(const dockerfile::Transfer& transfer) const;
  std::string copy_text(const char* keyword, const Copy& copy) const;
  std::string run_prefix() const;
  std::vector<std::string> shell() const;
  std::vector<std::string> with_shell(const dockerfile::CommandLine& command) const;
  std::vector<std::string> proxy_environment() const;
  const std::string& run_architecture() const;
  std::string expand(std::string_view word) const;
  std::vector<std::string> expand_all(const std::vector<std::string>& words) const;
  std::string absolute(const std::string& path) const;

  /// A step beside the stage's own chain.
  StepId add_source(Operation operation, std::optional<StepId> parent, std::string title);
  void add_step(Operation operation);
  void add_history(std::string created_by, bool of_last_step = false);
  oci::RunConfig& config() { return state_.image.config; }
  const oci::RunConfig& config() const { return state_.image.config; }

  const Stage& stage_;
  const StageGraph& graph_;
  const PlanOptions& options_;
  StageState state_;
  const SourceMap sources_;
  const char escape_;
  std::vector<Step>& steps_;
  const dockerfile::Instruction* instruction_ = nullptr;  // being planned
  std::size_t position_ = 0;                              // of it, in the stage
  std::set<std::string> declared_proxies_;
  std::map<std::pair<std::string, std::string>, StepId> context_layers_;  // by context and source
};

}  // namespace strake::plan
