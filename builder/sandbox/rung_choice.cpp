#include "builder/sandbox/rung_choice.h"

#include <linux/capability.h>
#include <pwd.h>
#include <unistd.h>

#include <array>
#include <cstdlib>

#include "layers/base/error.h"
#include "layers/base/files.h"

namespace strake::sandbox {
namespace {

constexpr const char* kUsualPath = "/usr/local/bin:/usr/bin:/bin";
constexpr std::size_t kLargestIdFile = 16 << 20;

std::string name_of_user(uid_t uid) {
  std::array<char, 16 << 10> buffer;
  struct passwd entry {};
  struct passwd* found = nullptr;
  ::getpwuid_r(uid, &entry, buffer.data(), buffer.size(), &found);
  return found != nullptr ? found->pw_name : "";
}

std::string find_program(const std::string& name) {
  const char* given = std::getenv("PATH");
  std::string_view path = given != nullptr ? given : kUsualPath;
  while (!path.empty()) {
    const std::size_t end = std::min(path.find(':'), path.size());
    std::string file = std::string(path.substr(0, end)) + "/" + name;
    if (file.front() == '/' && ::access(file.c_str(), X_OK) == 0) return file;
    path.remove_prefix(std::min(end + 1, path.size()));
  }
  return "";
}

std::string read_id_file(const char* file) {
  return base::read_file(file, kLargestIdFile).value_or("");
}

bool may_map_any_id(const IsolationFacts& facts) {
  // CAP_SETFCAP: without it the kernel lets nobody map id 0 of the namespace above.
  for (const int needed : {CAP_SETUID, CAP_SETGID, CAP_SETFCAP})
    if (!has_capability(facts.capabilities, needed)) return false;
  return true;
}

RungOption as_root(const IsolationFacts& facts) {
  RungOption option{.isolation = Isolation::root};
  if (has_capability(facts.capabilities, CAP_SYS_ADMIN)) return option;
  option.impossible = facts.caller.uid == 0 ? "no CAP_SYS_ADMIN" : "not root";
  option.knob = facts.caller.uid == 0 ? "give the container CAP_SYS_ADMIN" : "run as root";
  return option;
}

/// With the capabilities for it (root in a container) all ids that we have ourselves; else those
/// that the administrator lent us.
RungOption with_range(const IsolationFacts& facts) {
  RungOption option{.isolation = Isolation::user_range};
  if (may_map_any_id(facts)) {
    option.maps.users = identity_of(facts.own_users);
    option.maps.groups = identity_of(facts.own_groups);
    if (count_ids(facts.own_users) > 1 && count_ids(facts.own_groups) > 1 && facts.caller.uid == 0)
      return option;
  }
  const std::string& name = facts.user_name;
  const Caller& caller = facts.caller;
  const std::string shown = base::quoted(name.empty() ? std::to_string(caller.uid) : name);
  const std::vector<IdRange> users = subordinate_ids(facts.subuid, name, caller.uid);
  const std::vector<IdRange> groups = subordinate_ids(facts.subgid, name, caller.uid);
  if (users.empty() || groups.empty()) {
    option.impossible = std::string("no range in ") +
                        (users.empty() ? "/etc/subuid" : "/etc/subgid") + " for " + shown;
    option.knob = "as root: usermod --add-subuids 100000-165535 --add-subgids 100000-165535 " +
                  (name.empty() ? std::to_string(caller.uid) : name);
    if (facts.newuidmap.empty()) option.knob = "install the package uidmap, and " + option.knob;
  } else if (facts.newuidmap.empty() || facts.newgidmap.empty()) {
    option.impossible = facts.newuidmap.empty() ? "no newuidmap" : "no newgidmap";
    option.knob = "install the package uidmap";
  }
  option.maps = {.users = map_below_root(caller.uid, users),
                 .groups = map_below_root(caller.gid, groups),
                 .writer = NamespaceMaps::Writer::newidmap,
                 .newuidmap = facts.newuidmap,
                 .newgidmap = facts.newgidmap};
  return option;
}

RungOption with_one_id(const IsolationFacts& facts) {
  RungOption option{.isolation = Isolation::user_one};
  option.maps.users = map_below_root(facts.caller.uid, {});
  option.maps.groups = map_below_root(facts.caller.gid, {});
  option.maps.give_up_setgroups = true;
  return option;
}

RungOption in_chroot(const IsolationFacts& facts) {
  RungOption option{.isolation = Isolation::chroot};
  if (has_capability(facts.capabilities, CAP_SYS_CHROOT)) return option;
  option.impossible = "no CAP_SYS_CHROOT";
  option.knob = "give the container CAP_SYS_CHROOT";
  return option;
}

}  // namespace

IsolationFacts gather_isolation_facts() {
  IsolationFacts facts;
  facts.capabilities = own_capabilities();
  facts.caller = caller();
  facts.user_name = name_of_user(facts.caller.uid);
  facts.subuid = read_id_file("/etc/subuid");
  facts.subgid = read_id_file("/etc/subgid");
  facts.newuidmap = find_program("newuidmap");
  facts.newgidmap = find_program("newgidmap");
  facts.own_users = own_user_map();
  facts.own_groups = own_group_map();
  return facts;
}

std::vector<RungOption> rung_options(const IsolationFacts& facts) {
  return {as_root(facts), with_range(facts), with_one_id(facts), in_chroot(facts)};
}

}  // namespace strake::sandbox
