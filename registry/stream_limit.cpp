#include "registry/stream_limit.h"

#include "layers/base/error.h"

namespace strake::registry {

StreamLimit::Slot::Slot(StreamLimit& limit, std::stop_token stop) : limit_(limit) {
  std::unique_lock lock(limit_.mutex_);
  const std::uint64_t ticket = limit_.next_ticket_++;
  limit_.waiting_.insert(ticket);
  const bool admitted = limit_.changed_.wait(
      lock, stop, [&] { return limit_.free_ > 0 && *limit_.waiting_.begin() == ticket; });
  limit_.waiting_.erase(ticket);
  if (admitted) --limit_.free_;
  limit_.changed_.notify_all();  // the next in line may be admitted as well
  if (!admitted) throw base::Error(base::ErrorCode::cancelled, "cancelled");
}

StreamLimit::Slot::~Slot() {
  const std::lock_guard lock(limit_.mutex_);
  ++limit_.free_;
  limit_.changed_.notify_all();
}

}  // namespace strake::registry
