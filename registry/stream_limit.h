#pragma once

#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <set>
#include <stop_token>

namespace strake::registry {

/// Admits at most `limit` holders at once, in the order they came.
class StreamLimit {
 public:
  explicit StreamLimit(int limit) : free_(limit) {}

  /// One admission, given back on destruction.
  class Slot {
   public:
    /// Blocks until admitted. Throws Error(cancelled).
    Slot(StreamLimit& limit, std::stop_token stop);
    ~Slot();
    Slot(const Slot&) = delete;
    Slot& operator=(const Slot&) = delete;

   private:
    StreamLimit& limit_;
  };

 private:
  std::mutex mutex_;
  std::condition_variable_any changed_;
  std::set<std::uint64_t> waiting_;  // tickets; the smallest is next
  std::uint64_t next_ticket_ = 0;
  int free_;
};

}  // namespace strake::registry
