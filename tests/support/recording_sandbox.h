#pragma once

#include <functional>
#include <mutex>
#include <string>
#include <vector>

#include "builder/sandbox/sandbox.h"
#include "layers/base/error.h"

namespace strake::test {

/// A Sandbox that runs nothing: it keeps what it was asked for and answers as it was told.
/// Thread-safe, but `answer` and `runnable` are set before use.
class RecordingSandbox final : public sandbox::Sandbox {
 public:
  using Answer = std::function<sandbox::ExitStatus(const sandbox::Spec&, base::ByteSink&)>;

  /// What each run does: write output, change files below spec.rootfs_fd, fail. Default: success.
  Answer answer;
  /// Architectures that check_runnable() accepts besides ""; empty: all.
  std::vector<std::string> runnable;

  sandbox::ExitStatus run(const sandbox::Spec& spec, base::ByteSink& output,
                          std::stop_token stop) override {
    if (stop.stop_requested()) throw base::Error(base::ErrorCode::cancelled, "step stopped");
    {
      const std::lock_guard lock(mutex_);
      runs_.push_back(spec);
    }
    return answer ? answer(spec, output) : sandbox::ExitStatus{};
  }

  void kill_now() noexcept override {}

  void check_runnable(const std::string& architecture) const override {
    if (architecture.empty() || runnable.empty()) return;
    for (const std::string& known : runnable)
      if (known == architecture) return;
    throw base::Error(base::ErrorCode::unsupported, "cannot run " + architecture + " programs");
  }

  /// The specs in the order the runs began; their descriptors may be closed meanwhile.
  std::vector<sandbox::Spec> runs() const {
    const std::lock_guard lock(mutex_);
    return runs_;
  }

 private:
  mutable std::mutex mutex_;
  std::vector<sandbox::Spec> runs_;
};

}  // namespace strake::test
