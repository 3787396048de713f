#include "builder/exec/copy_selection.h"

#include <fcntl.h>

#include <algorithm>
#include <iterator>

#include "builder/dockerfile/glob.h"
#include "builder/exec/layer_paths.h"
#include "builder/exec/selection_walk.h"
#include "layers/base/error.h"

namespace strake::builder {
namespace {

using base::Error;
using base::ErrorCode;
using dockerfile::Glob;
using dockerfile::IgnoreMatcher;

/// A directory of a walk: open while its entries are looked at, and only then, so that the depth of
/// a tree is not bounded by the number of descriptors.
struct OpenDirectory {
  base::FileDescriptor fd;
  std::vector<std::string> names;  // sorted
};

OpenDirectory open_directory(const base::RootedDirectory& root, const std::string& path) {
  OpenDirectory directory;
  directory.fd = root.open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  directory.names = base::list_directory(directory.fd.get(), path.empty() ? "." : path);
  return directory;
}

class Selector {
 public:
  Selector(const plan::Copy& copy, const CopySource& source)
      : copy_(copy), source_(source), excludes_(dockerfile::parse_ignore_patterns(copy.excludes)) {}

  std::vector<SelectedSource> select() {
    for (const std::string& written : copy_.sources) {
      Pattern pattern = parse(written);
      if (!copy_.exact && dockerfile::has_wildcards(pattern.path)) {
        for (const std::string& match : matches(pattern)) add(match, pattern, written);
      } else if (!add(pattern.path, pattern, written)) {
        throw missing(written, pattern.path);
      }
    }
    number_entries();
    return std::move(selected_);
  }

 private:
  struct Pattern {
    std::string path;   // cleaned, relative to the root
    std::string pivot;  // --parents: this much of the path is not kept
  };

  /// A source that is copied, by the two names that its content is asked for.
  struct Top {
    std::string source_path;   // in the source's root
    std::string exclude_path;  // as --exclude patterns see it
  };

  void number_entries() {
    std::uint32_t next = 0;
    for (SelectedSource& selected : selected_) next = selected.entries.number_from(next);
  }

  Pattern parse(const std::string& written) const {
    Pattern pattern;
    pattern.path = layer_path(dockerfile::clean_path("/" + written));
    const std::size_t pivot = written.find("/./");
    if (copy_.parents && pivot != std::string::npos)
      pattern.pivot = layer_path(dockerfile::clean_path("/" + written.substr(0, pivot)));
    return pattern;
  }

  // ---- Patterns ----

  /// Paths below the part without wildcards that match, sorted as walked. A matched directory is
  /// not entered; symlinks to directories are not either.
  std::vector<std::string> matches(const Pattern& pattern) const {
    std::string prefix;
    std::string rest = pattern.path;
    while (!dockerfile::has_wildcards(rest.substr(0, rest.find('/')))) {
      prefix = join_path(prefix, rest.substr(0, rest.find('/')));
      rest = rest.substr(rest.find('/') + 1);
    }
    const std::string top = layer_path(source_.root.canonical("/" + prefix));
    const auto status = source_.root.lstat(top);
    if (!status || !S_ISDIR(status->st_mode)) return {};
    const Glob glob(rest, copy_.parents ? Glob::Dialect::deep : Glob::Dialect::path);
    std::vector<std::string> found, todo = {""};
    while (!todo.empty()) {
      const std::string below = std::move(todo.back());
      todo.pop_back();
      const OpenDirectory directory = open_directory(source_.root, join_path(top, below));
      std::vector<std::string> enter;
      for (const std::string& name : directory.names) {
        const std::string path = join_path(below, name);
        struct ::stat child;
        if (::fstatat(directory.fd.get(), name.c_str(), &child, AT_SYMLINK_NOFOLLOW) != 0) continue;
        if (!visible(join_path(top, path), S_ISDIR(child.st_mode))) continue;
        if (glob.matches(path)) {
          found.push_back(join_path(prefix, path));
        } else if (S_ISDIR(child.st_mode) && glob.may_match_below(path)) {
          enter.push_back(path);
        }
      }
      todo.insert(todo.end(), enter.rbegin(), enter.rend());
    }
    std::sort(found.begin(), found.end());
    return found;
  }

  // ---- Ignored paths ----

  IgnoreMatcher::Directory ignore_state(std::string_view directory) const {
    IgnoreMatcher::Directory state = source_.ignored->root();
    for (std::size_t end = 0; !directory.empty() && end != std::string_view::npos;) {
      end = directory.find('/', end == 0 ? 0 : end + 1);
      state = source_.ignored->enter(state, directory.substr(0, end));
    }
    return state;
  }

  const dockerfile::IgnorePattern* ignored_by(std::string_view path) const {
    if (source_.ignored == nullptr || source_.ignored->empty() || path.empty()) return nullptr;
    return source_.ignored->excluded_by(path);
  }

  bool visible(const std::string& path, bool directory) const {
    if (ignored_by(path) == nullptr) return true;
    return directory && source_.ignored->may_keep_below(ignore_state(path), path);
  }

  // ---- One source ----

  /// False if there is nothing to copy: an ignored directory in which no "!" keeps anything counts
  /// as absent.
  bool add(const std::string& path, const Pattern& pattern, const std::string& written) {
    const std::string real = layer_path(source_.root.canonical("/" + path));
    const auto status = source_.root.lstat(real);
    if (!status) throw missing(written, path);  // also the dangling link that a pattern matches
    const bool directory = S_ISDIR(status->st_mode);
    if (!visible(real, directory)) return false;
    if (S_ISSOCK(status->st_mode)) return true;

    SelectedSource selected;
    selected.name = last_component(path);
    selected.directory = directory;
    if (copy_.parents) add_parents(selected, path, pattern);
    const Top top{real, exclude_path(selected)};
    if (!directory && !excludes_.empty() && excludes_.excludes(top.exclude_path)) return true;
    add_entry(selected.entries, "", real, *status);
    if (directory) walk(top, selected.entries);
    if (ignored_by(real) != nullptr && nothing_kept(selected.entries)) return false;
    selected_.push_back(std::move(selected));
    return true;
  }

  /// How --exclude patterns know the top of a source. They are relative to the directory whose
  /// content is copied: with --parents that is the root, or the pivot.
  std::string exclude_path(const SelectedSource& selected) const {
    if (selected.directory) return copy_.parents ? selected.parents : "";
    return copy_.parents ? join_path(selected.parents, selected.name) : selected.name;
  }

  static bool nothing_kept(const SelectedEntries& entries) {
    const auto below = entries.below_top();
    return std::all_of(below.begin(), below.end(),
                       [](const SelectedEntry& entry) { return entry.only_as_parent; });
  }

  void add_entry(SelectedEntries& entries, std::string_view path, const std::string& real,
                 const struct ::stat& status) const {
    SelectedEntry& entry = entries.add(path, real);
    entry.status = FileStatus(status);
    if (entry.status.is_symlink()) entry.set_link_target(source_.root.read_link(real));
    entry.set_xattrs(source_.root.xattrs(real));
    if (entry.status.is_file()) entry.recall_content(source_.memo);
  }

  void add_parents(SelectedSource& selected, const std::string& path,
                   const Pattern& pattern) const {
    std::string_view kept = path;
    if (!pattern.pivot.empty() && path.starts_with(pattern.pivot))
      kept = std::string_view(path).substr(std::min(path.size(), pattern.pivot.size() + 1));
    // A directory is itself part of what is kept: its content goes below its own path.
    selected.parents = selected.directory ? std::string(kept) : std::string(parent_path(kept));
    const std::string_view above = std::string_view(path).substr(0, path.size() - kept.size());
    for (std::size_t end = 0; end < selected.parents.size();) {
      end = std::min(selected.parents.find('/', end + 1), selected.parents.size());
      const std::string parent = selected.parents.substr(0, end);
      const std::string real =
          layer_path(source_.root.canonical("/" + std::string(above) + parent));
      if (const auto status = source_.root.lstat(real))
        add_entry(selected.parent_entries, parent, real, *status);
    }
  }

  /// Everything below the directory `top`, in walk order.
  void walk(const Top& top, SelectedEntries& entries) const {
    const auto keep = [&](const SelectedEntry& entry) {
      if (kept(top, entry)) return Keep::entry;
      return entry.status.is_directory() && may_keep_below(top, entry.path) ? Keep::only_as_parent
                                                                            : Keep::nothing;
    };
    const bool all = excludes_.empty() && (source_.ignored == nullptr || source_.ignored->empty());
    walk_selection(source_, top.source_path, all ? nullptr : std::function(keep), entries);
  }

  bool kept(const Top& top, const SelectedEntry& entry) const {
    return ignored_by(entry.source_path) == nullptr &&
           (excludes_.empty() || !excludes_.excludes(join_path(top.exclude_path, entry.path)));
  }

  bool may_keep_below(const Top& top, std::string_view below) const {
    const std::string source_path = join_path(top.source_path, below);
    const std::string path = join_path(top.exclude_path, below);
    if (ignored_by(source_path) != nullptr &&
        !source_.ignored->may_keep_below(ignore_state(source_path), source_path))
      return false;
    if (excludes_.empty() || !excludes_.excludes(path)) return true;
    IgnoreMatcher::Directory state = excludes_.root();
    for (std::size_t end = 0; end != std::string::npos;) {
      end = path.find('/', end == 0 ? 0 : end + 1);
      state = excludes_.enter(state, std::string_view(path).substr(0, end));
    }
    return excludes_.may_keep_below(state, path);
  }

  Error missing(const std::string& written, const std::string& path) const {
    Error error(ErrorCode::not_found,
                "cannot copy " + base::quoted(written) + ": no such file in " + source_.shown_name);
    if (const auto* pattern = ignored_by(path)) {
      error.add_note("it is excluded by .dockerignore" +
                     (pattern->line > 0 ? ":" + std::to_string(pattern->line) : std::string()) +
                     " " + base::quoted(pattern->as_written));
      error.set_hint("exclude fewer files, or add " + base::quoted("!" + path) +
                     " to .dockerignore");
      return error;
    }
    const std::string near = nearest_sibling(path);
    if (!near.empty()) error.set_hint("did you mean " + base::quoted(near) + "?");
    return error;
  }

  std::string nearest_sibling(const std::string& path) const {
    const std::string parent(parent_path(path));
    const auto directory = source_.root.try_open(parent, O_RDONLY | O_DIRECTORY);
    if (!directory) return "";
    const std::vector<std::string> names = base::list_directory(directory->get(), parent);
    const std::string near = base::nearest(last_component(path), names);
    return near.empty() ? "" : join_path(parent, near);
  }

  const plan::Copy& copy_;
  const CopySource& source_;
  const IgnoreMatcher excludes_;
  std::vector<SelectedSource> selected_;
};

}  // namespace

std::vector<SelectedSource> select_files(const plan::Copy& copy, const CopySource& source) {
  return Selector(copy, source).select();
}

}  // namespace strake::builder
