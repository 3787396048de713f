#include "builder/sandbox/owners/credentials.h"

#include <algorithm>
#include <cerrno>
#include <utility>

namespace strake::sandbox {
namespace {

bool is_real_or_effective(const Ids& ids, std::uint32_t id) noexcept {
  return id == ids.real || id == ids.effective;
}

bool is_own(const Ids& ids, std::uint32_t id) noexcept {
  return is_real_or_effective(ids, id) || id == ids.saved;
}

}  // namespace

bool Credentials::is_in_group(std::uint32_t group) const noexcept {
  return group == groups.file_system ||
         std::find(supplementary.begin(), supplementary.end(), group) != supplementary.end();
}

Credentials credentials_of(std::uint32_t uid, std::uint32_t gid,
                           std::vector<std::uint32_t> supplementary) {
  return {{uid, uid, uid, uid}, {gid, gid, gid, gid}, std::move(supplementary)};
}

int set_id(Ids& ids, bool privileged, std::uint32_t id) noexcept {
  if (id == kUnchanged) return EINVAL;
  if (privileged)
    ids.real = ids.saved = id;
  else if (id != ids.real && id != ids.saved)
    return EPERM;
  ids.effective = ids.file_system = id;
  return 0;
}

int set_real_and_effective(Ids& ids, bool privileged, std::uint32_t real,
                           std::uint32_t effective) noexcept {
  if (!privileged && real != kUnchanged && !is_real_or_effective(ids, real)) return EPERM;
  if (!privileged && effective != kUnchanged && !is_own(ids, effective)) return EPERM;
  const std::uint32_t real_before = ids.real;
  if (real != kUnchanged) ids.real = real;
  if (effective != kUnchanged) ids.effective = effective;
  if (real != kUnchanged || (effective != kUnchanged && effective != real_before))
    ids.saved = ids.effective;
  ids.file_system = ids.effective;
  return 0;
}

int set_all_ids(Ids& ids, bool privileged, std::uint32_t real, std::uint32_t effective,
                std::uint32_t saved) noexcept {
  if (!privileged)
    for (const std::uint32_t id : {real, effective, saved})
      if (id != kUnchanged && !is_own(ids, id)) return EPERM;
  if (real != kUnchanged) ids.real = real;
  if (effective != kUnchanged) ids.effective = effective;
  if (saved != kUnchanged) ids.saved = saved;
  ids.file_system = ids.effective;
  return 0;
}

std::uint32_t set_file_system_id(Ids& ids, bool privileged, std::uint32_t id) noexcept {
  const std::uint32_t before = ids.file_system;
  if (id != kUnchanged && (privileged || is_own(ids, id) || id == before)) ids.file_system = id;
  return before;
}

void execute_as(Ids& ids, std::uint32_t effective) noexcept {
  if (effective != kUnchanged) ids.effective = effective;
  ids.saved = ids.file_system = ids.effective;
}

int check_change_of_owner(const Credentials& who, std::uint32_t uid, std::uint32_t gid,
                          std::uint32_t new_uid, std::uint32_t new_gid) noexcept {
  if (who.users.file_system == 0) return 0;
  const bool is_owner = who.users.file_system == uid;
  if (new_uid != kUnchanged && !(is_owner && new_uid == uid)) return EPERM;
  if (new_gid != kUnchanged && !(is_owner && (new_gid == gid || who.is_in_group(new_gid))))
    return EPERM;
  return 0;
}

}  // namespace strake::sandbox
