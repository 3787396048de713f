#include "cache/record_format.h"

#include <charconv>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "layers/base/error.h"

// A record file:
//   "strake-record 1 " <bytes of the JSON, decimal> " " <sha256 of the JSON, hex> "\n"
//   JSON
//   file manifest (FileManifest::encode), to the end of the file
// The JSON holds the record's own key, and size and digest of the manifest. A hit reads the file up
// to the end of the JSON. No version reads another's: a cache may forget.
//
// JSON holds UTF-8 only, and commands and paths are bytes. A record with other bytes in it is
// written with all its texts in hexadecimal, and says so.

namespace strake::cache {
namespace {

using nlohmann::json;

constexpr std::string_view kMagic = "strake-record 1 ";

enum class Texts { plain, hex };

std::string to_hex(std::string_view text) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string hex;
  hex.reserve(text.size() * 2);
  for (const unsigned char c : text) {
    hex += kDigits[c >> 4];
    hex += kDigits[c & 15];
  }
  return hex;
}

/// Throws std::out_of_range like json's own accessors do on what they did not expect.
std::string from_hex(std::string_view hex) {
  std::string text;
  text.reserve(hex.size() / 2);
  for (; hex.size() >= 2; hex.remove_prefix(2)) {
    unsigned char byte = 0;
    if (std::from_chars(hex.data(), hex.data() + 2, byte, 16).ptr != hex.data() + 2)
      throw std::out_of_range("hex");
    text += static_cast<char>(byte);
  }
  return text;
}

std::string to_json_text(const CacheKey& key, const CacheRecord& record, std::string_view files,
                         Texts texts) {
  const auto text = [&](std::string_view value) {
    return texts == Texts::hex ? to_hex(value) : std::string(value);
  };
  json fields = json::array();
  for (const KeyField& field : record.fields)
    fields.push_back(json::array({text(field.name), text(field.value)}));
  json object = {
      {"key", key.digest.hex()},
      {"slot", record.slot.digest.hex()},
      {"title", text(std::string_view(record.title).substr(0, kLongValueBytes))},
      {"created",
       std::chrono::floor<std::chrono::seconds>(record.created.time_since_epoch()).count()},
      {"milliseconds", record.duration.count()},
      {"fields", std::move(fields)},
  };
  if (texts == Texts::hex) object["hex"] = true;
  if (record.operation != SlotId()) object["operation"] = record.operation.digest.hex();
  if (record.layer)
    object["layer"] = {{"diff_id", record.layer->diff_id.digest.hex()},
                       {"tar_size", record.layer->tar_size_bytes}};
  if (record.files)
    object["files"] = {{"size", files.size()}, {"digest", base::Digest::of(files).hex()}};
  return object.dump();
}

base::Digest digest_member(const json& object, const char* name) {
  return base::Digest::from_hex(object.at(name).get_ref<const std::string&>());
}

CacheRecord record_from_json(const json& object) {
  const bool hex = object.contains("hex");
  const auto text = [&](const json& value) {
    const auto& stored = value.get_ref<const std::string&>();
    return hex ? from_hex(stored) : stored;
  };
  CacheRecord record;
  record.slot = {digest_member(object, "slot")};
  if (object.contains("operation")) record.operation = {digest_member(object, "operation")};
  record.title = text(object.at("title"));
  record.created += std::chrono::seconds(object.at("created").get<std::int64_t>());
  record.duration = std::chrono::milliseconds(object.at("milliseconds").get<std::int64_t>());
  for (const json& field : object.at("fields"))
    record.fields.push_back({text(field.at(0)), text(field.at(1))});
  if (const auto layer = object.find("layer"); layer != object.end())
    record.layer =
        oci::Layer{{digest_member(*layer, "diff_id")}, layer->at("tar_size").get<std::uint64_t>()};
  return record;
}

/// The manifest behind the JSON, if it is as the JSON says; nullopt also if there should be none.
std::optional<FileManifest> checked_files(const json& object, std::string_view files) {
  if (digest_member(object.at("files"), "digest") != base::Digest::of(files)) return std::nullopt;
  return FileManifest::decode(files);
}

}  // namespace

std::string encode_record(const CacheKey& key, const CacheRecord& record) {
  const std::string files = record.files ? record.files->encode() : std::string();
  std::string body;
  try {
    body = to_json_text(key, record, files, Texts::plain);
  } catch (const json::type_error&) {  // not UTF-8
    body = to_json_text(key, record, files, Texts::hex);
  }
  std::string out(kMagic);
  out += std::to_string(body.size()) + ' ' + base::Digest::of(body).hex() + '\n';
  return out + body + files;
}

std::optional<RecordHead> parse_record_head(std::string_view bytes) {
  const std::size_t end = bytes.substr(0, kRecordHeadBytes).find('\n');
  if (end == std::string_view::npos || !bytes.starts_with(kMagic)) return std::nullopt;
  const std::string_view numbers = bytes.substr(kMagic.size(), end - kMagic.size());
  RecordHead head{.json_begin = end + 1};
  const auto [rest, error] =
      std::from_chars(numbers.data(), numbers.data() + numbers.size(), head.json_bytes);
  const std::string_view digest = numbers.substr(static_cast<std::size_t>(rest - numbers.data()));
  if (error != std::errc() || head.json_bytes > (std::size_t{1} << 40) || digest.size() != 65 ||
      digest[0] != ' ')
    return std::nullopt;
  try {
    head.json_digest = base::Digest::from_hex(digest.substr(1));
  } catch (const base::Error&) {
    return std::nullopt;
  }
  return head;
}

std::optional<CacheRecord> decode_record(const CacheKey& key, const RecordHead& head,
                                         std::string_view bytes, std::size_t file_bytes,
                                         RecordParts parts) {
  if (bytes.size() < head.json_end()) return std::nullopt;
  const std::string_view body = bytes.substr(head.json_begin, head.json_bytes);
  if (base::Digest::of(body) != head.json_digest) return std::nullopt;
  try {
    const json object = json::parse(body);
    if (digest_member(object, "key") != key.digest) return std::nullopt;
    CacheRecord record = record_from_json(object);
    const bool has_files = object.contains("files");
    const auto files_bytes =
        has_files ? object.at("files").at("size").get<std::size_t>() : std::size_t{0};
    if (file_bytes != head.json_end() + files_bytes) return std::nullopt;
    if (has_files && parts == RecordParts::all) {
      record.files = checked_files(object, bytes.substr(head.json_end()));
      if (!record.files) return std::nullopt;
    }
    return record;
  } catch (const json::exception&) {
    return std::nullopt;
  } catch (const std::out_of_range&) {
    return std::nullopt;
  } catch (const base::Error&) {
    return std::nullopt;
  }
}

}  // namespace strake::cache
