#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace strake::dockerfile {

enum class GitTransport { https, http, ssh, git, file };

/// What the times of checked-out files are.
enum class GitMtime { commit, checkout };

/// A git repository and what is wanted of it, as ADD and contexts name it:
///
///     https://host/repo.git#ref:subdir
///     https://host/repo.git?ref=v1&subdir=docs&submodules=false
///     git@host:path/repo.git#ref    ssh://git@host/repo    git://host/repo
struct GitUrl {
  GitTransport transport = GitTransport::https;
  /// What git is given: without query and fragment, and over http(s) without user name and
  /// password. Never begins with "-".
  std::string remote;
  std::string host;      // as written, without user name; with the port if there is one
  std::string userinfo;  // "user:password" that an http(s) URL had, decoded. A secret.
  std::string ref;       // branch, tag, "refs/…" or commit; "" for what HEAD names
  std::string subdir;    // of the tree; "" for all of it
  std::string checksum;  // at least the beginning of the commit's name, lower-case hex; "" for any
  std::optional<bool> submodules;    // default: true
  std::optional<bool> keep_git_dir;  // default: what --keep-git-dir says
  GitMtime mtime = GitMtime::commit;
  bool fetch_by_commit = false;  // do not fall back to fetching the ref

  bool operator==(const GitUrl&) const = default;
};

/// nullopt if `word` is no git URL by its form: http(s) needs a path that ends in ".git", git://
/// and ssh:// are always git, and so is user@host:path. file:// is one here, for repositories of
/// this machine (classify_add_source never says so).
///
/// Throws Error(invalid_input) for one whose query or fragment makes no sense: unknown or repeated
/// keys, no value, two different refs or subdirs, a ref that git would not accept.
/// Spec: Dockerfile reference, "ADD <git ref>" and "URL queries".
std::optional<GitUrl> parse_git_url(std::string_view word);

/// parse_git_url, and "github.com/owner/repo" too: the form that only contexts have.
std::optional<GitUrl> parse_git_context(std::string_view word);

/// A whole commit name: 40 or 64 lower-case hex digits.
bool is_commit_name(std::string_view text);

}  // namespace strake::dockerfile
