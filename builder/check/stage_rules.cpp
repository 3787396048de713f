#include <algorithm>
#include <array>

#include "builder/check/docker_rules.h"
#include "builder/dockerfile/ports.h"
#include "builder/dockerfile/words.h"

namespace strake::check {
namespace {

using dockerfile::Instruction;

/// Known to builders without being declared.
bool is_known_to_builders(const std::string& name) {
  return name == "BUILDKIT_SBOM_SCAN_CONTEXT" || name == "BUILDKIT_SBOM_SCAN_STAGE";
}

void add_transfer(const dockerfile::Transfer& transfer, std::vector<std::string>& words) {
  if (transfer.chown) words.push_back(*transfer.chown);
  if (transfer.chmod) words.push_back(*transfer.chmod);
  words.insert(words.end(), transfer.sources.begin(), transfer.sources.end());
  words.push_back(transfer.destination);
}

/// The words in which docker expands variables and looks for undefined ones. EXPOSE is not among
/// them.
std::vector<std::string> expanded_words(const Instruction& instruction) {
  std::vector<std::string> words;
  const auto& operation = instruction.operation;
  const auto add_pairs = [&words](const std::vector<dockerfile::KeyValue>& pairs) {
    for (const auto& [key, value] : pairs) words.insert(words.end(), {key, value});
  };
  if (const auto* env = std::get_if<dockerfile::Env>(&operation)) {
    add_pairs(env->pairs);
  } else if (const auto* label = std::get_if<dockerfile::Label>(&operation)) {
    add_pairs(label->pairs);
  } else if (const auto* arg = std::get_if<dockerfile::Arg>(&operation)) {
    for (const auto& declaration : arg->declarations)
      if (declaration.default_value) words.push_back(*declaration.default_value);
  } else if (const auto* copy = std::get_if<dockerfile::Copy>(&operation)) {
    add_transfer(copy->transfer, words);
  } else if (const auto* add = std::get_if<dockerfile::Add>(&operation)) {
    add_transfer(add->transfer, words);
    if (add->checksum) words.push_back(*add->checksum);
  } else if (const auto* run = std::get_if<dockerfile::Run>(&operation)) {
    for (const dockerfile::RunMount& mount : run->mounts)
      for (const dockerfile::MountOption& option : mount.options)
        if (option.value && option.key != "from") words.push_back(*option.value);
  } else if (const auto* workdir = std::get_if<dockerfile::Workdir>(&operation)) {
    words.push_back(workdir->path);
  } else if (const auto* user = std::get_if<dockerfile::User>(&operation)) {
    words.push_back(user->user);
  } else if (const auto* volume = std::get_if<dockerfile::Volume>(&operation)) {
    words = volume->paths;
  } else if (const auto* stopsignal = std::get_if<dockerfile::Stopsignal>(&operation)) {
    words.push_back(stopsignal->signal);
  }
  return words;
}

const std::vector<dockerfile::Heredoc>* inline_files(const Instruction& instruction) {
  if (const auto* copy = std::get_if<dockerfile::Copy>(&instruction.operation))
    return &copy->transfer.heredocs;
  if (const auto* add = std::get_if<dockerfile::Add>(&instruction.operation))
    return &add->transfer.heredocs;
  return nullptr;
}

/// Whether one of the words between the underscores of `name` is among `words`.
template <std::size_t N>
bool has_word(const std::string& name, const std::array<std::string_view, N>& words) {
  std::string_view rest = name;
  while (true) {
    const std::size_t end = std::min(rest.find('_'), rest.size());
    if (std::find(words.begin(), words.end(), rest.substr(0, end)) != words.end()) return true;
    if (end == rest.size()) return false;
    rest.remove_prefix(end + 1);
  }
}

bool names_a_secret(const std::string& name) {
  constexpr auto kSecret =
      std::to_array<std::string_view>({"apikey", "auth", "credential", "credentials", "key",
                                       "password", "pword", "passwd", "secret", "token"});
  constexpr auto kHarmless = std::to_array<std::string_view>({"public", "file", "version"});
  const std::string lower = dockerfile::to_lower(name);
  return has_word(lower, kSecret) && !has_word(lower, kHarmless);
}

bool is_shell_form(const Instruction& instruction) {
  if (const auto* cmd = std::get_if<dockerfile::Cmd>(&instruction.operation))
    return std::holds_alternative<dockerfile::ShellForm>(cmd->command);
  if (const auto* entrypoint = std::get_if<dockerfile::Entrypoint>(&instruction.operation))
    return std::holds_alternative<dockerfile::ShellForm>(entrypoint->command);
  return false;
}

}  // namespace

void StageRules::check(const Instruction& instruction, const Scope& scope) {
  check_variables(instruction, scope);
  const auto& operation = instruction.operation;
  if (const auto* env = std::get_if<dockerfile::Env>(&operation)) {
    for (const dockerfile::KeyValue& pair : env->pairs)
      check_secret_name(instruction, "ENV", scope.expand(pair.key).text);
  } else if (const auto* arg = std::get_if<dockerfile::Arg>(&operation)) {
    for (const auto& declaration : arg->declarations)
      check_secret_name(instruction, "ARG", declaration.name);
  } else if (std::holds_alternative<dockerfile::Expose>(operation)) {
    check_ports(instruction, scope);
  } else if (const auto* workdir = std::get_if<dockerfile::Workdir>(&operation)) {
    const std::string path = scope.expand(workdir->path).text;
    if (!scope.has_workdir() && !path.starts_with('/'))
      reporter_.add("WorkdirRelativePath", instruction,
                    "Relative workdir " + base::quoted(path) +
                        " can have unexpected results if the base image changes");
  }
  check_transfer(instruction, scope);
  check_used_once(instruction);
  if (is_shell_form(instruction) && !scope.shell())
    reporter_.add("JSONArgsRecommended", instruction,
                  "JSON arguments recommended for " + instruction.keyword +
                      " to prevent unintended behavior related to OS signals");
}

void StageRules::check_variables(const Instruction& instruction, const Scope& scope) {
  const auto report = [&](const std::set<std::string, std::less<>>& unmatched) {
    for (const std::string& name : unmatched) {
      if (scope.declares(name) || is_known_to_builders(name)) continue;
      std::string detail = "Usage of undefined variable '$" + name + "'";
      const std::string near = suggestion(name, scope.names());
      if (!near.empty()) detail += " (did you mean $" + near + "?)";
      reporter_.add("UndefinedVar", instruction, std::move(detail));
    }
  };
  for (const std::string& word : expanded_words(instruction))
    report(scope.expand(word).variables.unmatched);
  const std::vector<dockerfile::Heredoc>* files = inline_files(instruction);
  if (files == nullptr) return;
  const auto lookup = [&](std::string_view name) { return scope.find(name); };
  for (const dockerfile::Heredoc& file : *files)
    if (file.expand)
      report(dockerfile::expand_heredoc_body(file.body(), lookup).variables.unmatched);
}

void StageRules::check_transfer(const Instruction& instruction, const Scope& scope) {
  // Which file a "!" takes back cannot be told without the files.
  if (options_.ignored == nullptr || options_.ignored->has_negations()) return;
  const auto* copy = std::get_if<dockerfile::Copy>(&instruction.operation);
  const auto* add = std::get_if<dockerfile::Add>(&instruction.operation);
  if ((copy == nullptr || !copy->from.empty()) && add == nullptr) return;
  const dockerfile::Transfer& transfer = copy != nullptr ? copy->transfer : add->transfer;
  for (const std::string& source : transfer.sources) {
    const std::string expanded = scope.expand(source).text;
    if (expanded.find("://") != std::string::npos) continue;
    const std::string path = dockerfile::clean_path(expanded);
    if (options_.ignored->excludes(path))
      reporter_.add("CopyIgnoredFile", instruction,
                    std::string("Attempting to ") + (copy != nullptr ? "Copy" : "Add") + " file " +
                        base::quoted(path) + " that is excluded by .dockerignore");
  }
}

void StageRules::check_ports(const Instruction& instruction, const Scope& scope) {
  for (const std::string& word : std::get<dockerfile::Expose>(instruction.operation).words) {
    const auto lookup = [&](std::string_view name) { return scope.find(name); };
    for (const std::string& port :
         dockerfile::expand_to_words(word, lookup, {.escape = scope.escape()}).words) {
      const dockerfile::PortRange range = dockerfile::parse_port_range(port);
      if (range.protocol_in_upper_case)
        reporter_.add("ExposeProtoCasing", instruction,
                      "Defined protocol '" + port + "' in EXPOSE instruction should be lowercase");
      if (range.has_host_part)
        reporter_.add("ExposeInvalidFormat", instruction,
                      "EXPOSE instruction should not define an IP address or host-port mapping, "
                      "found '" +
                          port + "'");
    }
  }
}

void StageRules::check_used_once(const Instruction& instruction) {
  if (instruction.name != "CMD" && instruction.name != "ENTRYPOINT" &&
      instruction.name != "HEALTHCHECK")
    return;
  const auto [last, is_first] = last_.try_emplace(instruction.name, instruction.where);
  if (is_first) return;
  // At the earlier one: that is the one without effect.
  reporter_.add("MultipleInstructionsDisallowed", instruction, last->second,
                "Multiple " + instruction.keyword +
                    " instructions should not be used in the same stage because only the last one "
                    "will be used");
  last->second = instruction.where;
}

void StageRules::check_secret_name(const Instruction& instruction, const char* keyword,
                                   const std::string& name) {
  if (names_a_secret(name))
    reporter_.add("SecretsUsedInArgOrEnv", instruction,
                  std::string("Do not use ARG or ENV instructions for sensitive data (") + keyword +
                      " " + base::quoted(name) + ")");
}

}  // namespace strake::check
