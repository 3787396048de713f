#include "builder/images/streamed_blob.h"

#include <algorithm>
#include <cstring>

#include "layers/base/error.h"

namespace strake::builder {

class StreamedBlob::Sink final : public base::ByteSink {
 public:
  Sink(StreamedBlob& blob, std::stop_token stop) : blob_(blob), stop_(std::move(stop)) {}

  void write(std::span<const std::byte> bytes) override {
    std::unique_lock lock(blob_.mutex_);
    const auto has_room = [&] { return blob_.filled_.size() < base::kStreamBufferBytes; };
    if (!blob_.changed_.wait(lock, stop_, has_room))
      throw base::Error(base::ErrorCode::cancelled, "cancelled");
    blob_.filled_.append(base::text_of(bytes));
    blob_.changed_.notify_all();
  }

 private:
  StreamedBlob& blob_;
  const std::stop_token stop_;
};

StreamedBlob::StreamedBlob(Producer produce)
    : thread_([this, produce = std::move(produce)](const std::stop_token& stop) {
        run(produce, stop);
      }) {}

// The thread stops before the members that it uses go.
StreamedBlob::~StreamedBlob() {
  thread_.request_stop();
  thread_.join();
}

void StreamedBlob::run(const Producer& produce, const std::stop_token& stop) {
  std::exception_ptr error;
  try {
    Sink sink(*this, stop);
    produce(sink, stop);
  } catch (...) {  // the edge of a thread: read() throws it again
    error = std::current_exception();
  }
  const std::lock_guard lock(mutex_);
  error_ = error;
  ended_ = true;
  changed_.notify_all();
}

std::size_t StreamedBlob::read(std::span<std::byte> buffer) {
  if (position_ == current_.size()) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return !filled_.empty() || ended_; });
    current_.clear();
    position_ = 0;
    // What came before an error is of no use: the reader would take it for all there is.
    if (error_ != nullptr) std::rethrow_exception(error_);
    current_.swap(filled_);
    changed_.notify_all();
  }
  const std::size_t count = std::min(buffer.size(), current_.size() - position_);
  std::memcpy(buffer.data(), current_.data() + position_, count);
  position_ += count;
  return count;
}

}  // namespace strake::builder
