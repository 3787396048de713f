#pragma once

#include <string>
#include <string_view>

#include "registry/http.h"

namespace strake::registry {

inline constexpr std::size_t kHeadLimitBytes = 64 * 1024;
inline constexpr int kHeadLimitLines = 100;

/// Collects status line and header fields as they come, line by line. Interim responses (1xx) are
/// replaced by what follows them, but count for the limits.
class ResponseHead {
 public:
  explicit ResponseHead(std::string subject) : subject_(std::move(subject)) {}

  /// `line` with or without its line end. Throws Error(corrupt) beyond the limits.
  void add_line(std::string_view line);
  /// What was collected; the object is used up.
  HttpResponse take() { return std::move(response_); }

 private:
  std::string subject_;  // in messages: the URL
  HttpResponse response_;
  std::size_t bytes_ = 0;
  int lines_ = 0;
};

}  // namespace strake::registry
