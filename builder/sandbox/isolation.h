#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <string_view>

namespace strake::sandbox {

/// The rungs of the ladder, the best one first. They differ in who the builder is; on the first
/// three it has all capabilities (in its own user namespace on the second and third), so that what
/// is written for root works.
enum class Isolation {
  root,        // CAP_SYS_ADMIN of the machine, or of whatever namespace the builder was started in
  user_range,  // an own user namespace with a range of ids
  user_one,    // an own user namespace in which there is only id 0
  chroot,      // nothing but CAP_SYS_CHROOT: neither mounts nor namespaces
};

/// "root", "user", "user-one", "chroot".
std::string_view name_of(Isolation isolation) noexcept;

/// The reverse; "auto" is nullopt. Throws Error(invalid_input) for another word.
std::optional<Isolation> parse_isolation(std::string_view word);

/// The rung that was taken, and a sentence without full stop that says why it was no better one:
/// "no range in /etc/subuid for \"alice\"; install uidmap"; for `root` what makes it possible.
struct Rung {
  Isolation isolation = Isolation::root;
  std::string why;
};

/// Takes a rung: `wanted`, or (nullopt) the best one that works here. On `user_range` and
/// `user_one` this process is in new user and mount namespaces afterwards, as uid and gid 0 with
/// all capabilities there; its files' owners are what it was before. On the other two nothing
/// changes.
///
/// To be called at most once and before there is a second thread, before the store is opened and
/// before anything is looked up by the user's id. Costs nothing on `root`. Throws
/// Error(unsupported) with the knob as hint if `wanted`, or every rung, is impossible here.
Rung enter_isolation(std::optional<Isolation> wanted);

/// The rung this process is on: the one that was entered; before that, `root` with CAP_SYS_ADMIN,
/// else `chroot`.
Isolation current_isolation() noexcept;

/// Whether files can have this owner and processes this id here. All can on `root` of a machine.
bool is_mapped_user(uid_t id);
bool is_mapped_group(gid_t id);

}  // namespace strake::sandbox
