#pragma once

#include "builder/sandbox/owners/credentials.h"
#include "builder/sandbox/owners/request.h"

namespace strake::sandbox {

/// chown and its relatives: the kernel changes what it can, which clears setuid bits and
/// capabilities as it should, and the owner is recorded.
Answer change_owner(const Request& request, const Credentials& who);

/// stat and its relatives, for files that something is recorded of.
Answer report_status(const Request& request);

/// listxattr and its relatives: what is recorded is nothing that cp or tar should copy.
Answer list_attributes(const Request& request);

}  // namespace strake::sandbox
