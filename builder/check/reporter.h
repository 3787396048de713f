#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "builder/check/check.h"
#include "builder/check/finding.h"
#include "builder/dockerfile/directives.h"
#include "builder/dockerfile/instruction.h"

namespace strake::check {

/// Collects findings, as far as the file and its instructions want to hear about them.
class Reporter {
 public:
  Reporter(dockerfile::CheckSettings settings, const CheckOptions& options)
      : settings_(std::move(settings)), options_(options) {}

  RuleSet rules() const noexcept { return options_.rules; }

  /// `about` is the instruction whose "# check=" comments have a say, and, without a `where`, the
  /// place. Throws Error(invalid_input) with the place of a comment that is not understood.
  void add(std::string_view rule, const dockerfile::Instruction& about, std::string detail);
  void add(std::string_view rule, const dockerfile::Instruction& about,
           const base::SourceRange& where, std::string detail);
  /// Of no instruction.
  void add(std::string_view rule, const base::SourceRange& where, std::string detail);

  /// Sorted by line. Ends the reporter's life.
  std::vector<Finding> take();

 private:
  void add_with(const dockerfile::CheckSettings& settings, std::string_view rule,
                const base::SourceRange& where, std::string detail);

  const dockerfile::CheckSettings settings_;
  const CheckOptions& options_;
  std::vector<Finding> findings_;
};

}  // namespace strake::check
