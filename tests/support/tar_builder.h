#pragma once

#include <cstdint>
#include <cstdio>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace strake::test {

/// Header fields of one entry. A `raw_*` field that is not empty is stored as it is, over whatever
/// the plain one would have stored.
struct TarFields {
  std::uint32_t mode = 0644;
  std::uint64_t uid = 0, gid = 0;
  std::int64_t mtime = 0;
  std::uint32_t device_major = 0, device_minor = 0;
  std::string raw_mode, raw_uid, raw_gid, raw_size, raw_mtime, raw_checksum, raw_magic;
};

/// Makes tars, right and wrong ones, block by block; it checks nothing.
///
///     TarBuilder().directory("d").file("d/f", "text").symlink("l", "d/f").str()
///
/// pax() and the GNU names apply to the entry added next.
class TarBuilder {
 public:
  using Records = std::vector<std::pair<std::string, std::string>>;

  TarBuilder& file(std::string_view path, std::string_view content = "", TarFields fields = {}) {
    return entry('0', path, "", content, std::move(fields));
  }
  TarBuilder& directory(std::string_view path, TarFields fields = {.mode = 0755}) {
    return entry('5', std::string(path) + "/", "", "", std::move(fields));
  }
  TarBuilder& symlink(std::string_view path, std::string_view target,
                      TarFields fields = {.mode = 0777}) {
    return entry('2', path, target, "", std::move(fields));
  }
  TarBuilder& hardlink(std::string_view path, std::string_view target, TarFields fields = {}) {
    return entry('1', path, target, "", std::move(fields));
  }
  TarBuilder& character_device(std::string_view path, std::uint32_t major, std::uint32_t minor) {
    return entry('3', path, "", "", {.device_major = major, .device_minor = minor});
  }
  TarBuilder& block_device(std::string_view path, std::uint32_t major, std::uint32_t minor) {
    return entry('4', path, "", "", {.device_major = major, .device_minor = minor});
  }
  TarBuilder& fifo(std::string_view path, TarFields fields = {}) {
    return entry('6', path, "", "", std::move(fields));
  }

  TarBuilder& pax(const Records& records) { return pax_text(pax_records(records)); }
  TarBuilder& global_pax(const Records& records) {
    return entry('g', "pax_global_header", "", pax_records(records), {});
  }
  /// A pax header with this very text, malformed or not.
  TarBuilder& pax_text(std::string_view text) { return entry('x', "PaxHeaders.0/x", "", text, {}); }
  TarBuilder& gnu_long_name(std::string_view path) {
    return entry('L', "././@LongLink", "", std::string(path) + '\0', {.raw_magic = "ustar  "});
  }
  TarBuilder& gnu_long_link(std::string_view target) {
    return entry('K', "././@LongLink", "", std::string(target) + '\0', {.raw_magic = "ustar  "});
  }

  /// Any entry: header, then `data` padded to whole blocks.
  TarBuilder& entry(char type, std::string_view path, std::string_view target,
                    std::string_view data, TarFields fields) {
    tar_ += header(type, path, target, data.size(), fields);
    tar_ += data;
    tar_.append((512 - data.size() % 512) % 512, '\0');
    return *this;
  }
  TarBuilder& raw(std::string_view bytes) {
    tar_ += bytes;
    return *this;
  }

  std::string str() const { return tar_ + std::string(1024, '\0'); }
  std::string unterminated() const { return tar_; }  // without the end-of-archive blocks

  static std::string header(char type, std::string_view path, std::string_view target,
                            std::uint64_t size, const TarFields& fields) {
    std::string block(512, '\0');
    put(block, 0, 100, path);
    put(block, 100, 8, or_octal(fields.raw_mode, fields.mode, 7));
    put(block, 108, 8, or_octal(fields.raw_uid, fields.uid, 7));
    put(block, 116, 8, or_octal(fields.raw_gid, fields.gid, 7));
    put(block, 124, 12, or_octal(fields.raw_size, size, 11));
    put(block, 136, 12, or_octal(fields.raw_mtime, static_cast<std::uint64_t>(fields.mtime), 11));
    block[156] = type;
    put(block, 157, 100, target);
    put(block, 257, 8,
        fields.raw_magic.empty() ? std::string("ustar\0"
                                               "00",
                                               8)
                                 : fields.raw_magic);
    put(block, 329, 8, octal(fields.device_major, 7));
    put(block, 337, 8, octal(fields.device_minor, 7));
    seal(block);
    if (!fields.raw_checksum.empty()) put(block, 148, 8, fields.raw_checksum);
    return block;
  }

  /// Stores the right checksum in a header block.
  static void seal(std::string& block) {
    put(block, 148, 8, "        ");
    std::uint64_t sum = 0;
    for (const char c : block.substr(0, 512)) sum += static_cast<unsigned char>(c);
    put(block, 148, 8, octal(sum, 6) + std::string("\0 ", 2));
  }

  /// "<length> <key>=<value>\n" for each record.
  static std::string pax_records(const Records& records) {
    std::string text;
    for (const auto& [key, value] : records) {
      const std::string rest = " " + key + "=" + value + "\n";
      std::size_t length = rest.size() + 1;
      while (std::to_string(length).size() + rest.size() != length) ++length;
      text += std::to_string(length) + rest;
    }
    return text;
  }

  /// A number in GNU's base-256 form, `width` bytes wide, two's complement.
  static std::string base256(std::int64_t value, std::size_t width) {
    std::string field(width, value < 0 ? '\xff' : '\0');
    for (std::size_t i = 0; i < 8 && i < width; ++i)
      field[width - 1 - i] = static_cast<char>(static_cast<std::uint64_t>(value) >> (8 * i));
    field[0] = static_cast<char>(field[0] | '\x80');
    return field;
  }

 private:
  static std::string octal(std::uint64_t value, int digits) {
    char text[32];
    std::snprintf(text, sizeof text, "%0*llo", digits, static_cast<unsigned long long>(value));
    return text;
  }
  static std::string or_octal(const std::string& raw, std::uint64_t value, int digits) {
    return raw.empty() ? octal(value, digits) : raw;
  }
  static void put(std::string& block, std::size_t at, std::size_t width, std::string_view value) {
    value = value.substr(0, width);
    block.replace(at, value.size(), value);
  }

  std::string tar_;
};

}  // namespace strake::test
