#pragma once

#include <condition_variable>
#include <exception>
#include <functional>
#include <mutex>
#include <stop_token>
#include <string>
#include <thread>

#include "layers/base/stream.h"

namespace strake::builder {

/// Turns what writes to a sink into something to read from: `produce` runs on a thread of its own,
/// at most two buffers ahead of the reader, however big the blob. Its error comes out of read().
/// Destruction stops it; read() must not be called from several threads.
class StreamedBlob final : public base::ByteSource {
 public:
  using Producer = std::function<void(base::ByteSink& to, std::stop_token stop)>;

  explicit StreamedBlob(Producer produce);
  ~StreamedBlob() override;

  std::size_t read(std::span<std::byte> buffer) override;

 private:
  class Sink;
  void run(const Producer& produce, const std::stop_token& stop);

  std::mutex mutex_;  // guards what follows
  std::condition_variable_any changed_;
  std::string filled_;  // waits for the reader
  bool ended_ = false;
  std::exception_ptr error_;

  std::string current_;  // of the reader alone
  std::size_t position_ = 0;
  std::jthread thread_;  // last: it uses what is above
};

}  // namespace strake::builder
