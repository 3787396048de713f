#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "cache/layer_cache.h"

namespace strake::cache {

/// The head of a record file: where its parts are.
struct RecordHead {
  std::size_t json_begin = 0;
  std::size_t json_bytes = 0;
  base::Digest json_digest;
  std::size_t json_end() const { return json_begin + json_bytes; }
};

/// Longest head that encode_record() makes.
inline constexpr std::size_t kRecordHeadBytes = 128;

/// The bytes of a record file; the grammar is in record_format.cpp.
std::string encode_record(const CacheKey& key, const CacheRecord& record);

/// nullopt when `bytes`, the beginning of a file, are not of a record of this version.
std::optional<RecordHead> parse_record_head(std::string_view bytes);

/// The record of `key` in a file of `file_bytes` bytes, of which `bytes` is the beginning: at least
/// up to head.json_end(), or the whole file if `files` is wanted. nullopt if anything is wrong with
/// it: checksums, sizes, key.
enum class RecordParts { without_files, all };
std::optional<CacheRecord> decode_record(const CacheKey& key, const RecordHead& head,
                                         std::string_view bytes, std::size_t file_bytes,
                                         RecordParts parts);

}  // namespace strake::cache
