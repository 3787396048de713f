#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "layers/base/rooted_directory.h"

namespace strake::builder {

/// Who a RUN step runs as.
struct Account {
  std::uint32_t uid = 0, gid = 0;
  std::vector<std::uint32_t> groups;  // supplementary ones and the primary, ascending
  std::string home = "/";
};

/// Owner of files that COPY, ADD and WORKDIR create.
struct Owner {
  std::uint32_t uid = 0, gid = 0;
  bool operator==(const Owner&) const = default;
};

/// Resolves a USER value ("", "name", "uid", "name:group", "uid:gid") with /etc/passwd and
/// /etc/group of `root`. Without a group: the account's primary group and every group that lists
/// it; with one: that group only. All digits is always a number (at most 2^31-1), never a name.
/// Throws Error(not_found) for an unknown name, Error(invalid_input) for a bad number and
/// Error(corrupt) for an account file that is no regular file or larger than 10 MiB.
Account resolve_account(const base::RootedDirectory& root, std::string_view user);

/// Resolves a --chown value. A lone number is both uid and gid; a lone name takes its primary
/// group; "root" needs no account file. Throws as resolve_account does.
Owner resolve_owner(const base::RootedDirectory& root, std::string_view chown);

/// Whether resolving `value` reads the root's account files (so that their content matters).
bool needs_account_files(std::string_view value);

}  // namespace strake::builder
