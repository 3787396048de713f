#include "layers/archive/tar_header_check.h"

#include <algorithm>
#include <charconv>
#include <cstring>

#include "layers/archive/tar_block.h"
#include "layers/base/error.h"

namespace strake::layers {
namespace {

using base::Error;
using base::ErrorCode;

[[noreturn]] void refuse(std::string_view why) {
  throw Error(ErrorCode::corrupt, "the tar has a malformed pax header: " + std::string(why));
}

struct Record {
  std::string_view key, value;
};

/// Takes the first record off `text`: "<length> <key>=<value>\n".
Record take_record(std::string_view& text) {
  std::size_t length = 0;
  const auto [digits_end, error] = std::from_chars(text.data(), text.data() + text.size(), length);
  const auto digits = static_cast<std::size_t>(digits_end - text.data());
  if (error != std::errc() || length > text.size() || length < digits + 3 || text[digits] != ' ')
    refuse("wrong length of a record");
  std::string_view record = text.substr(digits + 1, length - digits - 1);
  text.remove_prefix(length);
  if (record.back() != '\n') refuse("a record does not end where its length says");
  record.remove_suffix(1);
  const std::size_t equals = record.find('=');
  if (equals == 0 || equals == std::string_view::npos) refuse("a record without a key");
  return {record.substr(0, equals), record.substr(equals + 1)};
}

void check_pax(std::string_view text, const Limits& limits, HeaderFacts& facts) {
  if (text.size() > limits.pax_header_bytes)
    refuse("got " + std::to_string(text.size()) + " bytes, the limit is " +
           std::to_string(limits.pax_header_bytes));
  std::size_t count = 0;
  while (!text.empty()) {
    const Record record = take_record(text);
    if (++count > limits.pax_records)
      refuse("more than " + std::to_string(limits.pax_records) + " records");
    const bool binary = record.key.starts_with("SCHILY.xattr.");
    if (record.key.find('\0') != std::string_view::npos ||
        (!binary && record.value.find('\0') != std::string_view::npos))
      refuse("a zero byte in the record " + base::quoted(record.key));
    if (record.key.starts_with("GNU.sparse.")) facts.sparse = true;
  }
}

}  // namespace

HeaderFacts check_headers(std::string_view headers, const Limits& limits) {
  HeaderFacts facts;
  while (headers.size() >= kTarBlockBytes) {
    TarBlock block;
    std::memcpy(&block, headers.data(), sizeof block);
    headers.remove_prefix(kTarBlockBytes);
    switch (block.type) {
      case 'x':
      case 'X':  // of Solaris
      case 'g':
      case 'K':
      case 'L':
      case 'A':  // ACLs, of Solaris
      case 'V': {
        const std::uint64_t size = parse_octal(block.size);
        if (size > headers.size()) refuse("it is longer than its blocks");
        const std::string_view body = headers.substr(0, size);
        if (block.type == 'x' || block.type == 'X' || block.type == 'g')
          check_pax(body, limits, facts);
        headers.remove_prefix(std::min(headers.size(), body.size() + tar_padding(size)));
        break;
      }
      default:  // the entry's own; behind it are maps at most
        facts.type = block.type;
        if (block.type == 'S') facts.sparse = true;
        return facts;
    }
  }
  throw Error(ErrorCode::corrupt, "the tar has extended headers that no entry follows");
}

}  // namespace strake::layers
