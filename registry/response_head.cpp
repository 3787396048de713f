#include "registry/response_head.h"

#include <charconv>

#include "layers/base/error.h"

namespace strake::registry {
namespace {

std::string_view trimmed(std::string_view text) {
  const std::size_t begin = text.find_first_not_of(" \t\r\n");
  if (begin == text.npos) return {};
  return text.substr(begin, text.find_last_not_of(" \t\r\n") - begin + 1);
}

}  // namespace

void ResponseHead::add_line(std::string_view line) {
  bytes_ += line.size();
  if (bytes_ > kHeadLimitBytes || ++lines_ > kHeadLimitLines) {
    throw base::Error(base::ErrorCode::corrupt, "the header of the answer from " + subject_ +
                                                    " is larger than 64 KiB or 100 lines");
  }
  if (line.starts_with("HTTP/")) {
    response_ = {};
    const std::string_view status = trimmed(line.substr(std::min(line.find(' '), line.size())));
    std::from_chars(status.begin(), status.end(), response_.status);
    return;
  }
  const std::size_t colon = line.find(':');
  if (colon == line.npos) return;
  response_.headers.add(std::string(trimmed(line.substr(0, colon))),
                        std::string(trimmed(line.substr(colon + 1))));
}

}  // namespace strake::registry
