#include "registry/stream_limit.h"

#include "layers/base/error.h"

namespace strake::registry {

StreamLimit::Slot::Slot(StreamLimit& limit, std::stop_token stop) : limit_(&limit) {
  std::unique_lock lock(limit.mutex_);
  const std::uint64_t ticket = limit.next_ticket_++;
  limit.waiting_.insert(ticket);
  const bool admitted = limit.changed_.wait(
      lock, stop, [&] { return limit.free_ > 0 && *limit.waiting_.begin() == ticket; });
  limit.waiting_.erase(ticket);
  if (admitted) --limit.free_;
  limit.changed_.notify_all();  // the next in line may be admitted as well
  if (!admitted) throw base::Error(base::ErrorCode::cancelled, "cancelled");
}

StreamLimit::Slot& StreamLimit::Slot::operator=(Slot&& other) noexcept {
  if (this == &other) return *this;
  give_back();
  limit_ = std::exchange(other.limit_, nullptr);
  return *this;
}

void StreamLimit::Slot::give_back() noexcept {
  if (limit_ == nullptr) return;
  const std::lock_guard lock(limit_->mutex_);
  ++limit_->free_;
  limit_->changed_.notify_all();
}

std::optional<StreamLimit::Slot> StreamLimit::try_admit() {
  const std::lock_guard lock(mutex_);
  if (free_ == 0 || !waiting_.empty()) return std::nullopt;
  --free_;
  return Slot(*this);
}

}  // namespace strake::registry
