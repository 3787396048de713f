#include "layers/archive/block_compressor.h"

#include <algorithm>
#include <atomic>
#include <utility>

#include "layers/base/trace.h"

namespace strake::layers {
namespace {

/// What blocks of all compressors may take, for each thread that works on them.
constexpr std::size_t kAllowedBytesPerThread = 12 << 20;

/// What they do take.
std::atomic<std::size_t> bytes_in_memory{0};

/// Keeps the threads of `pool` busy while results are written and the next block is filled.
std::size_t window(const base::WorkerPool& pool) {
  return pool.size() + 2;
}

}  // namespace

BlockCompressor::BlockCompressor(BlockFormat format, base::ByteSink& out, base::WorkerPool& pool)
    : format_(std::move(format)),
      out_(out),
      pool_(pool),
      jobs_(
          [this](Block& block) {
            base::TraceSpan span("compress");
            block.output_bytes =
                format_.compress(block.input, std::span(block.output.get(), format_.bound_bytes));
            span.add_bytes(block.input.size());
          },
          [this](Block& block) {
            out_.write(std::span(block.output.get(), block.output_bytes));
            block.input.clear();
          },
          window(pool), pool) {}

BlockCompressor::~BlockCompressor() {
  bytes_in_memory -= blocks_ * memory_of_a_block();
}

void BlockCompressor::write(std::span<const std::byte> bytes) {
  empty_ = empty_ && bytes.empty();
  while (!bytes.empty()) {
    if (filling_ == nullptr) filling_ = &take_block();
    std::vector<std::byte>& input = filling_->input;
    const std::size_t count = std::min(bytes.size(), format_.block_bytes - input.size());
    input.insert(input.end(), bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(count));
    bytes = bytes.subspan(count);
    if (input.size() < format_.block_bytes) continue;
    jobs_.submit();
    filling_ = nullptr;
  }
}

void BlockCompressor::finish() {
  if (empty_) filling_ = &take_block();
  // This thread has nothing better to do than the last block.
  if (filling_ != nullptr) jobs_.submit_unannounced();
  filling_ = nullptr;
  jobs_.finish();
}

/// The first is always had; for another where memory is short the oldest must be done.
BlockCompressor::Block& BlockCompressor::take_block() {
  const bool all_in_flight = jobs_.in_flight() == blocks_;
  const std::size_t allowed = kAllowedBytesPerThread * pool_.size();
  if (all_in_flight && blocks_ > 0 && bytes_in_memory + memory_of_a_block() > allowed)
    jobs_.consume_oldest();
  Block& block = jobs_.next();
  if (!block.output) {
    block.input.reserve(format_.block_bytes);
    // Not value-initialised: megabytes of zeros that nobody reads.
    block.output.reset(new std::byte[format_.bound_bytes]);
    bytes_in_memory += memory_of_a_block();
    ++blocks_;
  }
  return block;
}

}  // namespace strake::layers
