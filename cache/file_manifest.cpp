#include "cache/file_manifest.h"

#include <algorithm>

#include "cache/canonical.h"

// Grammar (numbers are LEB128 varints unless said otherwise):
//   manifest = version:1 byte  count  entry*
//   entry    = shared  length  suffix:length bytes  mode  uid  gid  size  content:8 bytes LE
//              marked (0 | 1 attributes:8 bytes LE)
// A path is the first `shared` bytes of the path before, then `suffix`.

namespace strake::cache {
namespace {

constexpr char kVersion = 2;

void append_varint(std::string& out, std::uint64_t number) {
  for (; number >= 0x80; number >>= 7) out += static_cast<char>(number | 0x80);
  out += static_cast<char>(number);
}

/// Takes values off the front of the bytes; after the first failure everything is 0 and !ok.
class Decoder {
 public:
  explicit Decoder(std::string_view bytes) : rest_(bytes) {}

  std::uint64_t varint() {
    std::uint64_t number = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      const std::string_view next = view(1);
      const unsigned byte = next.empty() ? 0 : static_cast<unsigned char>(next[0]);
      number |= std::uint64_t{byte & 0x7FU} << shift;
      if (byte < 0x80) return number;
    }
    ok_ = false;
    return 0;
  }

  std::uint64_t fixed() {
    const std::string_view bytes = view(8);
    std::uint64_t number = 0;
    for (std::size_t i = 0; i < bytes.size(); ++i)
      number |= std::uint64_t{static_cast<unsigned char>(bytes[i])} << (8 * i);
    return number;
  }

  std::string_view view(std::uint64_t length) {
    if (!ok_ || length > rest_.size()) {
      ok_ = false;
      return {};
    }
    const std::string_view taken = rest_.substr(0, length);
    rest_.remove_prefix(length);
    return taken;
  }

  bool ok() const { return ok_; }
  bool at_end() const { return rest_.empty(); }

 private:
  std::string_view rest_;
  bool ok_ = true;
};

std::vector<const ManifestEntry*> by_path(const std::vector<ManifestEntry>& entries) {
  std::vector<const ManifestEntry*> sorted;
  sorted.reserve(entries.size());
  for (const ManifestEntry& entry : entries) sorted.push_back(&entry);
  std::ranges::stable_sort(
      sorted, {}, [](const ManifestEntry* entry) -> const std::string& { return entry->path; });
  return sorted;
}

}  // namespace

std::string FileManifest::encode() const {
  std::string out(1, kVersion);
  append_varint(out, entries.size());
  std::string_view last;
  for (const ManifestEntry* entry : by_path(entries)) {
    const std::string_view path = entry->path;
    const auto shared =
        static_cast<std::size_t>(std::ranges::mismatch(last, path).in1 - last.begin());
    append_varint(out, shared);
    append_varint(out, path.size() - shared);
    out += path.substr(shared);
    append_varint(out, entry->mode);
    append_varint(out, entry->uid);
    append_varint(out, entry->gid);
    append_varint(out, entry->size_bytes);
    append_number(out, entry->content);
    append_varint(out, entry->attributes != 0);
    if (entry->attributes != 0) append_number(out, entry->attributes);
    last = path;
  }
  return out;
}

std::optional<FileManifest> FileManifest::decode(std::string_view bytes) {
  Decoder in(bytes);
  if (in.view(1) != std::string_view(&kVersion, 1)) return std::nullopt;
  const std::uint64_t count = in.varint();
  if (count > bytes.size()) return std::nullopt;
  FileManifest manifest;
  manifest.entries.reserve(count);
  std::string path;
  for (std::uint64_t i = 0; i < count && in.ok(); ++i) {
    const std::uint64_t shared = in.varint();
    if (shared > path.size()) return std::nullopt;
    path.resize(shared);
    path += in.view(in.varint());
    ManifestEntry& entry = manifest.entries.emplace_back();
    entry.path = path;
    entry.mode = static_cast<std::uint32_t>(in.varint());
    entry.uid = static_cast<std::uint32_t>(in.varint());
    entry.gid = static_cast<std::uint32_t>(in.varint());
    entry.size_bytes = in.varint();
    entry.content = in.fixed();
    if (in.varint() != 0) entry.attributes = in.fixed();
  }
  if (!in.ok() || !in.at_end()) return std::nullopt;
  return manifest;
}

}  // namespace strake::cache
