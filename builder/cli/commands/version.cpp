#include <nlohmann/json.hpp>

#include "builder/cli/commands/commands.h"
#include "builder/cli/terminal_io.h"
#include "layers/oci/platform.h"

namespace strake::cli {

void run(const HelpCommand& command) {
  print(command.text);
}

void run(const VersionCommand& command) {
  if (command.format.kind == OutputFormat::Kind::table)
    return print("strake version " STRAKE_VERSION "\n");
  const nlohmann::ordered_json out{{"Version", STRAKE_VERSION},
                                   {"Platform", oci::host_platform().str()}};
  print(out.dump() + "\n");
}

}  // namespace strake::cli
