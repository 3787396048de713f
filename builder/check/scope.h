#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "builder/check/check.h"
#include "builder/dockerfile/expansion.h"
#include "builder/dockerfile/instruction.h"
#include "builder/plan/stage_graph.h"

namespace strake::check {

/// The variables that FROM lines see: those of the platforms, and the ARGs before the first FROM.
struct GlobalScope {
  std::map<std::string, std::string> values;
  std::set<std::string> declared;  // ARGs with or without a value

  dockerfile::ExpandedWord expand(std::string_view word, char escape) const;
};

/// Throws Error(invalid_input) with the line of a default that cannot be expanded.
GlobalScope make_global_scope(const dockerfile::Dockerfile& file, const CheckOptions& options,
                              const std::map<std::string, std::string>& build_args);

/// What is known at one point of a stage, given its text and what it is built from.
class Scope {
 public:
  /// Of a stage that starts from an image, of which `config` is known or null.
  Scope(char escape, const oci::RunConfig* config);

  /// Takes in what `instruction` changes. Throws Error(invalid_input) for a word that cannot be
  /// expanded.
  void apply(const dockerfile::Instruction& instruction, const plan::StageGraph& graph,
             const std::map<std::string, std::string>& build_args);

  dockerfile::ExpandedWord expand(std::string_view word) const;
  std::optional<std::string_view> find(std::string_view name) const;
  bool declares(std::string_view name) const { return args_.contains(name); }
  std::vector<std::string> names() const;  // of variables with a value, in their order
  char escape() const noexcept { return escape_; }

  /// The file, or a stage below, has a SHELL; its words.
  const std::optional<std::vector<std::string>>& shell() const noexcept { return shell_; }
  bool has_workdir() const noexcept { return has_workdir_; }
  /// Absolute; empty while it depends on the base image.
  const std::optional<std::string>& workdir() const noexcept { return workdir_; }
  const std::optional<std::string>& user() const noexcept { return user_; }

 private:
  void set(const std::string& name, const std::string& value);
  void apply_workdir(const std::string& path);

  char escape_;
  std::vector<std::pair<std::string, std::string>> variables_;
  std::set<std::string, std::less<>> args_;
  std::optional<std::vector<std::string>> shell_;
  std::optional<std::string> workdir_, user_;
  bool has_workdir_ = false;
};

/// The candidate that `word` probably is a misspelling of, with at most two changes; "" if there is
/// none. Docker's measure, not base::nearest(): its texts are to be the same.
std::string suggestion(std::string_view word, const std::vector<std::string>& candidates);

}  // namespace strake::check
