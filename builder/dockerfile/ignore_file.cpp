#include "builder/dockerfile/ignore_file.h"

#include <algorithm>
#include <utility>

#include "builder/dockerfile/limits.h"
#include "builder/dockerfile/words.h"

namespace strake::dockerfile {

namespace {

using base::Error;
using base::ErrorCode;

/// `text` is trimmed and not empty.
IgnorePattern parse_pattern(std::string_view text, int line) {
  IgnorePattern pattern{std::string(text), {}, text[0] == '!', line};
  if (pattern.negated) text = trim(text.substr(1));
  if (text.empty() || (pattern.negated && clean_path(text) == "/"))
    throw Error(ErrorCode::invalid_input,
                "the pattern " + excerpt(pattern.as_written) + " takes back nothing")
        .hint("write what to take back behind the \"!\"");
  pattern.path = clean_path(text);
  if (pattern.path.size() > 1 && pattern.path[0] == '/') pattern.path.erase(0, 1);
  return pattern;
}

Error too_large(std::string_view what, std::size_t limit) {
  return Error(ErrorCode::invalid_input, "an ignore file may have at most " +
                                             std::to_string(limit) + " " + std::string(what));
}

}  // namespace

std::vector<IgnorePattern> parse_ignore_file(const SourceFile& source) {
  std::string_view text = source.text();
  if (text.size() > kMaxIgnoreFileBytes)
    throw too_large("bytes", kMaxIgnoreFileBytes).at(source.range(0));
  constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";
  if (text.starts_with(kByteOrderMark)) text.remove_prefix(kByteOrderMark.size());

  std::vector<IgnorePattern> patterns;
  for (int line = 1; !text.empty(); ++line) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::string_view written = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    const std::string_view pattern = trim(written);
    if (written.starts_with('#') || pattern.empty()) continue;
    if (patterns.size() == kMaxIgnorePatterns)
      throw too_large("patterns", kMaxIgnorePatterns).at(source.range(line));
    try {
      patterns.push_back(parse_pattern(pattern, line));
    } catch (Error& error) {
      error.set_location(source.range(line));
      throw;
    }
  }
  return patterns;
}

std::vector<IgnorePattern> parse_ignore_patterns(const std::vector<std::string>& texts) {
  std::vector<IgnorePattern> patterns;
  for (const std::string& text : texts) {
    const std::string_view pattern = trim(text);
    if (!pattern.empty()) patterns.push_back(parse_pattern(pattern, 0));
  }
  return patterns;
}

IgnoreMatcher::IgnoreMatcher(std::vector<IgnorePattern> patterns, const SourceFile* source)
    : patterns_(std::move(patterns)) {
  globs_.reserve(patterns_.size());
  for (const IgnorePattern& pattern : patterns_) {
    has_negations_ |= pattern.negated;
    try {
      globs_.emplace_back(pattern.path, Glob::Dialect::deep);
    } catch (Error& error) {
      if (source != nullptr && pattern.line > 0) error.set_location(source->range(pattern.line));
      throw;
    }
  }
}

/// What the last matching pattern, if there is one, means for the path.
const IgnorePattern* IgnoreMatcher::exclusion(std::ptrdiff_t decided_by) const {
  if (decided_by < 0) return nullptr;
  const IgnorePattern& pattern = patterns_[static_cast<std::size_t>(decided_by)];
  return pattern.negated ? nullptr : &pattern;
}

const IgnorePattern* IgnoreMatcher::excluded_by(std::string_view path) const {
  auto index = static_cast<std::ptrdiff_t>(globs_.size());
  while (--index >= 0)
    if (globs_[static_cast<std::size_t>(index)].matches_path_or_parent(path)) break;
  return exclusion(index);
}

IgnoreMatcher::Directory IgnoreMatcher::root() const {
  Directory directory;
  directory.matched_.resize(globs_.size());
  return directory;
}

IgnoreMatcher::Directory IgnoreMatcher::enter(const Directory& parent,
                                              std::string_view path) const {
  Directory directory = parent;
  for (std::size_t i = 0; i < globs_.size(); ++i) {
    if (!directory.matched_[i]) directory.matched_[i] = globs_[i].matches(path);
    if (directory.matched_[i]) directory.decided_by_ = static_cast<std::ptrdiff_t>(i);
  }
  directory.excluded_by_ = exclusion(directory.decided_by_);
  return directory;
}

const IgnorePattern* IgnoreMatcher::excluded_by(const Directory& parent,
                                                std::string_view path) const {
  auto index = static_cast<std::ptrdiff_t>(globs_.size());
  while (--index >= 0) {
    const auto i = static_cast<std::size_t>(index);
    if (parent.matched_[i] || globs_[i].matches(path)) break;
  }
  return exclusion(index);
}

bool IgnoreMatcher::may_keep_below(const Directory& directory, std::string_view path) const {
  // What matches the directory matches everything below it, so only a later "!" can take back.
  for (auto i = static_cast<std::size_t>(directory.decided_by_ + 1); i < globs_.size(); ++i)
    if (patterns_[i].negated && globs_[i].may_match_below(path)) return true;
  return false;
}

}  // namespace strake::dockerfile
