#include "builder/dockerfile/instruction.h"

namespace strake::dockerfile {

RunScript run_script(const Run& run) {
  const auto* shell = std::get_if<ShellForm>(&run.command);
  if (shell == nullptr) return {};
  if (run.heredocs.size() == 1 && parse_heredoc_word(shell->text)) {
    const Heredoc& heredoc = run.heredocs[0];
    return {heredoc.content.starts_with("#!"), heredoc.name, heredoc.body()};
  }
  RunScript script{false, {}, shell->text};
  for (const Heredoc& heredoc : run.heredocs) script.text += "\n" + heredoc.content + heredoc.name;
  return script;
}

}  // namespace strake::dockerfile
