#include "builder/check/docker_rules.h"
#include "layers/oci/reference.h"

namespace strake::check {
namespace {

using dockerfile::Dockerfile;
using dockerfile::ExpandedWord;
using dockerfile::From;
using dockerfile::Instruction;

template <typename Visit>
void for_each_stage(const Dockerfile& file, const Visit& visit) {
  for (const Instruction& instruction : file.instructions) {
    const auto* from = std::get_if<From>(&instruction.operation);
    if (from == nullptr) continue;
    try {
      visit(instruction, *from);
    } catch (base::Error& error) {
      error.set_location(instruction.where);
      throw;
    }
  }
}

bool is_reference(const std::string& text) {
  try {
    oci::parse_reference(text);
    return true;
  } catch (const base::Error&) {
    return false;
  }
}

/// Whether base names are valid when every ARG takes its default.
void check_defaults(const Dockerfile& file, const CheckOptions& options, Reporter& reporter) {
  const GlobalScope defaults = make_global_scope(file, options, {});
  for_each_stage(file, [&](const Instruction& instruction, const From& from) {
    if (!is_reference(defaults.expand(from.image, file.directives.escape).text))
      reporter.add(
          "InvalidDefaultArgInFrom", instruction,
          "Default value for ARG " + from.image + " results in empty or invalid base image name");
  });
}

void check_declared(const Instruction& instruction, const ExpandedWord& word,
                    const GlobalScope& scope, Reporter& reporter) {
  for (const std::string& name : word.variables.unmatched) {
    if (scope.declared.contains(name)) continue;
    std::vector<std::string> known(scope.declared.begin(), scope.declared.end());
    for (const auto& [variable, value] : scope.values) known.push_back(variable);
    std::string detail = "FROM argument '" + name + "' is not declared";
    const std::string near = suggestion(name, known);
    if (!near.empty()) detail += " (did you mean " + near + "?)";
    reporter.add("UndefinedArgInFrom", instruction, std::move(detail));
  }
}

void check_redundant(const Instruction& instruction, const From& from, const ExpandedWord& word,
                     const GlobalScope& scope, Reporter& reporter) {
  const auto& [used, unmatched] = word.variables;
  if (used.size() != 1 || !unmatched.empty() || *used.begin() != "TARGETPLATFORM") return;
  if (word.text != scope.values.at("TARGETPLATFORM")) return;
  reporter.add("RedundantTargetPlatform", instruction,
               "Setting platform to predefined " + *from.platform +
                   " in FROM is redundant as this is the default behavior");
}

void check_constant(const Instruction& instruction, const From& from, const ExpandedWord& word,
                    Reporter& reporter) {
  if (!word.variables.used.empty() || !word.variables.unmatched.empty()) return;
  oci::Platform platform;
  try {
    platform = oci::parse_platform(word.text);
  } catch (const base::Error&) {
    return;  // the plan refuses it
  }
  // A stage that says in its name what it is for means it.
  const auto names = [&](const std::string& part) {
    return from.name.find(part) != std::string::npos;
  };
  if (names(platform.os) || names(platform.architecture)) return;
  reporter.add("FromPlatformFlagConstDisallowed", instruction,
               "FROM --platform flag should not use constant value " + base::quoted(word.text));
}

}  // namespace

void check_from(const Dockerfile& file, const CheckOptions& options, Reporter& reporter) {
  check_defaults(file, options, reporter);
  const GlobalScope scope = make_global_scope(file, options, options.build_args);
  const char escape = file.directives.escape;
  for_each_stage(file, [&](const Instruction& instruction, const From& from) {
    check_declared(instruction, scope.expand(from.image, escape), scope, reporter);
    if (!from.platform) return;
    const ExpandedWord platform = scope.expand(*from.platform, escape);
    check_declared(instruction, platform, scope, reporter);
    check_redundant(instruction, from, platform, scope, reporter);
    check_constant(instruction, from, platform, reporter);
  });
}

std::optional<Finding> check_base_platform(std::string_view image, const oci::Platform& expected,
                                           const oci::Platform& actual,
                                           const base::SourceRange& where) {
  if (expected.os == actual.os && expected.architecture == actual.architecture) return std::nullopt;
  return Finding{"InvalidBaseImagePlatform",
                 "Base image " + std::string(image) + " was pulled with platform " +
                     base::quoted(actual.str()) + ", expected " + base::quoted(expected.str()) +
                     " for current build",
                 where};
}

}  // namespace strake::check
