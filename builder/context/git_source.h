#pragma once

#include <cstdint>
#include <filesystem>
#include <stop_token>
#include <string>

#include "builder/context/source_auth.h"
#include "builder/dockerfile/git_url.h"

namespace strake::builder {

/// Which commit a GitUrl means now.
struct GitRevision {
  std::string commit;      // whole name: 40 or 64 hex digits
  std::string ref;         // full name of the ref it was found under; "" if named by itself
  std::string tag_object;  // of an annotated tag; "" for none
};

/// Asks the repository what `url.ref` is: branches go before tags, annotated tags give their
/// commit, a whole commit name needs no question. `work` is an empty directory of ours, for git's
/// home.
///
/// Throws Error(not_found) if there is no such ref, Error(corrupt) if it is not url.checksum,
/// Error(unavailable, denied) with what git said, Error(unsupported) where git is not installed.
GitRevision resolve_git(const GitUrl& url, const SourceAccess& access,
                        const std::filesystem::path& work, std::stop_token stop);

struct GitTree {
  std::filesystem::path
      directory;  // inside `work`; url.subdir already applied, no symlink on the way
  std::string commit;
  std::int64_t commit_time = 0;  // seconds since 1970
};

enum class GitDirectory { remove, keep };

/// Puts the files of `revision` below `work` (a directory of ours that resolve_git may have used
/// before): files 0644 or 0755, directories 0755, times of the commit (or of the checkout, if
/// url.mtime says so), submodules with their files unless url.submodules is false. `.git` stays
/// if it is to be kept and there is no subdir; its origin is url.remote, without credentials.
///
/// Throws as resolve_git; Error(not_found) if url.subdir is no directory inside the tree.
GitTree checkout_git(const GitUrl& url, const GitRevision& revision, GitDirectory git_directory,
                     const SourceAccess& access, const std::filesystem::path& work,
                     std::stop_token stop);

}  // namespace strake::builder
