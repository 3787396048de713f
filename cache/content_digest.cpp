#include "cache/content_digest.h"

#include <sys/stat.h>

#include <algorithm>

#include "cache/canonical.h"
#include "layers/base/error.h"

namespace strake::cache {
namespace {

constexpr std::size_t kHashedTogether = 16 << 10;

/// Other attributes are the business of the machine the files happen to be on (SELinux labels,
/// overlay's own, ACLs of the checkout).
bool counts(const base::Xattr& xattr) {
  return xattr.first == "security.capability" || xattr.first.starts_with("user.");
}

/// One file as hashed: every member always there, so that none can pass for another.
void append_line(std::string& line, const SelectedFile& file) {
  append_text(line, file.path);
  append_number(line, file.mode);
  append_number(line, file.uid);
  append_number(line, file.gid);
  append_text(line, file.link_target);
  append_text(line, file.hard_link_to);
  append_number(line, file.device);
  std::uint64_t attributes = 0;
  for (const base::Xattr& xattr : file.xattrs) attributes += counts(xattr);
  append_number(line, attributes);
  for (const base::Xattr& xattr : file.xattrs) {
    if (!counts(xattr)) continue;
    append_text(line, xattr.first);
    append_text(line, xattr.second);
  }
  append_number(line, file.content.has_value());
  if (file.content) {
    const base::Digest::Bytes& bytes = file.content->bytes();
    line.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    append_number(line, file.size_bytes);
  }
}

std::uint64_t content_mark(const SelectedFile& file) {
  if (file.content) return short_digest(*file.content);
  if (S_ISLNK(file.mode)) return short_digest(base::Digest::of(file.link_target));
  return file.device;
}

std::uint64_t attribute_mark(const SelectedFile& file) {
  std::string text;
  for (const base::Xattr& xattr : file.xattrs) {
    if (!counts(xattr)) continue;
    append_text(text, xattr.first);
    append_text(text, xattr.second);
  }
  if (!file.hard_link_to.empty()) append_text(text, file.hard_link_to);
  return text.empty() ? 0 : short_digest(base::Digest::of(text));
}

}  // namespace

bool walk_order_less(std::string_view a, std::string_view b) {
  const auto [left, right] = std::mismatch(a.begin(), a.end(), b.begin(), b.end());
  if (left == a.end() || right == b.end()) return left == a.end() && right != b.end();
  // A separator ends a component, so it is less than any byte a longer name has in its place.
  if (*left == '/' || *right == '/') return *left == '/';
  return static_cast<unsigned char>(*left) < static_cast<unsigned char>(*right);
}

void ContentDigest::add(const SelectedFile& file, std::string_view shown_path) {
  if (!empty_ && !walk_order_less(last_path_, file.path))
    throw base::Error(base::ErrorCode::invalid_input,
                      "internal error: " + base::quoted(file.path) + " selected after " +
                          base::quoted(last_path_) + "; please report");
  empty_ = false;
  last_path_ = file.path;
  append_line(lines_, file);
  if (lines_.size() >= kHashedTogether) hash_lines();
  if (keep_ == Keep::manifest)
    manifest_.entries.push_back({std::string(shown_path.empty() ? file.path : shown_path),
                                 file.mode, file.uid, file.gid, content_mark(file),
                                 attribute_mark(file), file.size_bytes});
}

void ContentDigest::hash_lines() {
  sha256_.update(lines_);
  lines_.clear();
}

base::Digest ContentDigest::finish() {
  hash_lines();
  empty_ = true;
  last_path_.clear();
  return sha256_.finish();
}

}  // namespace strake::cache
