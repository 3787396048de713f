#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

struct stat;

namespace strake::base {

/// What a file ought to be where this process cannot make it so: in a user namespace most owners
/// cannot be given, and no devices be made. It is kept with the inode, and so follows it through
/// renames, hard links and overlayfs' copies.
///
/// On regular files and directories: the attribute kOwnerXattr, "<uid>:<gid>", or
/// "<uid>:<gid>:<octal st_mode>:<major>:<minor>" for a device that stands as an empty regular file.
/// Symlinks and FIFOs can have no user.* attributes. They can have file capabilities, which mean
/// nothing there: uid, gid and a magic number stand in the three sets of bits.
struct RecordedOwner {
  std::uint32_t uid = 0, gid = 0;
  mode_t mode = 0;  // with the type bits of a device; 0 if only the owner is recorded
  std::uint32_t device_major = 0, device_minor = 0;
  bool operator==(const RecordedOwner&) const = default;
};

inline constexpr const char* kOwnerXattr = "user.strake.owner";

std::string to_string(const RecordedOwner& owner);
/// false if `text` is not of that form.
bool parse_recorded_owner(std::string_view text, RecordedOwner& owner);

// `name` is a path that leads to a file of the type in `type` (an st_mode): "/proc/self/fd/7" is
// the file itself, whatever it is and however it was opened. A symlink at the end of another path
// is followed. None of these allocates.

/// nullopt if nothing is recorded.
std::optional<RecordedOwner> read_recorded_owner(const char* name, mode_t type) noexcept;
/// Replaces what is recorded; 0:0 without a device is the same as nothing. Returns 0 or errno.
int record_owner(const char* name, mode_t type, const RecordedOwner& owner) noexcept;

/// Makes `status` say what `owner` does. The permission bits of a device are those of the file that
/// stands for it.
void apply_recorded_owner(const RecordedOwner& owner, struct ::stat& status) noexcept;

/// The path of an open file for the functions above.
class DescriptorPath {
 public:
  explicit DescriptorPath(int fd) noexcept;
  const char* c_str() const noexcept { return text_; }

 private:
  char text_[32];
};

/// chown of the open (O_PATH will do) file, or a record of it where the kernel refuses. Returns 0
/// or errno.
int give_or_record_owner(int fd, mode_t type, uid_t uid, gid_t gid) noexcept;

}  // namespace strake::base
