#pragma once

#include <compare>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace strake::oci {

/// Spec: image-index.md, "platform". Always in the normal form of parse_platform.
struct Platform {
  std::string os, architecture, variant, os_version = "";
  auto operator<=>(const Platform&) const = default;

  std::string str() const;  // "linux/arm/v7"
};

/// "linux/amd64", "arm64", "linux/arm/v7"; spelling variants are brought to their normal form
/// (x86_64 → amd64, aarch64 → arm64, arm64/v8 → arm64, arm → arm/v7, …). A lone word is an
/// architecture or an operating system. Throws Error(invalid_input).
Platform parse_platform(std::string_view text);

/// The normal form of values that come from a config or an index.
Platform normalized(Platform platform);

/// The platform of this machine.
const Platform& host_platform();

/// Whether an image for `image` runs on `wanted`, and how well: 0 is exact, larger is a lesser
/// match (an older ARM variant, an older amd64 level), -1 is no match.
int match_rank(const Platform& wanted, const Platform& image);

/// Position of the best match for `wanted` in `candidates`, the first of equals; -1 if none runs.
int best_match(const Platform& wanted, std::span<const Platform> candidates);

}  // namespace strake::oci
