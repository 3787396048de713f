#include "builder/sandbox/doctor.h"

#include <unistd.h>

#include <nlohmann/json.hpp>

#include "builder/cli/commands/commands.h"
#include "builder/cli/diagnostics.h"
#include "builder/cli/terminal_io.h"
#include "builder/cli/terminal_text.h"

namespace strake::cli {
namespace {

std::string to_json(const std::vector<sandbox::Check>& checks) {
  nlohmann::ordered_json out = nlohmann::ordered_json::array();
  for (const sandbox::Check& check : checks)
    out.push_back({{"feature", check.feature},
                   {"ok", check.ok},
                   {"detail", check.detail},
                   {"knob", check.knob}});
  return out.dump(2) + "\n";
}

std::string to_text(const std::vector<sandbox::Check>& checks, const Palette& palette) {
  std::size_t width = 0;
  for (const sandbox::Check& check : checks) width = std::max(width, check.feature.size());
  std::string out;
  for (const sandbox::Check& check : checks) {
    const std::string gap(width - check.feature.size() + 2, ' ');
    out += (check.ok ? palette.green(" ok  ") : palette.yellow(" no  ")) + check.feature + gap +
           printable(check.detail) + "\n";
    if (!check.knob.empty())
      out += std::string(5 + width + 2, ' ') + palette.cyan("to have it: ") +
             printable(check.knob) + "\n";
  }
  return out;
}

}  // namespace

void run(const DoctorCommand& command, Session& session) {
  const std::vector<sandbox::Check> checks = sandbox::diagnose(session.store().root());
  const Palette palette(colour_for(STDOUT_FILENO) == Colour::yes);
  print(command.format.kind == OutputFormat::Kind::json ? to_json(checks)
                                                        : to_text(checks, palette));
}

}  // namespace strake::cli
