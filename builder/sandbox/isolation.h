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

/// The rung that was taken.
struct Rung {
  Isolation isolation = Isolation::root;
  /// Why it is no better one, and what would change that; for `root` what makes it possible. No
  /// full stop: `no range in /etc/subuid for "alice"; …`.
  std::string why;

  /// `user namespace with one id (no range …)`.
  std::string describe() const;
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

/// What enter_isolation(nullopt) would take: tries the same, in child processes only. Throws the
/// same.
Rung best_isolation();

/// The rung this process is on: the one that was entered; before that, `root` with CAP_SYS_ADMIN,
/// else `chroot`.
Isolation current_isolation() noexcept;

/// What enter_isolation() returned; nothing before that.
const std::optional<Rung>& entered_rung() noexcept;

/// Who started this process, as numbered where it was started: the same after enter_isolation().
struct Caller {
  uid_t uid = 0;
  gid_t gid = 0;
};
Caller caller() noexcept;

/// Whether files can have this owner and processes this id here. All can on `root` of a machine.
bool is_mapped_user(uid_t id);
bool is_mapped_group(gid_t id);

}  // namespace strake::sandbox
