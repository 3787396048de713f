#include "builder/cli/lazy_sandbox.h"

namespace strake::cli {

sandbox::Sandbox& LazySandbox::real() const {
  const std::lock_guard lock(mutex_);
  if (!sandbox_) {
    sandbox_ = sandbox::make_sandbox();
    if (killed_) sandbox_->kill_now();
  }
  return *sandbox_;
}

void LazySandbox::kill_now() noexcept {
  const std::lock_guard lock(mutex_);
  killed_ = true;
  if (sandbox_) sandbox_->kill_now();
}

}  // namespace strake::cli
