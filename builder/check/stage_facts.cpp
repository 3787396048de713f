#include "builder/check/stage_facts.h"

#include <algorithm>

#include "builder/dockerfile/glob.h"
#include "builder/dockerfile/words.h"

namespace strake::check {
namespace {

using dockerfile::Instruction;

constexpr int kDeepestScript = 4;  // sh -c "sh -c '…'"

/// An unquoted `$NAME` or `${NAME}` whose value is known becomes the words of its value.
std::vector<ShellWord> resolve(const ShellWord& word, const Scope& scope) {
  if (word.literal || word.quoted || !word.text.starts_with('$')) return {word};
  std::string name = word.text.substr(1);
  if (name.starts_with('{') && name.ends_with('}')) name = name.substr(1, name.size() - 2);
  const std::optional<std::string_view> value = scope.find(name);
  if (!value) return {word};
  std::vector<ShellWord> words;
  for (std::string& part : dockerfile::split_blanks(*value)) words.push_back({std::move(part)});
  return words;
}

/// Whether a shell was asked to fail with any command of a pipe.
bool sets_pipefail(const std::vector<std::string>& shell) {
  return std::find(shell.begin(), shell.end(), "pipefail") != shell.end();
}

/// The shell that reads a script with a "#!" line.
bool is_shell_script(std::string_view text) {
  const std::string_view line = text.substr(0, text.find('\n'));
  for (const std::string& word : dockerfile::split_blanks(line)) {
    std::string_view program = word;
    if (program.starts_with("#!")) program.remove_prefix(2);
    program = program.substr(program.rfind('/') + 1);
    if (is_shell(program)) return true;
  }
  return false;
}

class ScriptFacts {
 public:
  ScriptFacts(RunFacts& run, const Scope& scope) : run_(run), scope_(scope) {}

  void read(std::string_view text, int nesting) {
    ShellScript script = read_shell(text);
    if (!script.understood) run_.understood = false;
    for (ShellCommand& command : script.commands) {
      std::vector<ShellWord> words;
      for (const ShellWord& word : command.words)
        for (ShellWord& part : resolve(word, scope_)) words.push_back(std::move(part));
      command.words = std::move(words);
      add(command, nesting);
    }
  }

  void add(const ShellCommand& command, int nesting) {
    std::optional<Invocation> invocation = invocation_of(command);
    if (!invocation) {  // "NAME=value;": for what follows
      for (const ShellWord& word : command.assignments)
        run_.variables.insert(word.text.substr(0, word.text.find('=')));
      return;
    }
    if (invocation->program == "export")
      for (const ShellWord& word : invocation->arguments)
        run_.variables.insert(word.text.substr(0, word.text.find('=')));
    invocation->depth += nesting;
    const std::optional<std::string> inner = inner_script(*invocation);
    run_.commands.push_back(std::move(*invocation));
    if (inner && nesting < kDeepestScript) read(*inner, nesting + 1);
  }

 private:
  RunFacts& run_;
  const Scope& scope_;
};

std::string parent_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  return slash == 0 || slash == std::string::npos ? "/" : path.substr(0, slash);
}

}  // namespace

bool RunFacts::has_mount_over(std::string_view path) const {
  return std::any_of(mounts.begin(), mounts.end(), [&](const dockerfile::Mount& mount) {
    if (mount.target.empty()) return false;
    const std::string target = dockerfile::clean_path(mount.target);
    for (std::string at(path); at.size() > 1; at = parent_of(at))
      if (at == target) return true;
    return false;
  });
}

std::optional<std::string> TransferFacts::absolute_destination() const {
  std::string path = destination;
  if (!path.starts_with('/')) {
    if (!workdir) return std::nullopt;
    path = *workdir + "/" + path;
  }
  const bool is_directory = path.ends_with('/') || path.ends_with("/.");
  path = dockerfile::clean_path(path);
  return is_directory && path != "/" ? path + "/" : path;
}

const StageFacts& StageFacts::bottom() const {
  const StageFacts* at = this;
  while (at->base != nullptr) at = at->base;
  return *at;
}

void FactsCollector::add(const Instruction& instruction, const Scope& scope) {
  facts_.instructions.push_back(&instruction);
  const auto& operation = instruction.operation;
  if (const auto* run = std::get_if<dockerfile::Run>(&operation)) {
    add_run(instruction, *run, scope);
  } else if (const auto* copy = std::get_if<dockerfile::Copy>(&operation)) {
    add_transfer(instruction, copy->transfer, copy->from.empty(), false, scope);
  } else if (const auto* add = std::get_if<dockerfile::Add>(&operation)) {
    add_transfer(instruction, add->transfer, true, true, scope);
  } else if (std::holds_alternative<dockerfile::User>(operation)) {
    facts_.user_instruction = &instruction;
  } else if (std::holds_alternative<dockerfile::Cmd>(operation)) {
    facts_.cmd = &instruction;
  } else if (std::holds_alternative<dockerfile::Entrypoint>(operation)) {
    facts_.entrypoint = &instruction;
  }
}

void FactsCollector::add_run(const Instruction& instruction, const dockerfile::Run& run,
                             const Scope& scope) {
  RunFacts facts;
  facts.instruction = &instruction;
  facts.workdir = scope.workdir();
  facts.user = scope.user();
  for (const std::string& name : scope.names()) facts.variables.insert(name);
  for (const dockerfile::RunMount& mount : run.mounts)
    facts.mounts.push_back(dockerfile::resolve_mount(
        mount, [&](std::string_view word) { return scope.expand(word).text; }));

  ScriptFacts script(facts, scope);
  if (const auto* exec = std::get_if<dockerfile::ExecForm>(&run.command)) {
    ShellCommand command;
    for (const std::string& argument : exec->argv)
      command.words.push_back({.text = argument, .quoted = true});
    script.add(command, 0);
  } else {
    const dockerfile::RunScript text = dockerfile::run_script(run);
    facts.text = text.text;
    facts.has_script = !run.heredocs.empty();
    const auto& shell = scope.shell();
    facts.has_pipefail = shell && sets_pipefail(*shell);
    const std::string program = shell && !shell->empty() ? shell->front() : "/bin/sh";
    facts.understood = text.has_interpreter ? is_shell_script(text.text)
                                            : is_shell(program.substr(program.rfind('/') + 1));
    if (facts.understood) script.read(text.text, 0);
  }
  facts_.steps.emplace_back(std::move(facts));
}

void FactsCollector::add_transfer(const Instruction& instruction,
                                  const dockerfile::Transfer& transfer, bool from_context,
                                  bool is_add, const Scope& scope) {
  TransferFacts facts;
  facts.instruction = &instruction;
  facts.from_context = from_context;
  facts.is_add = is_add;
  for (const std::string& source : transfer.sources)
    facts.sources.push_back(scope.expand(source).text);
  facts.destination = scope.expand(transfer.destination).text;
  facts.has_inline_files = !transfer.heredocs.empty();
  facts.workdir = scope.workdir();
  facts.has_workdir = scope.has_workdir();
  facts_.steps.emplace_back(std::move(facts));
}

}  // namespace strake::check
