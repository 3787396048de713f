#include "builder/images/part_tag.h"

#include <algorithm>

#include "layers/base/digest.h"

namespace strake::builder {
namespace {

constexpr std::size_t kLongestTag = 128;  // distribution-spec, "Pulling manifests"
constexpr std::size_t kDigestDigits = 12;
constexpr std::string_view kInfix = "--part-";
/// What is left of a tag so that infix and platform fit behind it.
constexpr std::size_t kLongestName = 64;
constexpr std::size_t kLongestPlatform = kLongestTag - kLongestName - kInfix.size();

/// `text`, or its beginning and its digest if that is too long.
std::string shortened(std::string_view text, std::size_t limit) {
  if (text.size() <= limit) return std::string(text);
  const std::string digest = base::Digest::of(text).hex().substr(0, kDigestDigits);
  return std::string(text.substr(0, limit - kDigestDigits - 1)) + "-" + digest;
}

/// The platform in letters that tags may have. Its parts may be any text of a config: what needs
/// replacing gets the digest of the real text, so that no two platforms become one.
std::string platform_name(const oci::Platform& platform) {
  const std::string real =
      platform.str() + (platform.os_version.empty() ? "" : "/") + platform.os_version;
  const auto is_plain = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '_';
  };
  std::string name;
  bool replaced = false;
  for (const char c : real) {
    replaced = replaced || (!is_plain(c) && c != '/');
    name += is_plain(c) ? c : '-';
  }
  if (replaced) name += "-" + base::Digest::of(real).hex().substr(0, kDigestDigits);
  return shortened(name, kLongestPlatform);
}

}  // namespace

std::string part_prefix(std::string_view tag) {
  return shortened(tag, kLongestName) + std::string(kInfix);
}

std::string part_tag(std::string_view tag, const oci::Platform& platform) {
  return part_prefix(tag) + platform_name(platform);
}

}  // namespace strake::builder
