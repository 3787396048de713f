#include "cache/file_digester.h"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <span>
#include <vector>

#include "layers/base/error.h"
#include "layers/base/fd.h"

namespace strake::cache {
namespace {

using base::ErrorCode;

constexpr int kAttempts = 3;

/// Digest of the first `size_bytes` bytes, or of fewer if there are no more. Nobody looks for the
/// end behind them: a file that grew has another stamp.
base::Digest read_digest(int file, std::uint64_t size_bytes, std::string_view subject) {
  // One for each thread, because most files are smaller than what zeroing a new one would cost.
  thread_local std::vector<std::byte> buffer;
  std::vector<base::Digest> pieces;
  std::uint64_t offset = 0;
  do {
    const std::size_t want = std::min<std::uint64_t>(kDigestPieceBytes, size_bytes - offset);
    if (buffer.size() < want) buffer.resize(want);
    const std::span<std::byte> piece = std::span(buffer).first(want);
    pieces.push_back(base::Digest::of(piece.first(base::pread_full(file, piece, offset, subject))));
    offset += want;
  } while (offset < size_bytes);
  return content_digest(pieces);
}

struct ::stat status_of(int file, std::string_view subject) {
  struct ::stat status;
  if (::fstat(file, &status) != 0) throw base::system_error(errno, "read", subject);
  return status;
}

}  // namespace

base::Digest content_digest(std::span<const base::Digest> pieces) {
  if (pieces.size() == 1) return pieces.front();
  base::Sha256 sha256;
  for (const base::Digest& piece : pieces) sha256.update(std::as_bytes(std::span(piece.bytes())));
  return sha256.finish();
}

base::Digest FileDigester::digest(int file, const FileStamp& selected, std::string_view subject,
                                  bool plain) const {
  struct ::stat before = status_of(file, subject);
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    if (!S_ISREG(before.st_mode))
      throw base::Error(ErrorCode::invalid_input, "cannot read " + base::quoted(subject) +
                                                      ": it is no regular file any more");
    const FileStamp stamp = stamp_of(before);
    std::optional<base::Digest> digest = memo_.find(stamp);
    if (digest) return *digest;
    const StatMemo::Time read_at = std::chrono::system_clock::now();
    digest = read_digest(file, stamp.size_bytes, subject);
    const struct ::stat after = status_of(file, subject);
    if (stamp_of(after) == stamp) {
      memo_.remember(stamp, *digest, read_at, plain && stamp == selected);
      return *digest;
    }
    before = after;
  }
  throw base::Error(ErrorCode::invalid_input,
                    "cannot read " + base::quoted(subject) + ": it changes while it is read")
      .hint("build again when nothing writes to it, or exclude it in .dockerignore");
}

}  // namespace strake::cache
