#pragma once

#include <sys/types.h>

#include <string>

namespace strake::base {

/// Who resolves paths inside a root: the kernel (openat2) or this process (a walk, component by
/// component). Both give the same results; the walk is slower.
enum class PathResolver { kernel, walk };

/// The walk if STRAKE_NO_OPENAT2=1 is set, or if openat2 is missing (ENOSYS) or filtered away
/// (EPERM).
PathResolver decide_path_resolver() noexcept;

/// The resolver of this process, decided at the first use.
PathResolver path_resolver() noexcept;

/// Overrides the decision. For tests.
void set_path_resolver(PathResolver resolver) noexcept;

/// RootedDirectory::canonical. Returns 0 and sets `canonical`, or -errno.
int canonical_in_root(int root, const std::string& path, std::string& canonical) noexcept;

}  // namespace strake::base
