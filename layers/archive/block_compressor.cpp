#include "layers/archive/block_compressor.h"

#include <algorithm>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <utility>

namespace strake::layers {

/// A block on its way: filled by the sink, compressed by whoever claims it first.
struct BlockCompressor::Job {
  enum class State { waiting, claimed, done };

  bool claim() {
    const std::lock_guard lock(mutex);
    if (state != State::waiting) return false;
    state = State::claimed;
    return true;
  }

  void run(const CompressBlock& compress) {
    std::exception_ptr failure;
    try {
      compress(input, output);
    } catch (...) {  // the edge of a thread: wait() throws it in the sink's
      failure = std::current_exception();
    }
    const std::lock_guard lock(mutex);
    error = failure;
    state = State::done;
    changed.notify_all();
  }

  void wait() {
    std::unique_lock lock(mutex);
    changed.wait(lock, [this] { return state == State::done; });
    if (error) std::rethrow_exception(error);
  }

  std::vector<std::byte> input, output;
  std::mutex mutex;  // guards what follows
  std::condition_variable changed;
  State state = State::waiting;
  std::exception_ptr error;
};

BlockCompressor::BlockCompressor(CompressBlock compress, std::size_t block_bytes,
                                 base::ByteSink& out, base::WorkerPool& pool)
    : compress_(std::make_shared<const CompressBlock>(std::move(compress))),
      block_bytes_(block_bytes),
      max_in_flight_(2 * pool.size()),
      out_(out),
      pool_(pool) {}

BlockCompressor::~BlockCompressor() {
  for (const std::shared_ptr<Job>& job : in_flight_) job->claim();  // nobody need begin it
}

void BlockCompressor::write(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    if (!filling_) filling_ = fresh_job();
    std::vector<std::byte>& input = filling_->input;
    const std::size_t count = std::min(bytes.size(), block_bytes_ - input.size());
    input.insert(input.end(), bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(count));
    bytes = bytes.subspan(count);
    if (input.size() == block_bytes_) submit();
  }
}

void BlockCompressor::finish() {
  const bool nothing_written = in_flight_.empty() && spare_.empty() && !filling_;
  if (nothing_written) filling_ = fresh_job();
  if (filling_) submit();
  while (!in_flight_.empty()) write_oldest();
}

void BlockCompressor::submit() {
  in_flight_.push_back(std::exchange(filling_, nullptr));
  pool_.submit([job = in_flight_.back(), compress = compress_] {
    if (job->claim()) job->run(*compress);
  });
  while (in_flight_.size() >= max_in_flight_) write_oldest();
}

void BlockCompressor::write_oldest() {
  const std::shared_ptr<Job> job = std::move(in_flight_.front());
  in_flight_.pop_front();
  if (job->claim()) job->run(*compress_);
  job->wait();
  out_.write(job->output);
  spare_.push_back(job);
}

std::shared_ptr<BlockCompressor::Job> BlockCompressor::fresh_job() {
  // A pool's thread may still hold a spare job for the moment in which it sees that it came too
  // late: a fresh Job takes the buffers only.
  auto job = std::make_shared<Job>();
  if (!spare_.empty()) {
    job->input.swap(spare_.back()->input);
    job->output.swap(spare_.back()->output);
    spare_.pop_back();
    job->input.clear();
    job->output.clear();
  }
  job->input.reserve(block_bytes_);
  return job;
}

}  // namespace strake::layers
