#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "layers/archive/compression.h"
#include "layers/base/ordered_jobs.h"

namespace strake::layers {

/// How one block of input becomes one complete member or frame of output.
struct BlockFormat {
  std::size_t block_bytes = 0;
  std::size_t bound_bytes = 0;  // of what `compress` makes of a block
  /// Writes into `room`, of `bound_bytes`, and returns how much. Pure, and called from several
  /// threads at once: the same input makes the same bytes.
  std::function<std::size_t(std::span<const std::byte> block, std::span<std::byte> room)> compress;
};

/// Cuts its input into blocks, compresses them on the threads of `pool`, and writes the results to
/// `out` in the order of the input. Empty input makes one empty block.
///
/// How many blocks it has in memory depends on how many other compressors there are: all of this
/// process share one allowance, beyond which each has one block.
class BlockCompressor final : public CompressingSink {
 public:
  BlockCompressor(BlockFormat format, base::ByteSink& out, base::WorkerPool& pool);
  /// Without finish(): drops what was not yet written.
  ~BlockCompressor() override;

  void write(std::span<const std::byte> bytes) override;
  void finish() override;

 private:
  /// Its buffers are made when it is first filled, and used again.
  struct Block {
    std::vector<std::byte> input;
    std::unique_ptr<std::byte[]> output;
    std::size_t output_bytes = 0;
  };

  Block& take_block();
  std::size_t memory_of_a_block() const { return format_.block_bytes + format_.bound_bytes; }

  const BlockFormat format_;
  base::ByteSink& out_;
  base::WorkerPool& pool_;
  base::OrderedJobs<Block> jobs_;
  std::size_t blocks_ = 0;    // in memory
  Block* filling_ = nullptr;  // of jobs_
  bool empty_ = true;         // nothing was written
};

}  // namespace strake::layers
