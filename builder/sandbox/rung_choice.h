#pragma once

#include <string>
#include <vector>

#include "builder/sandbox/capabilities.h"
#include "builder/sandbox/isolation.h"
#include "builder/sandbox/user_namespace.h"

namespace strake::sandbox {

/// What the choice of a rung depends on, besides the trial of user namespaces.
struct IsolationFacts {
  CapabilitySet capabilities = 0;
  Caller caller;
  std::string user_name;             // "" if the system knows none
  std::string subuid, subgid;        // what is in /etc/subuid and /etc/subgid
  std::string newuidmap, newgidmap;  // paths; "" if not installed
  IdMap own_users, own_groups;
};
IsolationFacts gather_isolation_facts();

/// A rung as far as the facts alone tell.
struct RungOption {
  Isolation isolation = Isolation::root;
  NamespaceMaps maps = {};      // for the rungs with a user namespace
  std::string impossible = "";  // why it cannot be; "" if it may
  std::string knob = "";        // what would make it possible
};

/// All rungs, the best first. Pure.
std::vector<RungOption> rung_options(const IsolationFacts& facts);

}  // namespace strake::sandbox
