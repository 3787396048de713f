#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace strake::sandbox {

/// A line of /proc/PID/uid_map or gid_map: `count` ids from `inside` on are, in the namespace that
/// reads or writes the file, those from `outside` on.
struct IdExtent {
  std::uint32_t inside = 0, outside = 0, count = 0;
  bool operator==(const IdExtent&) const = default;
};
using IdMap = std::vector<IdExtent>;

/// Lines that are not of this form are left out.
IdMap parse_id_map(std::string_view text);
/// As the kernel wants it: one line an extent.
std::string to_text(const IdMap& map);

/// The map of a namespace below the one that has `own`, in which all ids stay what they are.
IdMap identity_of(const IdMap& own);
bool has_id(const IdMap& map, std::uint32_t inside);
std::uint64_t count_ids(const IdMap& map);

/// Ids that somebody may use besides his own.
struct IdRange {
  std::uint32_t first = 0, count = 0;
  bool operator==(const IdRange&) const = default;
};

/// Those that `text` (/etc/subuid, subuid(5)) gives to the user of this name or number.
std::vector<IdRange> subordinate_ids(std::string_view text, std::string_view name,
                                     std::uint32_t uid);

/// 0 is `own`; the ids from 1 on are those of `ranges`, one after the other.
IdMap map_below_root(std::uint32_t own, const std::vector<IdRange>& ranges);

/// The maps of this process's namespace, read when first asked for and again after
/// forget_own_maps(). From any thread.
const IdMap& own_user_map();
const IdMap& own_group_map();
/// Whether this is the namespace of the machine: its maps have every id.
bool is_first_user_namespace();
/// For whoever changes the namespace, while there is only one thread.
void forget_own_maps() noexcept;

}  // namespace strake::sandbox
