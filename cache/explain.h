#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "cache/cache_key.h"
#include "cache/file_manifest.h"

namespace strake::cache {

/// The fields of a key, and the files behind its "files" fields where they are known.
struct KeyStory {
  std::span<const KeyField> fields;
  const FileManifest* files = nullptr;
};

/// Files that are named one by one before the rest is counted.
inline constexpr std::size_t kNamedFiles = 5;

/// Why the key of `now` is not the key of `before`, in one line for the user:
///   `variable A changed: "1" → "2"; "src/a.py" changed, "run.sh" mode 644 → 755`
/// Empty if nothing differs. Values of variables that look secret are not shown, nor are secrets
/// registered with base::redact.
std::string explain_miss(const KeyStory& before, const KeyStory& now);

/// What is different between two sets of files: `"a" changed, "b" added, "c" removed, and 12 more`.
std::string explain_files(const FileManifest& before, const FileManifest& now);

}  // namespace strake::cache
