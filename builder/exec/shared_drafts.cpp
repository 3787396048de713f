#include "builder/exec/shared_drafts.h"

namespace strake::builder {

SharedDrafts::Made SharedDrafts::once(const base::Digest& identity,
                                      const std::function<Layer()>& make) {
  Draft* draft = nullptr;
  {
    const std::lock_guard lock(mutex_);
    std::unique_ptr<Draft>& known = drafts_[identity];
    if (!known) known = std::make_unique<Draft>();
    draft = known.get();
  }
  const std::lock_guard lock(draft->mutex);
  if (draft->layer) return {*draft->layer, true};
  draft->layer = make();
  return {*draft->layer, false};
}

}  // namespace strake::builder
