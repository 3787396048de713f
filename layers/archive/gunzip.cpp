#include <isa-l.h>

#include <utility>

#include "layers/archive/decoder.h"

namespace strake::layers {
namespace {

class Gunzip final : public base::ByteSource {
 public:
  explicit Gunzip(std::unique_ptr<base::ByteSource> from)
      : input_(std::move(from)), state_(std::make_unique<inflate_state>()) {
    begin_member();
  }

  std::size_t read(std::span<std::byte> buffer) override {
    std::size_t count = 0;
    while (count == 0 && !buffer.empty() && next_member()) count = inflate(buffer);
    return count;
  }

 private:
  void begin_member() {
    isal_inflate_init(state_.get());
    state_->crc_flag = ISAL_GZIP;  // ISA-L reads the header and verifies the trailer
    member_done_ = false;
  }

  /// Is there something left to inflate? Goes on to the next member if one is done.
  bool next_member() {
    if (!member_done_) return true;
    // Like gzip, take zeros for padding; unlike gzip, nothing else.
    while (true) {
      const std::span<const std::byte> bytes = input_.available();
      if (bytes.empty()) return false;
      if (bytes.front() != std::byte{0}) break;
      padded_ = true;
      input_.consume(1);
    }
    if (padded_) throw_corrupt("gzip", "garbage after its end");
    begin_member();
    return true;
  }

  std::size_t inflate(std::span<std::byte> buffer) {
    const std::span<const std::byte> bytes = input_.available();
    state_->next_in =
        const_cast<std::uint8_t*>(reinterpret_cast<const std::uint8_t*>(bytes.data()));
    state_->avail_in = static_cast<std::uint32_t>(bytes.size());
    state_->next_out = reinterpret_cast<std::uint8_t*>(buffer.data());
    state_->avail_out = static_cast<std::uint32_t>(std::min(buffer.size(), kMaxOutput));
    const std::uint32_t room = state_->avail_out;

    const int result = isal_inflate(state_.get());
    if (result != ISAL_DECOMP_OK) throw_corrupt("gzip", reason(result));
    input_.consume(bytes.size() - state_->avail_in);
    const std::size_t count = room - state_->avail_out;
    member_done_ = state_->block_state == ISAL_BLOCK_FINISH;
    if (count == 0 && !member_done_ && bytes.empty()) throw_corrupt("gzip", "it ends too early");
    return count;
  }

  static std::string_view reason(int result) {
    switch (result) {
      case ISAL_INVALID_WRAPPER:
        return "no gzip header where one must be";
      case ISAL_UNSUPPORTED_METHOD:
        return "unknown compression method";
      case ISAL_INCORRECT_CHECKSUM:
        return "wrong checksum";
      default:
        return "invalid deflate data";
    }
  }

  static constexpr std::size_t kMaxOutput = std::size_t{1} << 30;  // ISA-L counts in 32 bits

  CompressedInput input_;
  std::unique_ptr<inflate_state> state_;
  bool member_done_ = false;
  bool padded_ = false;
};

}  // namespace

std::unique_ptr<base::ByteSource> make_gunzip(std::unique_ptr<base::ByteSource> from) {
  return std::make_unique<Gunzip>(std::move(from));
}

}  // namespace strake::layers
