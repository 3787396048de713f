#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "builder/dockerfile/glob.h"
#include "builder/dockerfile/source.h"

namespace strake::dockerfile {

/// One pattern of a .dockerignore or of --exclude.
struct IgnorePattern {
  std::string as_written;  // "!/docs/*.md"
  std::string path;        // "docs/*.md": no "!", cleaned, relative to the root
  bool negated = false;
  int line = 0;  // of the file; 0: not from a file
};

/// Reads a .dockerignore: one pattern a line; a "#" in the first column starts a comment.
/// Throws Error(invalid_input) with the line for a lone "!", for a file beyond 1 MiB or 10,000
/// patterns. Whether each pattern is well formed is found by IgnoreMatcher.
std::vector<IgnorePattern> parse_ignore_file(const SourceFile& source);

/// The same for patterns given one by one, as --exclude does.
std::vector<IgnorePattern> parse_ignore_patterns(const std::vector<std::string>& patterns);

/// Decides which paths are left out. A pattern matches a path if it matches it or a directory
/// above it; the last pattern that matches decides; "!" takes back. Paths are relative, without
/// "./" and without a slash at the end. May be used by several threads at once.
class IgnoreMatcher {
 public:
  /// Throws Error(invalid_input) for a malformed pattern, with the line when `source` is given.
  explicit IgnoreMatcher(std::vector<IgnorePattern> patterns, const SourceFile* source = nullptr);

  bool empty() const noexcept { return patterns_.empty(); }
  bool has_negations() const noexcept { return has_negations_; }

  bool excludes(std::string_view path) const { return excluded_by(path) != nullptr; }

  /// The pattern that leaves `path` out; null when it is kept. Valid as long as the matcher.
  const IgnorePattern* excluded_by(std::string_view path) const;

  /// What is known about one directory of a walk, so that its children need not ask again for all
  /// directories above. Made by root() and enter().
  class Directory {
   public:
    bool excluded() const noexcept { return excluded_by_ != nullptr; }
    const IgnorePattern* excluded_by() const noexcept { return excluded_by_; }

   private:
    friend class IgnoreMatcher;
    std::vector<bool> matched_;  // per pattern: it, or a directory above it
    const IgnorePattern* excluded_by_ = nullptr;
    std::ptrdiff_t decided_by_ = -1;  // the last pattern that had a say
  };

  Directory root() const;
  /// The state for `path`, a directory whose parent has the state `parent`.
  Directory enter(const Directory& parent, std::string_view path) const;
  /// excluded_by() for a child of `parent`, without looking at the directories above again.
  const IgnorePattern* excluded_by(const Directory& parent, std::string_view path) const;

  /// Whether something below the excluded directory `path` could be taken back by a later "!": a
  /// walk may skip the directory if not.
  bool may_keep_below(const Directory& directory, std::string_view path) const;

  const std::vector<IgnorePattern>& patterns() const noexcept { return patterns_; }

 private:
  const IgnorePattern* exclusion(std::ptrdiff_t decided_by) const;

  std::vector<IgnorePattern> patterns_;
  std::vector<Glob> globs_;  // one a pattern
  bool has_negations_ = false;
};

}  // namespace strake::dockerfile
