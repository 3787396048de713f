#pragma once

#include <memory>
#include <mutex>
#include <string>

#include "builder/sandbox/sandbox.h"

namespace strake::cli {

/// The sandbox of this machine, found when the first step runs: finding it tries what the kernel
/// allows, and a build whose steps are all cached has no use for that.
class LazySandbox final : public sandbox::Sandbox {
 public:
  sandbox::ExitStatus run(const sandbox::Spec& spec, base::ByteSink& output,
                          std::stop_token stop) override {
    return real().run(spec, output, std::move(stop));
  }
  void kill_now() noexcept override;
  void check_runnable(const std::string& architecture) const override {
    real().check_runnable(architecture);
  }

 private:
  sandbox::Sandbox& real() const;

  mutable std::mutex mutex_;  // guards the two below
  mutable std::unique_ptr<sandbox::Sandbox> sandbox_;
  bool killed_ = false;
};

}  // namespace strake::cli
