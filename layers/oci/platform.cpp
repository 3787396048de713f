#include "layers/oci/platform.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "layers/base/error.h"

namespace strake::oci {
namespace {

using base::Error;
using base::ErrorCode;

constexpr std::array<std::string_view, 15> kSystems = {
    "linux", "windows", "darwin",  "freebsd", "netbsd", "openbsd", "dragonfly", "solaris",
    "aix",   "android", "illumos", "ios",     "js",     "plan9",   "wasip1"};
constexpr std::array<std::string_view, 15> kArchitectures = {
    "amd64",   "arm64", "arm",    "386",    "riscv64",  "ppc64le", "ppc64",  "s390x",
    "loong64", "mips",  "mipsle", "mips64", "mips64le", "wasm",    "sparc64"};

template <typename List>
bool contains(const List& list, std::string_view word) {
  return std::find(list.begin(), list.end(), word) != list.end();
}

std::string lower_case(std::string text) {
  for (char& c : text)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return text;
}

bool is_word(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '.' || c == '-';
  });
}

std::vector<std::string> split(std::string_view text) {
  std::vector<std::string> words;
  while (true) {
    const std::size_t slash = text.find('/');
    words.emplace_back(text.substr(0, slash));
    if (slash == std::string_view::npos) return words;
    text.remove_prefix(slash + 1);
  }
}

/// The number in "v7"; -1 if the variant is something else.
int version_of(std::string_view variant) {
  if (variant.empty() || variant.front() != 'v') return -1;
  int version = -1;
  const auto [end, error] =
      std::from_chars(variant.data() + 1, variant.data() + variant.size(), version);
  return error == std::errc() && end == variant.data() + variant.size() ? version : -1;
}

/// How far the image's version is below the wanted one; -1 if it is above, or below `lowest`.
int versions_below(int wanted, int image, int lowest) {
  return image >= lowest && image <= wanted ? wanted - image : -1;
}

constexpr std::string_view kHostArchitecture =
#if defined(__x86_64__)
    "amd64";
#elif defined(__aarch64__)
    "arm64";
#elif defined(__arm__)
    "arm";
#elif defined(__i386__)
    "386";
#elif defined(__riscv) && __riscv_xlen == 64
    "riscv64";
#elif defined(__powerpc64__) && defined(__LITTLE_ENDIAN__)
    "ppc64le";
#elif defined(__s390x__)
    "s390x";
#elif defined(__loongarch64)
    "loong64";
#else
#error "the name of this processor architecture in image configs is not known"
#endif

}  // namespace

std::string Platform::str() const {
  return os + "/" + architecture + (variant.empty() ? "" : "/" + variant);
}

Platform normalized(Platform platform) {
  std::string& architecture = platform.architecture = lower_case(std::move(platform.architecture));
  std::string& variant = platform.variant = lower_case(std::move(platform.variant));
  platform.os = lower_case(std::move(platform.os));
  if (platform.os == "macos") platform.os = "darwin";
  if (architecture == "x86_64" || architecture == "x86-64") architecture = "amd64";
  if (architecture == "aarch64") architecture = "arm64";
  if (architecture == "i386") {
    architecture = "386";
    variant.clear();
  } else if (architecture == "armhf") {
    architecture = "arm";
    variant = "v7";
  } else if (architecture == "armel") {
    architecture = "arm";
    variant = "v6";
  }
  const bool bare_number = variant.size() == 1 && variant[0] >= '0' && variant[0] <= '9';
  if (bare_number && architecture.rfind("arm", 0) == 0) variant.insert(0, "v");
  if (architecture == "amd64" && variant == "v1") variant.clear();
  if (architecture == "arm64" && (variant == "v8" || variant == "v8.0")) variant.clear();
  if (architecture == "arm64" && variant == "v9.0") variant = "v9";
  if (architecture == "arm" && variant.empty()) variant = "v7";
  return platform;
}

Platform parse_platform(std::string_view text) {
  const auto fail = [&](const char* why) {
    return Error(ErrorCode::invalid_input,
                 "invalid platform " + base::quoted(text.substr(0, 100)) + ": " + why)
        .hint("write it as \"linux/amd64\", \"linux/arm64\" or \"linux/arm/v7\"");
  };
  std::vector<std::string> words = split(text);
  if (words.size() > 3) throw fail("more than three parts");
  if (!std::all_of(words.begin(), words.end(), is_word))
    throw fail("a part is empty or has other characters than letters, digits, \".\", \"_\", \"-\"");
  if (words.size() > 1) {
    words.resize(3);
    return normalized({words[0], words[1], words[2]});
  }
  Platform platform = normalized({words[0], "", ""});
  if (contains(kSystems, platform.os)) {
    platform.architecture = kHostArchitecture;
    return normalized(platform);
  }
  platform = normalized({"linux", words[0], ""});
  if (!contains(kArchitectures, platform.architecture))
    throw fail("neither an operating system nor an architecture");
  return platform;
}

const Platform& host_platform() {
  static const Platform platform = normalized({"linux", std::string(kHostArchitecture), ""});
  return platform;
}

int match_rank(const Platform& wanted, const Platform& image) {
  if (wanted.os != image.os) return -1;
  if (!wanted.os_version.empty() && wanted.os_version != image.os_version) return -1;
  const std::string& want = wanted.architecture;
  const std::string& have = image.architecture;
  if (want == have && wanted.variant == image.variant) return 0;

  if (want == "amd64") {
    const int level = wanted.variant.empty() ? 1 : version_of(wanted.variant);
    if (have == "386" && image.variant.empty()) return std::max(level, 1);
    if (have != "amd64") return -1;
    return versions_below(level, image.variant.empty() ? 1 : version_of(image.variant), 1);
  }
  if (want == "arm" && have == "arm")
    return versions_below(version_of(wanted.variant), version_of(image.variant), 5);
  if (want == "arm64" && have == "arm64") {
    const int version = wanted.variant.empty() ? 8 : version_of(wanted.variant);
    return versions_below(version, image.variant.empty() ? 8 : version_of(image.variant), 8);
  }
  // 64-bit ARM processors run 32-bit programs, after all that is theirs.
  constexpr int kAfterArm64 = 100;
  if (want == "arm64" && have == "arm") {
    const int older = versions_below(8, version_of(image.variant), 5);
    return older < 0 ? -1 : kAfterArm64 + older;
  }
  return -1;
}

int best_match(const Platform& wanted, std::span<const Platform> candidates) {
  int best = -1, best_rank = -1;
  for (std::size_t i = 0; i < candidates.size(); ++i) {
    const int rank = match_rank(wanted, candidates[i]);
    if (rank < 0 || (best >= 0 && rank >= best_rank)) continue;
    best = static_cast<int>(i);
    best_rank = rank;
  }
  return best;
}

}  // namespace strake::oci
