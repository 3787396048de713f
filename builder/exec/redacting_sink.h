#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "layers/base/stream.h"

namespace strake::builder {

/// Passes a step's output on with "****" in the place of secrets, however the writes cut them. Of a
/// secret with several lines each line counts, since tools print them so. What is shorter than
/// kShortestRedacted is left alone: it would be found where it is not meant.
class RedactingSink final : public base::ByteSink {
 public:
  static constexpr std::size_t kShortestRedacted = 6;

  RedactingSink(base::ByteSink& to, std::span<const std::string_view> secrets);

  /// Holds back what may be the beginning of a secret, until more comes.
  void write(std::span<const std::byte> bytes) override;
  /// Passes on what is held back. Call after the last write.
  void finish();

 private:
  enum class More { may_come, is_not_to_come };
  void pass_on(More more);

  base::ByteSink& to_;
  std::vector<std::string> secrets_;  // longest first: one may be the beginning of another
  std::string beginnings_;            // their first characters
  std::string pending_;
};

}  // namespace strake::builder
