#pragma once

#include <sys/types.h>

#include <compare>
#include <cstdint>
#include <vector>

namespace strake::sandbox {

/// "Leave it as it is" in calls that set ids: -1.
inline constexpr std::uint32_t kUnchanged = 0xffffffff;

/// The user ids, or the group ids, of a process.
struct Ids {
  std::uint32_t real = 0, effective = 0, saved = 0, file_system = 0;
  auto operator<=>(const Ids&) const = default;
};

/// Who a process of a step believes to be, where the kernel knows one id only.
///
/// There are no capabilities among them: effective user 0 may do everything, others may not, as if
/// nobody had heard of PR_SET_KEEPCAPS.
struct Credentials {
  Ids users, groups;
  std::vector<std::uint32_t> supplementary;  // as set, in that order

  bool is_privileged() const noexcept { return users.effective == 0; }
  bool is_in_group(std::uint32_t group) const noexcept;
  auto operator<=>(const Credentials&) const = default;
};

/// Of a process that starts as this user.
Credentials credentials_of(std::uint32_t uid, std::uint32_t gid,
                           std::vector<std::uint32_t> supplementary);

// The rules of credentials(7), setuid(2), setreuid(2), setresuid(2) and setfsuid(2); those for
// groups are the same. They return 0 or EPERM or EINVAL, and then change nothing.

int set_id(Ids& ids, bool privileged, std::uint32_t id) noexcept;
int set_real_and_effective(Ids& ids, bool privileged, std::uint32_t real,
                           std::uint32_t effective) noexcept;
int set_all_ids(Ids& ids, bool privileged, std::uint32_t real, std::uint32_t effective,
                std::uint32_t saved) noexcept;
/// Returns the id from before, whether it changed or not.
std::uint32_t set_file_system_id(Ids& ids, bool privileged, std::uint32_t id) noexcept;

/// execve: `effective` is the owner of a set-user-id program, or kUnchanged.
void execute_as(Ids& ids, std::uint32_t effective) noexcept;

/// chown(2): whether a file of `uid`:`gid` may be given to `new_uid`:`new_gid` (kUnchanged: the
/// same). 0 or EPERM.
int check_change_of_owner(const Credentials& who, std::uint32_t uid, std::uint32_t gid,
                          std::uint32_t new_uid, std::uint32_t new_gid) noexcept;

}  // namespace strake::sandbox
