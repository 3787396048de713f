#pragma once

#include <sys/stat.h>

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

#include "cache/stat_memo.h"
#include "layers/base/digest.h"

namespace strake::cache {

/// What a file of more bytes is cut into, so that several threads can compute its digest.
inline constexpr std::size_t kDigestPieceBytes = 1 << 20;

/// The digest of a file's content: of its bytes, or, if it is larger than a piece, of the digests
/// of its pieces. `pieces`: one at least, in order. Two files of the same digest may have different
/// content if one is larger than a piece and the other is not: whoever compares, compares sizes
/// too.
base::Digest content_digest(std::span<const base::Digest> pieces);

/// Reads files for their digests, each only once as long as the memo knows it. Thread-safe.
class FileDigester {
 public:
  explicit FileDigester(StatMemo& memo) : memo_(memo) {}

  /// Digest of an open regular file, read from its start; the file position is not used. When it
  /// changes meanwhile it is read again. `plain`: what KnownFile says of the file as it was when it
  /// was `selected`. `subject` names the file in errors. Throws Error(invalid_input) when it keeps
  /// changing while it is read, or is no regular file any more.
  base::Digest digest(int file, const FileStamp& selected, std::string_view subject,
                      bool plain = false) const;

 private:
  StatMemo& memo_;
};

}  // namespace strake::cache
