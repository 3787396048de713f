#pragma once

#include <string>

#include "layers/base/error.h"
#include "layers/base/stream.h"

namespace strake::registry {

/// Collects text; throws Error(corrupt) as soon as there is more than `limit_bytes` of it.
class LimitedStringSink final : public base::ByteSink {
 public:
  LimitedStringSink(std::size_t limit_bytes, std::string subject)
      : limit_bytes_(limit_bytes), subject_(std::move(subject)) {}

  void write(std::span<const std::byte> bytes) override {
    if (bytes.size() > limit_bytes_ - text.size()) {
      throw base::Error(base::ErrorCode::corrupt,
                        subject_ + " is larger than " + std::to_string(limit_bytes_) + " bytes");
    }
    text += base::text_of(bytes);
  }

  std::string text;

 private:
  std::size_t limit_bytes_;
  std::string subject_;
};

}  // namespace strake::registry
