#include "builder/sandbox/owners/request.h"

#include <cerrno>

namespace strake::sandbox {

int look_up_owner(OwnedFile& owned) noexcept {
  if (::fstat(owned.file.get(), &owned.status) != 0) return errno;
  owned.recorded =
      base::read_recorded_owner(DescriptorName(owned.file).c_str(), owned.status.st_mode);
  return 0;
}

int change_record(const base::FileDescriptor& file, mode_t type,
                  const base::RecordedOwner& owner) noexcept {
  const int error = base::record_owner(DescriptorName(file).c_str(), type, owner);
  return error == EOPNOTSUPP || error == EPERM ? 0 : error;
}

}  // namespace strake::sandbox
