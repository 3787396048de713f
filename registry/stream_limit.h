#pragma once

#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <optional>
#include <set>
#include <stop_token>
#include <utility>

namespace strake::registry {

/// Admits at most `limit` holders at once, in the order they came. Outlives its slots.
class StreamLimit {
 public:
  explicit StreamLimit(int limit) : free_(limit) {}

  /// One admission, given back on destruction.
  class Slot {
   public:
    /// Blocks until admitted. Throws Error(cancelled).
    Slot(StreamLimit& limit, std::stop_token stop);
    Slot(Slot&& other) noexcept : limit_(std::exchange(other.limit_, nullptr)) {}
    Slot& operator=(Slot&& other) noexcept;
    ~Slot() { give_back(); }

   private:
    friend class StreamLimit;
    explicit Slot(StreamLimit& limit) noexcept : limit_(&limit) {}
    void give_back() noexcept;

    StreamLimit* limit_;
  };

  /// An admission that nobody else wants right now; nullopt if all are held or waited for.
  std::optional<Slot> try_admit();

 private:
  std::mutex mutex_;
  std::condition_variable_any changed_;
  std::set<std::uint64_t> waiting_;  // tickets; the smallest is next
  std::uint64_t next_ticket_ = 0;
  int free_;
};

}  // namespace strake::registry
