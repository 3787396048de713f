#include "layers/archive/tar_headers.h"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <limits>
#include <optional>

#include "layers/archive/tar_block.h"
#include "layers/base/error.h"

namespace strake::layers {
namespace {

using base::Error;
using base::ErrorCode;

[[noreturn]] void refuse(std::string_view why) {
  throw Error(ErrorCode::corrupt, "the tar has a malformed header: " + std::string(why));
}

/// What the extended headers say of the entry that follows them.
struct Extensions {
  std::string_view path, link_target, sparse_name;  // pax; empty: not said
  std::string_view gnu_path, gnu_link_target;
  std::optional<std::uint64_t> size_bytes;
  bool sparse = false;
};

struct Record {
  std::string_view key, value;
};

/// Takes the first record off `text`: "<length> <key>=<value>\n".
Record take_record(std::string_view& text) {
  std::size_t length = 0;
  const auto [digits_end, error] = std::from_chars(text.data(), text.data() + text.size(), length);
  const auto digits = static_cast<std::size_t>(digits_end - text.data());
  if (error != std::errc() || length > text.size() || length < digits + 3 || text[digits] != ' ')
    refuse("wrong length of a pax record");
  std::string_view record = text.substr(digits + 1, length - digits - 1);
  text.remove_prefix(length);
  if (record.back() != '\n') refuse("a pax record does not end where its length says");
  record.remove_suffix(1);
  const std::size_t equals = record.find('=');
  if (equals == 0 || equals == std::string_view::npos) refuse("a pax record without a key");
  return {record.substr(0, equals), record.substr(equals + 1)};
}

std::uint64_t parse_decimal(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size())
    refuse("the size " + base::quoted(text) + " is not a number");
  return value;
}

/// Later records win; an empty value leaves what the header block says.
void take_pax(std::string_view text, bool global, const Limits& limits, Extensions& to) {
  if (text.size() > limits.pax_header_bytes)
    refuse("got a pax header of " + std::to_string(text.size()) + " bytes, the limit is " +
           std::to_string(limits.pax_header_bytes));
  std::size_t count = 0;
  while (!text.empty()) {
    const auto [key, value] = take_record(text);
    if (++count > limits.pax_records)
      refuse("more than " + std::to_string(limits.pax_records) + " pax records");
    const bool binary = key.starts_with("SCHILY.xattr.");
    if (key.find('\0') != std::string_view::npos ||
        (!binary && value.find('\0') != std::string_view::npos))
      refuse("a zero byte in the pax record " + base::quoted(key));

    const bool names_entry =
        key == "path" || key == "linkpath" || key == "size" || key.starts_with("GNU.sparse.");
    // GNU tar obeys these for all entries that follow, libarchive and Go pass over them.
    if (global && names_entry) refuse("a global pax header with " + base::quoted(key));
    if (key == "path") to.path = value;
    if (key == "linkpath") to.link_target = value;
    if (key == "GNU.sparse.name") to.sparse_name = value;
    if (key == "size" && !value.empty()) to.size_bytes = parse_decimal(value);
    if (!key.starts_with("GNU.sparse.")) continue;
    to.sparse = true;
    // libarchive takes a part of a map that it does not understand.
    if (key != "GNU.sparse.name" && value.find_first_not_of("0123456789,") != value.npos)
      refuse("a value that is no number in the pax record " + base::quoted(key));
  }
}

std::string_view until_zero(std::string_view field) {
  return field.substr(0, field.find('\0'));
}

template <std::size_t size>
std::string_view text_of(const char (&field)[size]) {
  return until_zero({field, size});
}

/// A number in octal or, with the highest bit of the first byte set, in GNU's base 256.
std::uint64_t parse_size(const char (&field)[sizeof TarBlock::size]) {
  const auto first = static_cast<unsigned char>(field[0]);
  if ((first & 0x80) == 0) return parse_octal(field);
  if ((first & 0x40) != 0) refuse("the size is negative");
  std::uint64_t value = first & 0x3f;
  for (std::size_t i = 1; i < sizeof field; ++i) {
    if (value > std::numeric_limits<std::uint64_t>::max() >> 8) refuse("the size is out of range");
    value = value << 8 | static_cast<unsigned char>(field[i]);
  }
  return value;
}

std::string own_path(const TarBlock& block) {
  const bool posix = text_of(block.magic) == "ustar";  // GNU's is "ustar  ", and has no prefix
  if (!posix || block.prefix[0] == '\0') return std::string(text_of(block.name));
  return std::string(text_of(block.prefix)) + "/" + std::string(text_of(block.name));
}

/// The one name that was given; the header block's own if none was.
std::string choose(std::string_view pax, std::string_view gnu, std::string own) {
  // libarchive prefers the first, Go the second.
  if (!pax.empty() && !gnu.empty()) refuse("an entry named by pax and by a GNU long name");
  if (!pax.empty()) return std::string(pax);
  return gnu.empty() ? std::move(own) : std::string(gnu);
}

/// Is this the header of a header? Then it has a body.
bool is_extended(char type) {
  return std::string_view("xXgKLAV").find(type) != std::string_view::npos;
}

}  // namespace

RawHeaders parse_headers(std::string_view headers, const Limits& limits) {
  Extensions said;
  TarBlock block;
  std::size_t at = 0;
  while (true) {
    if (headers.size() - at < kTarBlockBytes) refuse("extended headers that no entry follows");
    std::memcpy(&block, headers.data() + at, sizeof block);
    at += kTarBlockBytes;
    if (!is_extended(block.type)) break;

    const std::uint64_t size = parse_size(block.size);
    if (size > headers.size() - at) refuse("an extended header is longer than its blocks");
    const std::string_view body = headers.substr(at, size);
    at = std::min(headers.size(), at + size + tar_padding(size));
    switch (block.type) {
      case 'x':
      case 'X':
        take_pax(body, false, limits, said);
        break;
      case 'g':
        take_pax(body, true, limits, said);
        break;
      case 'L':
        said.gnu_path = until_zero(body);
        break;
      case 'K':
        said.gnu_link_target = until_zero(body);
        break;
      default:
        break;  // ACLs of Solaris, the name of a volume
    }
  }
  return {.type = block.type,
          .sparse = said.sparse || block.type == 'S',
          .path = choose(said.sparse_name.empty() ? said.path : said.sparse_name, said.gnu_path,
                         own_path(block)),
          .link_target =
              choose(said.link_target, said.gnu_link_target, std::string(text_of(block.link_name))),
          .size_bytes = said.size_bytes.value_or(parse_size(block.size)),
          .length = at};
}

}  // namespace strake::layers
