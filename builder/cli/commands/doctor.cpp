#include "builder/sandbox/doctor.h"

#include <unistd.h>

#include <nlohmann/json.hpp>

#include "builder/cli/commands/commands.h"
#include "builder/cli/diagnostics.h"
#include "builder/cli/terminal_io.h"
#include "builder/cli/terminal_text.h"

namespace strake::cli {
namespace {

std::string to_json(const sandbox::Diagnosis& diagnosis) {
  nlohmann::ordered_json checks = nlohmann::ordered_json::array();
  for (const sandbox::Check& check : diagnosis.checks)
    checks.push_back({{"feature", check.feature},
                      {"ok", check.ok},
                      {"detail", check.detail},
                      {"gives", check.gives},
                      {"knob", check.knob}});
  const nlohmann::ordered_json out{
      {"isolation", diagnosis.isolation}, {"why", diagnosis.why}, {"checks", std::move(checks)}};
  return out.dump(2) + "\n";
}

/// A line for what there is and what it gives; below what is missing, what would change that.
std::string to_text(const sandbox::Diagnosis& diagnosis, const Palette& palette) {
  std::size_t width = 0;
  for (const sandbox::Check& check : diagnosis.checks)
    width = std::max(width, check.feature.size());
  std::string out = "isolation: " + printable(diagnosis.why) + "\n\n";
  for (const sandbox::Check& check : diagnosis.checks) {
    const std::string gap(width - check.feature.size() + 2, ' ');
    out += (check.ok ? palette.green(" yes  ") : palette.yellow(" no   ")) + check.feature + gap +
           check.gives + " (" + printable(check.detail) + ")\n";
    if (!check.knob.empty())
      out += std::string(6 + width + 2, ' ') + palette.cyan("to have it: ") +
             printable(check.knob) + "\n";
  }
  return out;
}

}  // namespace

void run(const DoctorCommand& command, Session& session) {
  const sandbox::Diagnosis diagnosis = sandbox::diagnose(session.store().root());
  const Palette palette(colour_for(STDOUT_FILENO) == Colour::yes);
  print(command.format.kind == OutputFormat::Kind::json ? to_json(diagnosis)
                                                        : to_text(diagnosis, palette));
}

}  // namespace strake::cli
