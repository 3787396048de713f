#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "layers/archive/limits.h"

namespace strake::layers {

/// What the headers of one entry say, read from the bytes as they are stored.
struct RawHeaders {
  char type = '0';      // type flag of the entry's own header
  bool sparse = false;  // GNU sparse, of any version
  std::string path;
  std::string link_target;
  std::uint64_t size_bytes = 0;  // of the stored data; meaningless if `sparse`
  std::size_t length = 0;        // of all headers; what follows are maps of a sparse file
};

/// Reads the headers of one entry: its extended headers (pax, GNU long names) and its own.
///
/// Numbers, times, attributes and checksums are libarchive's; names are read here because it would
/// put them through the locale, and the size so that the two can be compared.
///
/// Throws Error(corrupt) for what readers of tars disagree about or do not look at: malformed pax
/// records, zero bytes in them, one name given in two ways, a
/// name or size for all entries, more records than `limits` allow.
RawHeaders parse_headers(std::string_view headers, const Limits& limits);

}  // namespace strake::layers
