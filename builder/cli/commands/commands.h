#pragma once

#include "builder/cli/arguments.h"
#include "builder/cli/diagnostics.h"
#include "builder/cli/session.h"

namespace strake::cli {

// What each verb does: results on stdout, everything else on stderr. All throw base::Error.
void run(const HelpCommand& command);
void run(const VersionCommand& command);
/// What was found is an answer, not an error, but the status tells scripts.
ExitStatus run(const CheckCommand& command);
void run(const BuildCommand& command, Session& session);
/// Returns the exit status of the command that was run.
int run(const RunCommand& command, Session& session);
void run(const PushCommand& command, Session& session);
void run(const PullCommand& command, Session& session);
void run(const ImportCommand& command, Session& session);
void run(const ImagesCommand& command, Session& session);
void run(const TagCommand& command, Session& session);
void run(const RemoveCommand& command, Session& session);
void run(const InspectCommand& command, Session& session);
void run(const HistoryCommand& command, Session& session);
void run(const LoginCommand& command, Session& session);
void run(const LogoutCommand& command, Session& session);
void run(const PruneCommand& command, Session& session);
void run(const DoctorCommand& command, Session& session);
void run(const IndexCreateCommand& command, Session& session);
void run(const IndexRemoveCommand& command, Session& session);
void run(const IndexAnnotateCommand& command, Session& session);
void run(const IndexInspectCommand& command, Session& session);
void run(const CopyCommand& command, Session& session);
void run(const TagsCommand& command, Session& session);
void run(const DeleteCommand& command, Session& session);
void run(const DigestCommand& command, Session& session);
void run(const ReferrersCommand& command, Session& session);
void run(const AttachCommand& command, Session& session);

}  // namespace strake::cli
