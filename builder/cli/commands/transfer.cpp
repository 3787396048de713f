#include "builder/cli/commands/commands.h"
#include "builder/cli/terminal_io.h"
#include "builder/exec/transfer_images.h"
#include "builder/images/publish_into.h"
#include "layers/base/error.h"

namespace strake::cli {
namespace {

std::string joined(const std::vector<oci::Platform>& platforms) {
  std::string text;
  for (const oci::Platform& platform : platforms)
    text += (text.empty() ? "" : ", ") + platform.str();
  return text;
}

/// The digest of the index, once it is complete; nothing while this job has to be followed by
/// others.
void push_into(const PushCommand& command, Session& session) {
  std::string digest, waiting;
  const oci::Reference& into = *command.into;
  with_display(session, command.quiet, [&](builder::Machine& machine) {
    const auto children = builder::push_by_digest(
        command.names.front(), into.repository, command.platform,
        {command.compression, command.compression_level}, machine, session.stop());
    for (const auto& child : children) {
      const builder::PublishedInto published = builder::publish_into(
          machine.registry, into, child, {.required = command.required}, session.stop());
      digest = published.index ? published.index->descriptor.digest.str() + "\n" : "";
      waiting = joined(published.missing);
    }
  });
  if (!waiting.empty())
    print_error(into.familiar() + " is waiting for " + waiting +
                ": whoever pushes the last of them publishes it\n");
  print(digest);
}

}  // namespace

void run(const PushCommand& command, Session& session) {
  if (command.into) return push_into(command, session);
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
