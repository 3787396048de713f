#include "builder/exec/source_file.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <atomic>
#include <cerrno>
#include <chrono>

#include "cache/file_digester.h"
#include "layers/base/error.h"
#include "layers/base/fd.h"

namespace strake::builder {
namespace {

static_assert(layers::kTarPieceBytes == cache::kDigestPieceBytes,
              "a piece of a tar is a piece of a digest");

base::Error changed_while_read(const std::string& path) {
  return base::Error(base::ErrorCode::invalid_input,
                     base::quoted(path) + " changed while it was read")
      .hint("run the build again when nothing writes to the file");
}

class CopiedFile : public layers::TarContent {
 public:
  explicit CopiedFile(const SourceFile& file) : file_(file) {}

  void read(std::uint64_t offset, std::span<std::byte> to) override {
    const base::FileDescriptor opened = open();
    const std::size_t count = base::pread_full(opened.get(), to, offset, file_.path);
    struct ::stat status;
    if (::fstat(opened.get(), &status) != 0) throw base::system_error(errno, "read", file_.path);
    // What is the same file at the end was the same file all the time.
    const cache::FileStamp now = cache::stamp_of(status);
    const bool same =
        file_.stamp_counts ? now == file_.stamp : now.size_bytes == file_.stamp.size_bytes;
    if (!same || count < to.size()) throw changed_while_read(file_.path);
  }

  base::FileDescriptor open() const override {
    if (file_.opened) return file_.opened->duplicate();
    return file_.root->open(file_.path, O_RDONLY | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK);
  }

 protected:
  const SourceFile file_;
};

/// A file whose content is digested on the way, piece by piece.
class DigestedFile final : public CopiedFile {
 public:
  DigestedFile(const SourceFile& file, LearnedDigests& learned)
      : CopiedFile(file),
        learned_(learned),
        pieces_((file.stamp.size_bytes + layers::kTarPieceBytes - 1) / layers::kTarPieceBytes),
        left_(pieces_.size()) {}

  void read(std::uint64_t offset, std::span<std::byte> to) override {
    CopiedFile::read(offset, to);
    pieces_[offset / layers::kTarPieceBytes] = base::Digest::of(std::span<const std::byte>(to));
    if (left_.fetch_sub(1) > 1) return;
    const base::Digest digest = cache::content_digest(pieces_);
    learned_.digests.learn(file_.index, digest);
    learned_.memo.remember(file_.stamp, digest, before_, file_.plain);
  }

 private:
  LearnedDigests& learned_;
  std::vector<base::Digest> pieces_;
  std::atomic<std::size_t> left_;
  const cache::StatMemo::Time before_ = std::chrono::system_clock::now();
};

}  // namespace

std::shared_ptr<layers::TarContent> content_of(const SourceFile& file, LearnedDigests* learned) {
  if (learned != nullptr && file.stamp_counts && !file.content_known &&
      !learned->digests.learned(file.index))
    return std::make_shared<DigestedFile>(file, *learned);
  return std::make_shared<CopiedFile>(file);
}

}  // namespace strake::builder
