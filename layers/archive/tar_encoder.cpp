#include "layers/archive/tar_encoder.h"

#include <algorithm>
#include <cstring>
#include <span>
#include <string>
#include <string_view>

#include "layers/archive/tar_block.h"
#include "layers/base/error.h"

// Entry ::= [ pax header: block of type "x", its records, padding ] header block, data, padding.
// Numbers in the header block are octal with a NUL at the end; what does not fit is stored as 0
// there and said in the pax records, which every reader prefers.

namespace strake::layers {
namespace {

using base::Error;
using base::ErrorCode;

constexpr std::uint64_t kMaxOctal7 = 07777777;       // 2097151
constexpr std::uint64_t kMaxOctal11 = 077777777777;  // 8 GiB - 1; the year 2242

bool is_ascii(std::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return static_cast<unsigned char>(c) < 0x80; });
}

template <std::size_t size>
void put_octal(char (&field)[size], std::uint64_t value) {
  field[size - 1] = '\0';
  for (std::size_t i = size - 1; i-- > 0; value >>= 3)
    field[i] = static_cast<char>('0' + (value & 7));
}

template <std::size_t size>
void put_text(char (&field)[size], std::string_view text) {
  std::memcpy(field, text.data(), std::min(size, text.size()));
}

/// Where to cut `path` into ustar's prefix and name (at a "/", which is not stored); npos if there
/// is no such place.
std::size_t split_point(std::string_view path) {
  constexpr std::size_t kPrefix = sizeof TarBlock::prefix;
  constexpr std::size_t kName = sizeof TarBlock::name;
  // The name keeps at least a byte, and the "/" at a directory's end is no place to cut.
  const std::size_t slash = path.rfind('/', std::min(kPrefix, path.size() - 2));
  if (slash == std::string_view::npos || slash == 0) return std::string_view::npos;
  return path.size() - slash - 1 <= kName ? slash : std::string_view::npos;
}

char type_flag(EntryType type) {
  switch (type) {
    case EntryType::file:
      return '0';
    case EntryType::hardlink:
      return '1';
    case EntryType::symlink:
      return '2';
    case EntryType::character_device:
      return '3';
    case EntryType::block_device:
      return '4';
    case EntryType::directory:
      return '5';
    case EntryType::fifo:
      return '6';
  }
  return '0';
}

/// One pax record, "<length> <key>=<value>\n", whose length counts its own digits.
void append_record(std::string& records, std::string_view key, std::string_view value) {
  const std::size_t rest = key.size() + value.size() + 3;  // " ", "=", "\n"
  std::size_t length = rest + 1;
  while (std::to_string(length).size() + rest != length) ++length;
  records.append(std::to_string(length)).append(" ").append(key).append("=").append(value);
  records += '\n';
}

/// Fills `name` and `prefix`, or says the path in `records`. A reader without pax then sees the
/// path's beginning.
void put_path(TarBlock& block, std::string& records, std::string_view path) {
  if (is_ascii(path)) {
    if (path.size() <= sizeof block.name) return put_text(block.name, path);
    if (const std::size_t cut = split_point(path); cut != std::string_view::npos) {
      put_text(block.prefix, path.substr(0, cut));
      return put_text(block.name, path.substr(cut + 1));
    }
  }
  append_record(records, "path", path);
  put_text(block.name, path);
}

void put_link(TarBlock& block, std::string& records, std::string_view target) {
  if (target.size() > sizeof block.link_name || !is_ascii(target))
    append_record(records, "linkpath", target);
  put_text(block.link_name, target);
}

template <std::size_t size>
void put_number(char (&field)[size], std::string& records, std::string_view key,
                std::uint64_t value, std::uint64_t max) {
  if (value > max) append_record(records, key, std::to_string(value));
  put_octal(field, value > max ? 0 : value);
}

std::uint64_t stored_mtime(std::int64_t seconds, std::optional<std::int64_t> clamp) {
  if (clamp) seconds = std::min(seconds, *clamp);
  return std::clamp<std::uint64_t>(static_cast<std::uint64_t>(std::max<std::int64_t>(seconds, 0)),
                                   0, kMaxOctal11);
}

void put_checksum(TarBlock& block) {
  // Six digits, NUL, space: the one field that does not end in NUL.
  char digits[7];
  put_octal(digits, block.sum());
  std::memcpy(block.checksum, digits, sizeof digits);
  block.checksum[7] = ' ';
}

/// The header block of `entry` as far as ustar goes; the rest goes to `records`, keys sorted.
TarBlock encode(const TarEntry& entry, std::optional<std::int64_t> clamp_mtime,
                std::string& records) {
  TarBlock block{};
  for (const base::Xattr& xattr : entry.xattrs)
    append_record(records, "SCHILY.xattr." + xattr.first, xattr.second);
  put_number(block.gid, records, "gid", entry.gid, kMaxOctal7);
  if (!entry.link_target.empty()) put_link(block, records, entry.link_target);
  put_path(block, records, entry.type == EntryType::directory ? entry.path + "/" : entry.path);
  put_number(block.size, records, "size", entry.size_bytes, kMaxOctal11);
  put_number(block.uid, records, "uid", entry.uid, kMaxOctal7);
  put_octal(block.mode, entry.mode & 07777);
  put_octal(block.mtime, stored_mtime(entry.mtime.tv_sec, clamp_mtime));
  put_octal(block.device_major, entry.device_major);
  put_octal(block.device_minor, entry.device_minor);
  block.type = type_flag(entry.type);
  std::memcpy(block.magic, "ustar\00000", sizeof block.magic);
  put_checksum(block);
  return block;
}

void check(const TarEntry& entry) {
  const auto refuse = [&](std::string_view why) {
    throw Error(ErrorCode::invalid_input,
                "cannot store " + base::quoted(entry.path) + " in a tar: " + std::string(why));
  };
  if (entry.path.empty()) refuse("it has no path");
  if (entry.path.find('\0') != std::string::npos) refuse("a zero byte in its path");
  if (entry.link_target.find('\0') != std::string::npos) refuse("a zero byte in its link target");
  const bool is_link = entry.type == EntryType::symlink || entry.type == EntryType::hardlink;
  if (is_link == entry.link_target.empty())
    refuse(is_link ? "a link without a target" : "a link target without a link");
  if (entry.size_bytes != 0 && entry.type != EntryType::file) refuse("only files have data");
  if (entry.device_major > kMaxOctal7 || entry.device_minor > kMaxOctal7)
    refuse("its device number is too large");
  for (const base::Xattr& xattr : entry.xattrs)
    if (xattr.first.empty() ||
        xattr.first.find_first_of(std::string_view("=\0", 2)) != std::string::npos)
      refuse("extended attribute name " + base::quoted(xattr.first));
}

void append(std::vector<std::byte>& out, std::span<const std::byte> bytes) {
  out.insert(out.end(), bytes.begin(), bytes.end());
}

void append_pax_header(const TarEntry& entry, std::string_view records,
                       std::vector<std::byte>& out) {
  TarBlock block{};
  const std::size_t slash = entry.path.rfind('/');
  const std::string base_name = entry.path.substr(slash == std::string::npos ? 0 : slash + 1);
  put_text(block.name, "PaxHeaders.0/" + base_name);
  put_octal(block.mode, 0);
  put_octal(block.uid, 0);
  put_octal(block.gid, 0);
  put_octal(block.size, records.size());
  put_octal(block.mtime, 0);
  put_octal(block.device_major, 0);
  put_octal(block.device_minor, 0);
  block.type = 'x';
  std::memcpy(block.magic, "ustar\00000", sizeof block.magic);
  put_checksum(block);
  append(out, std::as_bytes(std::span(&block, 1)));
  append(out, std::as_bytes(std::span(records)));
  out.resize(out.size() + tar_padding(records.size()));
}

}  // namespace

void append_tar_headers(const TarEntry& entry, std::optional<std::int64_t> clamp_mtime,
                        std::vector<std::byte>& out) {
  check(entry);
  std::string records;
  const TarBlock block = encode(entry, clamp_mtime, records);
  if (!records.empty()) append_pax_header(entry, records, out);
  append(out, std::as_bytes(std::span(&block, 1)));
}

}  // namespace strake::layers
