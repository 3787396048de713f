// Landlock does not cover looking at files (stat), chmod, chown, utime and attributes, so it is no
// substitute for the changed root, but what remains when somebody finds a way out of that.

#include "builder/sandbox/landlock.h"

#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>

#include "layers/base/error.h"

namespace strake::sandbox {
namespace {

// The kernel's interface (linux/landlock.h), which the headers of older systems do not have whole.
constexpr unsigned kVersionFlag = 1;  // LANDLOCK_CREATE_RULESET_VERSION
constexpr int kPathBeneath = 1;       // LANDLOCK_RULE_PATH_BENEATH
constexpr int kScopes = 6;            // the first version that has them
constexpr std::uint64_t kAbstractSockets = 1, kSignals = 2;

struct Ruleset {
  std::uint64_t files = 0, network = 0, scoped = 0;
};
struct __attribute__((packed)) PathBeneath {
  std::uint64_t allowed = 0;
  std::int32_t parent = -1;
};

/// Rights over files by version: execute to make_sym, then refer, truncate and ioctl_dev.
std::uint64_t file_rights(int version) {
  constexpr std::array<int, 5> kRights = {13, 14, 15, 15, 16};
  const auto index = static_cast<std::size_t>(version > 5 ? 5 : version) - 1;
  return (std::uint64_t{1} << kRights[index]) - 1;
}

}  // namespace

int landlock_version() noexcept {
  const long version = ::syscall(SYS_landlock_create_ruleset, nullptr, 0, kVersionFlag);
  return version > 0 ? static_cast<int>(version) : 0;
}

base::FileDescriptor landlock_ruleset(int root) {
  const int version = landlock_version();
  if (version == 0) return {};
  Ruleset handled;
  handled.files = file_rights(version);
  if (version >= kScopes) handled.scoped = kAbstractSockets | kSignals;
  // Older kernels take a shorter structure, or a longer one that ends in zeros.
  base::FileDescriptor ruleset(
      static_cast<int>(::syscall(SYS_landlock_create_ruleset, &handled, sizeof handled, 0)));
  if (!ruleset) throw base::system_error(errno, "create", "Landlock ruleset");
  PathBeneath rule;
  rule.allowed = handled.files;
  rule.parent = root;
  if (::syscall(SYS_landlock_add_rule, ruleset.get(), kPathBeneath, &rule, 0) != 0)
    throw base::system_error(errno, "restrict", "files of the step");
  return ruleset;
}

}  // namespace strake::sandbox
