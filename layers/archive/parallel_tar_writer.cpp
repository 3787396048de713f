#include "layers/archive/parallel_tar_writer.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "layers/archive/tar_block.h"
#include "layers/archive/tar_encoder.h"
#include "layers/base/error.h"
#include "layers/base/trace.h"

namespace strake::layers {
namespace {

/// A batch is full when it has this much: with the piece that fills it, at most about the double.
constexpr std::size_t kBatchBytes = kTarPieceBytes;
constexpr std::size_t kFirstCapacity = 2 * kTarPieceBytes + (64 << 10);
/// Or this many files: each may keep a directory open.
constexpr std::size_t kMostHoles = 48;
/// More in flight than this are of no use: a single thread takes them.
constexpr std::size_t kMostBatches = 12;

class NamedFile final : public TarContent {
 public:
  NamedFile(std::shared_ptr<const base::FileDescriptor> directory, std::string name,
            std::string path)
      : directory_(std::move(directory)), name_(std::move(name)), path_(std::move(path)) {}

  void read(std::uint64_t offset, std::span<std::byte> to) override {
    read_content(open().get(), offset, to, path_);
  }
  base::FileDescriptor open() const override {
    base::FileDescriptor file = base::open_for_reading(directory_->get(), name_.c_str());
    if (!file) throw base::system_error(errno, "open", path_);
    return file;
  }

 private:
  const std::shared_ptr<const base::FileDescriptor> directory_;
  const std::string name_, path_;
};

class OpenFile final : public TarContent {
 public:
  OpenFile(base::FileDescriptor file, std::string path)
      : file_(std::move(file)), path_(std::move(path)) {}

  void read(std::uint64_t offset, std::span<std::byte> to) override {
    read_content(file_.get(), offset, to, path_);
  }

 private:
  const base::FileDescriptor file_;
  const std::string path_;
};

}  // namespace

void read_content(int file, std::uint64_t offset, std::span<std::byte> to,
                  const std::string& path) {
  const std::size_t count = base::pread_full(file, to, offset, path);
  if (count < to.size())
    throw base::Error(base::ErrorCode::corrupt,
                      base::quoted(path) + " changed while it was read: " +
                          std::to_string(to.size() - count) + " bytes are missing");
}

std::shared_ptr<TarContent> content_at(std::shared_ptr<const base::FileDescriptor> directory,
                                       std::string name, std::string path) {
  return std::make_shared<NamedFile>(std::move(directory), std::move(name), std::move(path));
}

std::shared_ptr<TarContent> content_of(base::FileDescriptor file, std::string path) {
  return std::make_shared<OpenFile>(std::move(file), std::move(path));
}

ParallelTarWriter::ParallelTarWriter(base::ByteSink& out, Options options, base::WorkerPool& pool)
    : options_(std::move(options)),
      out_(out),
      batches_(
          [this](Batch& batch) {
            base::TraceSpan span("read files");
            span.add_bytes(batch.bytes.size());
            for (const Hole& hole : batch.holes)
              hole.content->read(hole.piece.content_offset,
                                 std::span(batch.bytes.data() + hole.piece.at, hole.piece.size));
            batch.holes.clear();  // and with them what is only needed to read
            if (options_.file >= 0)
              base::pwrite_full(options_.file, batch.bytes.bytes(), batch.offset,
                                options_.file_name);
          },
          [this](Batch& batch) {
            base::TraceSpan span("hash");
            span.add_bytes(batch.bytes.size());
            out_.write(batch.bytes.bytes());
            batch.bytes.clear();
          },
          std::min(2 * pool.size() + 2, kMostBatches), pool) {}

void ParallelTarWriter::add(const TarEntry& entry) {
  add(entry, nullptr);
}

void ParallelTarWriter::add(const TarEntry& entry, std::shared_ptr<TarContent> content) {
  begin(entry);
  add_pieces(entry, [&](Batch& batch, const Piece& piece) {
    batch.holes.push_back({content, piece});
  });
}

void ParallelTarWriter::add(const TarEntry& entry, base::ByteSource& data) {
  const auto refuse = [&](std::string_view why) {
    throw base::Error(base::ErrorCode::corrupt,
                      base::quoted(entry.path) + " changed while it was read: " + std::string(why));
  };
  begin(entry);
  add_pieces(entry, [&](Batch& batch, const Piece& piece) {
    for (std::size_t done = 0; done < piece.size;) {
      const std::size_t count =
          data.read(std::span(batch.bytes.data() + piece.at + done, piece.size - done));
      if (count == 0) refuse("it is shorter than its size");
      done += count;
    }
  });
  std::byte more{};
  if (data.read(std::span(&more, 1)) != 0) refuse("it is longer than its size");
}

void ParallelTarWriter::begin(const TarEntry& entry) {
  headers_.clear();
  append_tar_headers(entry, options_.clamp_mtime, headers_);
  const Batch& batch = batches_.next();
  if (batch.bytes.size() >= kBatchBytes || batch.holes.size() >= kMostHoles) batches_.submit();
  std::memcpy(extend(headers_.size()).data(), headers_.data(), headers_.size());
}

template <typename Fill>
void ParallelTarWriter::add_pieces(const TarEntry& entry, const Fill& fill) {
  for (std::uint64_t offset = 0; offset < entry.size_bytes;) {
    if (batches_.next().bytes.size() >= kBatchBytes) batches_.submit();
    const std::size_t size = std::min<std::uint64_t>(entry.size_bytes - offset, kTarPieceBytes);
    extend(size);
    Batch& batch = batches_.next();
    fill(batch, Piece{offset, batch.bytes.size() - size, size});
    offset += size;
  }
  append_zeros(tar_padding(entry.size_bytes));
}

void ParallelTarWriter::add_made(std::span<const std::byte> blocks) {
  if (blocks.empty()) return;
  if (batches_.next().bytes.size() > 0 || batches_.in_flight() > 0) finish_batches();
  if (options_.file >= 0) base::pwrite_full(options_.file, blocks, size_bytes_, options_.file_name);
  size_bytes_ += blocks.size();
  base::TraceSpan span("hash");
  span.add_bytes(blocks.size());
  out_.write(blocks);
}

void ParallelTarWriter::finish() {
  append_zeros(kTarEndBytes);
  finish_batches();
}

void ParallelTarWriter::finish_batches() {
  batches_.submit_last();
  batches_.finish();
}

std::span<std::byte> ParallelTarWriter::extend(std::size_t count) {
  Batch& batch = batches_.next();
  if (batch.bytes.size() == 0) batch.offset = size_bytes_;
  size_bytes_ += count;
  // Nothing but headers with large attributes makes a batch outgrow this.
  batch.bytes.reserve(kFirstCapacity);
  return batch.bytes.extend(count);
}

void ParallelTarWriter::append_zeros(std::size_t count) {
  std::ranges::fill(extend(count), std::byte{0});
}

}  // namespace strake::layers
