#include "builder/images/streamed_blob.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>

#include "layers/base/error.h"

namespace strake::builder {
namespace {

constexpr std::size_t kPiece = 100'000;

StreamedBlob::Producer producer_of(const std::string& bytes, std::atomic<std::size_t>* written) {
  return [&bytes, written](base::ByteSink& to, const std::stop_token&) {
    for (std::size_t at = 0; at < bytes.size(); at += kPiece) {
      to.write(base::bytes_of(std::string_view(bytes).substr(at, kPiece)));
      if (written != nullptr) *written += kPiece;
    }
  };
}

TEST(StreamedBlob, GivesWhatIsWritten) {
  std::string bytes;
  while (bytes.size() < 3'000'000) bytes += std::to_string(bytes.size());
  StreamedBlob blob(producer_of(bytes, nullptr));
  EXPECT_EQ(base::read_all(blob, 4'000'000, "blob"), bytes);
}

TEST(StreamedBlob, ProducerStaysNearTheReader) {
  const std::string bytes(20'000'000, 'x');
  std::atomic<std::size_t> written = 0;
  StreamedBlob blob(producer_of(bytes, &written));
  std::string buffer(1000, '\0');
  blob.read(std::as_writable_bytes(std::span(buffer)));
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  EXPECT_LE(written, 2 * (base::kStreamBufferBytes + kPiece));
}

TEST(StreamedBlob, ErrorComesOutOfRead) {
  StreamedBlob blob([](base::ByteSink& to, const std::stop_token&) {
    to.write(base::bytes_of("beginning"));
    throw base::Error(base::ErrorCode::corrupt, "the rest is wrong");
  });
  EXPECT_THROW(base::read_all(blob, 1000, "blob"), base::Error);
}

TEST(StreamedBlob, ReaderThatLeavesStopsTheProducer) {
  const std::string bytes(20'000'000, 'x');
  StreamedBlob blob(producer_of(bytes, nullptr));
}

}  // namespace
}  // namespace strake::builder
