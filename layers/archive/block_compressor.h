#pragma once

#include <cstddef>
#include <deque>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "layers/archive/compression.h"

namespace strake::layers {

/// Compresses one block of input into one complete member or frame, appended to `to`. Pure, and
/// called from several threads at once: the same input makes the same bytes.
using CompressBlock =
    std::function<void(std::span<const std::byte> block, std::vector<std::byte>& to)>;

/// Cuts its input into blocks of `block_bytes`, compresses them on the threads of `pool`, and
/// writes the results to `out` in the order of the input. Empty input makes one empty block.
///
/// A thread that waits for the oldest block compresses it itself if no other began yet. So work
/// goes on even if all threads of `pool` are busy, or are waiting for this very sink.
class BlockCompressor final : public CompressingSink {
 public:
  BlockCompressor(CompressBlock compress, std::size_t block_bytes, base::ByteSink& out,
                  base::WorkerPool& pool);
  /// Without finish(): drops what was not yet written.
  ~BlockCompressor() override;

  void write(std::span<const std::byte> bytes) override;
  void finish() override;

 private:
  struct Job;

  void submit();
  void write_oldest();
  std::shared_ptr<Job> fresh_job();

  const std::shared_ptr<const CompressBlock> compress_;  // shared with jobs that outlive us
  const std::size_t block_bytes_;
  const std::size_t max_in_flight_;
  base::ByteSink& out_;
  base::WorkerPool& pool_;
  std::shared_ptr<Job> filling_;
  std::deque<std::shared_ptr<Job>> in_flight_;  // oldest first
  std::vector<std::shared_ptr<Job>> spare_;     // their buffers are used again
};

}  // namespace strake::layers
