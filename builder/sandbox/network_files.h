#pragma once

#include <string>

#include "builder/sandbox/sandbox.h"

namespace strake::sandbox {

/// Content of the /etc/hosts of a step on the host `hostname`: loopback, that name, and what the
/// user added.
std::string hosts_file(const Spec& spec, const std::string& hostname);

/// Content of the step's /etc/resolv.conf: what the spec says, else the host's. Without a network
/// there is nobody to ask, so name servers are left out; in a private one the program that connects
/// it answers.
std::string resolver_file(const Spec& spec);

}  // namespace strake::sandbox
