#include "registry/ranged_download.h"

#include "layers/base/error.h"
#include "layers/base/log.h"

namespace strake::registry {

using base::Error;

SegmentsAhead::SegmentsAhead(Fetch fetch, std::uint64_t turn, std::uint64_t count, int workers)
    : fetch_(std::move(fetch)),
      count_(count),
      window_(static_cast<std::uint64_t>(workers)),
      turn_(turn) {
  for (int i = 0; i < workers; ++i) {
    workers_.emplace_back([this](std::stop_token stop) { work(std::move(stop)); });
  }
}

SegmentsAhead::~SegmentsAhead() {
  for (std::jthread& worker : workers_) worker.request_stop();
  workers_.clear();  // joins
}

std::optional<Segment> SegmentsAhead::take(std::uint64_t number, std::stop_token stop) {
  std::unique_lock lock(mutex_);
  turn_ = number;
  begun_.erase(begun_.begin(), begun_.lower_bound(number));
  changed_.notify_all();
  const auto settled = [&] {
    const auto found = begun_.find(number);
    return found == begun_.end() || found->second;
  };
  if (!changed_.wait(lock, stop, settled)) throw Error(base::ErrorCode::cancelled, "cancelled");
  const auto found = begun_.find(number);
  if (found == begun_.end()) return std::nullopt;
  std::optional<Segment> segment = std::move(found->second);
  begun_.erase(found);
  return segment;
}

/// The first segment behind the turn that nobody has begun.
std::optional<std::uint64_t> SegmentsAhead::next_wanted() const {
  for (std::uint64_t i = turn_ + 1; i <= turn_ + window_ && i < count_; ++i) {
    if (!begun_.contains(i)) return i;
  }
  return std::nullopt;
}

void SegmentsAhead::work(std::stop_token stop) {
  std::unique_lock lock(mutex_);
  std::optional<std::uint64_t> wanted;
  const auto find_work = [&] { return (wanted = next_wanted()).has_value(); };
  while (changed_.wait(lock, stop, find_work) && !stop.stop_requested()) {
    begun_.emplace(*wanted, std::nullopt);
    lock.unlock();
    std::optional<Segment> segment;
    try {
      segment = fetch_(*wanted, stop);
    } catch (const Error& e) {
      base::log_debug(std::string("a segment could not be fetched ahead: ") + e.what());
    }
    lock.lock();
    const bool fetched = segment.has_value();
    if (fetched) {
      begun_[*wanted] = std::move(segment);
    } else {
      begun_.erase(*wanted);
    }
    changed_.notify_all();
    // Streams, memory or the server may be better off at the next turn, surely not at once.
    const std::uint64_t turn = turn_;
    if (!fetched) changed_.wait(lock, stop, [&] { return turn_ != turn; });
  }
}

}  // namespace strake::registry
