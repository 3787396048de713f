#pragma once

#include <string_view>

#include "layers/archive/limits.h"

namespace strake::layers {

/// What the raw headers of an entry say beside what the parser reports.
struct HeaderFacts {
  char type = '0';      // the type flag of the entry's own header
  bool sparse = false;  // GNU sparse, of any version
};

/// Looks through the headers of one entry, from extended headers to its own (with the maps of an
/// old GNU sparse file), as they were stored.
///
/// Throws Error(corrupt) for what readers of tars disagree about or do not check: malformed pax
/// records, zero bytes in their keys and paths, more of them than `limits` allow.
HeaderFacts check_headers(std::string_view headers, const Limits& limits);

}  // namespace strake::layers
