#include "builder/exec/accounts.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <charconv>
#include <functional>
#include <optional>

#include "layers/base/error.h"

namespace strake::builder {
namespace {

using base::Error;
using base::ErrorCode;

constexpr std::size_t kMaxAccountFileBytes = 10 << 20;
constexpr std::uint32_t kMaxId = 0x7fffffff;

bool all_digits(std::string_view text) {
  return !text.empty() &&
         std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

std::uint32_t parse_id(std::string_view digits) {
  std::uint32_t value = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (error != std::errc() || value > kMaxId)
    throw Error(ErrorCode::invalid_input,
                "id " + base::quoted(digits) + " is larger than 2147483647");
  return value;
}

/// The id in an account file's field; nullopt for a line that makes no sense there.
std::optional<std::uint32_t> id_field(std::string_view digits) {
  if (!all_digits(digits) || digits.size() > 10) return std::nullopt;
  std::uint64_t value = 0;
  std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (value > kMaxId) return std::nullopt;
  return static_cast<std::uint32_t>(value);
}

/// Text of an account file, "" if there is none. The file belongs to the image: it may be anything.
std::string account_file(const base::RootedDirectory& root, const char* path) {
  const auto file = root.try_open(path, O_RDONLY | O_NOCTTY | O_NONBLOCK);
  if (!file) return "";
  struct ::stat status;
  if (::fstat(file->get(), &status) != 0 || !S_ISREG(status.st_mode))
    throw Error(ErrorCode::corrupt, base::quoted(path) + " in the image is not a regular file");
  return base::read_all(file->get(), kMaxAccountFileBytes, path);
}

using Fields = std::vector<std::string_view>;

Fields split(std::string_view text, char separator) {
  Fields parts;
  while (true) {
    const std::size_t at = text.find(separator);
    parts.push_back(text.substr(0, at));
    if (at == std::string_view::npos) return parts;
    text.remove_prefix(at + 1);
  }
}

/// Calls `visit` with the fields of each line until it returns true.
void each_line(const std::string& text, const std::function<bool(const Fields&)>& visit) {
  std::string_view rest = text;
  while (!rest.empty()) {
    const std::size_t end = std::min(rest.find('\n'), rest.size());
    const std::string_view line = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    if (!line.empty() && line[0] != '#' && visit(split(line, ':'))) return;
  }
}

struct PasswdEntry {
  std::string name, home;
  std::uint32_t uid = 0, gid = 0;
};

/// passwd(5): name:password:uid:gid:comment:home:shell. The first match wins, as in getpwnam.
std::optional<PasswdEntry> find_user(const std::string& passwd, std::string_view user) {
  const std::optional<std::uint32_t> wanted =
      all_digits(user) ? std::optional(parse_id(user)) : std::nullopt;
  std::optional<PasswdEntry> found;
  each_line(passwd, [&](const Fields& fields) {
    if (fields.size() < 4) return false;
    const auto uid = id_field(fields[2]);
    const auto gid = id_field(fields[3]);
    if (!uid || !gid || (wanted ? *uid != *wanted : fields[0] != user)) return false;
    found = PasswdEntry{std::string(fields[0]),
                        fields.size() > 5 ? std::string(fields[5]) : std::string(), *uid, *gid};
    return true;
  });
  return found;
}

/// group(5): name:password:gid:members.
std::optional<std::uint32_t> find_group(const std::string& groups, std::string_view name) {
  std::optional<std::uint32_t> found;
  each_line(groups, [&](const Fields& fields) {
    if (fields.size() < 3 || fields[0] != name) return false;
    found = id_field(fields[2]);
    return found.has_value();
  });
  return found;
}

std::vector<std::uint32_t> groups_of(const std::string& groups, const std::string& member) {
  std::vector<std::uint32_t> ids;
  each_line(groups, [&](const Fields& fields) {
    if (fields.size() < 4) return false;
    const auto gid = id_field(fields[2]);
    const Fields members = split(fields[3], ',');
    if (gid && std::find(members.begin(), members.end(), member) != members.end())
      ids.push_back(*gid);
    return false;
  });
  return ids;
}

std::uint32_t resolve_group(const base::RootedDirectory& root, std::string_view group) {
  if (all_digits(group)) return parse_id(group);
  if (const auto gid = find_group(account_file(root, "/etc/group"), group)) return *gid;
  if (group == "root") return 0;
  throw Error(ErrorCode::not_found,
              "no group " + base::quoted(group) + " in the image's /etc/group")
      .hint("use a numeric id, or create the group in an earlier RUN");
}

Error unknown_user(std::string_view user) {
  return Error(ErrorCode::not_found,
               "no user " + base::quoted(user) + " in the image's /etc/passwd")
      .hint("use a numeric id, or create the user in an earlier RUN");
}

std::pair<std::string_view, std::string_view> user_and_group(std::string_view value) {
  const std::size_t colon = value.find(':');
  if (colon == std::string_view::npos) return {value, {}};
  return {value.substr(0, colon), value.substr(colon + 1)};
}

}  // namespace

Account resolve_account(const base::RootedDirectory& root, std::string_view value) {
  const auto [user, group] = user_and_group(value);
  const std::string passwd = account_file(root, "/etc/passwd");
  const std::optional<PasswdEntry> entry = find_user(passwd, user.empty() ? "0" : user);

  Account account;
  if (entry) {
    account.uid = entry->uid;
    account.gid = entry->gid;
    if (!entry->home.empty()) account.home = entry->home;
  } else if (all_digits(user)) {
    account.uid = parse_id(user);
  } else if (user.empty() || user == "root") {
    account.home = "/root";
  } else {
    throw unknown_user(user);
  }
  if (!group.empty()) {
    account.gid = resolve_group(root, group);
  } else if (entry) {
    account.groups = groups_of(account_file(root, "/etc/group"), entry->name);
  }
  account.groups.push_back(account.gid);
  std::sort(account.groups.begin(), account.groups.end());
  account.groups.erase(std::unique(account.groups.begin(), account.groups.end()),
                       account.groups.end());
  return account;
}

Owner resolve_owner(const base::RootedDirectory& root, std::string_view value) {
  const auto [user, group] = user_and_group(value);
  Owner owner;
  if (all_digits(user)) {
    owner.uid = owner.gid = parse_id(user);
  } else if (!user.empty() && user != "root") {
    const auto entry = find_user(account_file(root, "/etc/passwd"), user);
    if (!entry) throw unknown_user(user);
    owner = {entry->uid, entry->gid};
  }
  if (!group.empty()) owner.gid = resolve_group(root, group);
  return owner;
}

bool needs_account_files(std::string_view value) {
  const auto [user, group] = user_and_group(value);
  const auto named = [](std::string_view part) {
    return !part.empty() && part != "root" && !all_digits(part);
  };
  return named(user) || named(group);
}

}  // namespace strake::builder
