#include "builder/sandbox/chroot_sandbox.h"
#include "builder/sandbox/isolation.h"
#include "builder/sandbox/root_sandbox.h"

namespace strake::sandbox {

std::unique_ptr<Sandbox> make_sandbox() {
  if (current_isolation() == Isolation::chroot) return std::make_unique<ChrootSandbox>();
  return std::make_unique<RootSandbox>();
}

}  // namespace strake::sandbox
