#include <algorithm>
#include <set>

#include "builder/check/docker_rules.h"
#include "builder/dockerfile/words.h"

namespace strake::check {
namespace {

using dockerfile::Dockerfile;
using dockerfile::From;
using dockerfile::Instruction;
using dockerfile::to_lower;
using dockerfile::to_upper;

bool is_lower(const std::string& word) {
  return to_lower(word) == word;
}
bool is_upper(const std::string& word) {
  return to_upper(word) == word;
}

/// A keyword in mixed case is the business of another rule.
bool matches_casing(const std::string& from, const std::string& as) {
  if (is_lower(from)) return is_lower(as);
  return !is_upper(from) || is_upper(as);
}

/// Comments of the instruction, unless an empty line is between: then they describe something else.
const std::string* description(const Instruction& instruction) {
  if (instruction.comments.empty()) return nullptr;
  if (instruction.where.text == nullptr) return nullptr;
  std::string_view above = *instruction.where.text;
  for (int line = 1; line < instruction.where.first_line - 1; ++line)
    above.remove_prefix(std::min(above.find('\n') + 1, above.size()));
  const std::string_view line = dockerfile::trim(above.substr(0, above.find('\n')));
  return line.starts_with('#') ? &instruction.comments.back() : nullptr;
}

void check_description(const Instruction& instruction, const std::vector<std::string>& names,
                       Reporter& reporter) {
  const std::string* comment = description(instruction);
  if (comment == nullptr || names.empty()) return;
  const std::string first = comment->substr(0, comment->find(' '));
  if (std::find(names.begin(), names.end(), first) != names.end()) return;
  reporter.add("InvalidDefinitionDescription", instruction,
               "Comment for " + instruction.name + " should follow the format: `# " +
                   (names.size() > 1 ? "<arg_key>" : names.front()) + " <description>`");
}

void check_stage_line(const Instruction& instruction, const From& from, Reporter& reporter) {
  if (from.name_as_written.empty()) return;
  if (from.name != from.name_as_written)
    reporter.add("StageNameCasing", instruction,
                 "Stage name '" + from.name_as_written + "' should be lowercase");
  if (!matches_casing(instruction.keyword, from.as_keyword))
    reporter.add("FromAsCasing", instruction,
                 "'" + from.as_keyword + "' and '" + instruction.keyword +
                     "' keywords' casing do not match");
  check_description(instruction, {from.name}, reporter);
}

void check_legacy_form(const Instruction& instruction, bool legacy, Reporter& reporter) {
  if (!legacy) return;
  const std::string& name = instruction.name;
  reporter.add("LegacyKeyValueFormat", instruction,
               "\"" + name + " key=value\" should be used instead of legacy \"" + name +
                   " key value\" format");
}

void check_instruction(const Instruction& instruction, Reporter& reporter) {
  if (const auto* from = std::get_if<From>(&instruction.operation)) {
    check_stage_line(instruction, *from, reporter);
  } else if (const auto* env = std::get_if<dockerfile::Env>(&instruction.operation)) {
    check_legacy_form(instruction, env->legacy_form, reporter);
  } else if (const auto* label = std::get_if<dockerfile::Label>(&instruction.operation)) {
    check_legacy_form(instruction, label->legacy_form, reporter);
  } else if (std::holds_alternative<dockerfile::Maintainer>(instruction.operation)) {
    reporter.add("MaintainerDeprecated", instruction,
                 "Maintainer instruction is deprecated in favor of using label");
  } else if (const auto* arg = std::get_if<dockerfile::Arg>(&instruction.operation)) {
    std::vector<std::string> names;
    for (const auto& declaration : arg->declarations) names.push_back(declaration.name);
    check_description(instruction, names, reporter);
  }
}

void check_stage_names(const Dockerfile& file, Reporter& reporter) {
  std::set<std::string> seen;
  for (const Instruction& instruction : file.instructions) {
    const auto* from = std::get_if<From>(&instruction.operation);
    if (from == nullptr || from->name.empty()) continue;
    if (from->name == "scratch" || from->name == "context")
      reporter.add(
          "ReservedStageName", instruction,
          "Stage name should not use the same name as reserved stage " + base::quoted(from->name));
    if (!seen.insert(from->name).second)
      reporter.add(
          "DuplicateStageName", instruction,
          "Duplicate stage name " + base::quoted(from->name) + ", stage names should be unique");
  }
}

/// The instructions of stages; ARGs before the first FROM have no say, as in docker.
void check_casing(const Dockerfile& file, Reporter& reporter) {
  const auto first =
      std::find_if(file.instructions.begin(), file.instructions.end(),
                   [](const Instruction& i) { return std::holds_alternative<From>(i.operation); });
  int lower = 0, upper = 0;
  for (auto it = first; it != file.instructions.end(); ++it) {
    lower += is_lower(it->keyword) ? 1 : 0;
    upper += is_upper(it->keyword) ? 1 : 0;
  }
  const bool wants_lower = lower > upper;
  for (auto it = first; it != file.instructions.end(); ++it)
    if (!(wants_lower ? is_lower(it->keyword) : is_upper(it->keyword)))
      reporter.add("ConsistentInstructionCasing", *it,
                   "Command '" + it->keyword + "' should match the case of the command majority (" +
                       (wants_lower ? "lowercase" : "uppercase") + ")");
}

}  // namespace

void check_syntax(const Dockerfile& file, bool is_whole, Reporter& reporter) {
  for (const dockerfile::ParseWarning& warning : file.warnings) {
    base::SourceRange end = warning.where;  // docker names the last line
    end.first_line = end.last_line;
    reporter.add("NoEmptyContinuation", end, "Empty continuation line");
  }
  for (const Instruction& instruction : file.instructions) check_instruction(instruction, reporter);
  if (!is_whole) return;
  check_stage_names(file, reporter);
  check_casing(file, reporter);
}

}  // namespace strake::check
