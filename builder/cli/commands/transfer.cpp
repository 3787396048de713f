#include "builder/cli/commands/commands.h"
#include "builder/cli/terminal_io.h"
#include "builder/exec/transfer_images.h"

namespace strake::cli {

void run(const PushCommand& command, Session& session) {
  std::string digests;
  with_display(session, command.quiet, [&](builder::Machine& machine) {
    for (const oci::Reference& name : command.names)
      digests += builder::push_image(name, name, command.compression, command.compression_level,
                                     machine, session.stop())
                     .digest.str() +
                 "\n";
  });
  print(digests);
}

void run(const PullCommand& command, Session& session) {
  std::string names;
  with_display(session, command.quiet, [&](builder::Machine& machine) {
    for (const oci::Reference& name : command.names) {
      builder::pull_image(name, command.platform, command.policy, machine, session.stop());
      names += name.str() + "\n";
    }
  });
  print(names);
}

void run(const ImportCommand& command, Session& session) {
  base::Digest id;
  with_display(session, false, [&](builder::Machine& machine) {
    id = builder::import_rootfs(command.source, command.name, command.platform, command.changes,
                                machine, session.stop());
  });
  print(id.str() + "\n");
}

}  // namespace strake::cli
