#pragma once

#include "builder/sandbox/owners/credential_table.h"
#include "builder/sandbox/owners/request.h"

namespace strake::sandbox {

/// The calls that tell or change who a process is.
Answer tell_identity(const Request& request, const Credentials& who);
Answer change_identity(const Request& request, CredentialTable& table);

/// prlimit and its relatives, of the limit that credentials are kept in: it cannot be changed, and
/// looks as if nothing was in it. PAM sets all limits when a session begins.
Answer limit_time(const Request& request);

/// execve: a set-user-id program makes its thread its owner.
Answer execute(const Request& request, CredentialTable& table);

}  // namespace strake::sandbox
