#pragma once

#include "builder/check/check.h"
#include "builder/check/reporter.h"
#include "builder/check/scope.h"
#include "builder/dockerfile/instruction.h"

// Docker's build checks, by what they have to know.

namespace strake::check {

/// What the instructions' text alone tells. `is_whole` is false for a file that breaks off: what
/// compares instructions with each other is left out then.
void check_syntax(const dockerfile::Dockerfile& file, bool is_whole, Reporter& reporter);

/// FROM lines and the ARGs before them. Throws Error(invalid_input) with the line of a word that
/// cannot be expanded.
void check_from(const dockerfile::Dockerfile& file, const CheckOptions& options,
                Reporter& reporter);

/// The checks of one stage, instruction by instruction.
class StageRules {
 public:
  StageRules(const CheckOptions& options, Reporter& reporter)
      : options_(options), reporter_(reporter) {}

  /// `scope` is as it is before `instruction`. Throws Error(invalid_input) for a word that cannot
  /// be expanded.
  void check(const dockerfile::Instruction& instruction, const Scope& scope);

 private:
  void check_variables(const dockerfile::Instruction& instruction, const Scope& scope);
  void check_transfer(const dockerfile::Instruction& instruction, const Scope& scope);
  void check_ports(const dockerfile::Instruction& instruction, const Scope& scope);
  void check_used_once(const dockerfile::Instruction& instruction);
  void check_secret_name(const dockerfile::Instruction& instruction, const char* keyword,
                         const std::string& name);

  const CheckOptions& options_;
  Reporter& reporter_;
  std::map<std::string, base::SourceRange> last_;  // CMD, ENTRYPOINT, HEALTHCHECK of this stage
};

}  // namespace strake::check
