#include "builder/sandbox/owners/identity_calls.h"

#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <span>
#include <string>
#include <vector>

namespace strake::sandbox {
namespace {

constexpr std::uint32_t kMostGroups = 65536;  // NGROUPS_MAX

int write_ids(const Request& request, const Ids& ids) {
  const std::array<std::uint32_t, 3> values = {ids.real, ids.effective, ids.saved};
  for (int i = 0; i < 3; ++i) {
    const auto value = std::as_bytes(std::span(values).subspan(static_cast<std::size_t>(i), 1));
    if (const int error = request.thread.write(request.word(i), value); error != 0) return error;
  }
  return 0;
}

Answer tell_groups(const Request& request, const Credentials& who) {
  const int room = request.integer(0);
  const auto count = static_cast<int>(who.supplementary.size());
  if (room < 0) return Answer::error(EINVAL);
  if (room == 0 || count == 0) return Answer::result(count);
  if (room < count) return Answer::error(EINVAL);
  const int error =
      request.thread.write(request.word(1), std::as_bytes(std::span(who.supplementary)));
  return error == 0 ? Answer::result(count) : Answer::error(error);
}

int set_groups(const Request& request, Credentials& who) {
  if (!who.is_privileged()) return EPERM;
  const std::uint32_t count = request.id(0);
  if (count > kMostGroups) return EINVAL;
  std::vector<std::uint32_t> groups(count);
  if (count != 0)
    if (const int error =
            request.thread.read(request.word(1), std::as_writable_bytes(std::span(groups)));
        error != 0)
      return error;
  who.supplementary = std::move(groups);
  return 0;
}

/// Returns 0 or errno; changes `who`.
int change(const Request& request, Credentials& who) {
  const bool privileged = who.is_privileged();
  switch (request.call) {
    case Call::setuid:
      return set_id(who.users, privileged, request.id(0));
    case Call::setgid:
      return set_id(who.groups, privileged, request.id(0));
    case Call::setreuid:
      return set_real_and_effective(who.users, privileged, request.id(0), request.id(1));
    case Call::setregid:
      return set_real_and_effective(who.groups, privileged, request.id(0), request.id(1));
    case Call::setresuid:
      return set_all_ids(who.users, privileged, request.id(0), request.id(1), request.id(2));
    case Call::setresgid:
      return set_all_ids(who.groups, privileged, request.id(0), request.id(1), request.id(2));
    case Call::setgroups:
      return set_groups(request, who);
    default:
      return ENOSYS;
  }
}

int assign(const Request& request, CredentialTable& table, const Credentials& before,
           const Credentials& after) {
  if (after == before) return 0;
  if (!request.still_waits()) return ESRCH;
  return table.assign(request.thread.id(), after);
}

/// setfsuid tells who it was, even if nothing changes.
Answer change_file_system_id(const Request& request, CredentialTable& table) {
  const Credentials& before = table.of(request.thread.id());
  Credentials after = before;
  Ids& ids = request.call == Call::setfsuid ? after.users : after.groups;
  const std::uint32_t previous = set_file_system_id(ids, before.is_privileged(), request.id(0));
  assign(request, table, before, after);
  return Answer::result(previous);
}

/// The program that execve would start; no descriptor if there is none.
base::FileDescriptor open_program(const Request& request) {
  const bool at = request.call == Call::execveat;
  const int directory = at ? request.integer(0) : AT_FDCWD;
  const int flags = at ? request.integer(4) : 0;
  std::string path;
  base::FileDescriptor program;
  if (request.thread.read_path(request.word(at ? 1 : 0), path) != 0) return program;
  if (path.empty() && (flags & AT_EMPTY_PATH) != 0)
    request.thread.open_descriptor(directory, program);
  else if (!path.empty())
    request.thread.open(directory, path, LastSymlink::follow, program);
  return program;
}

/// Whether its set-user-id and set-group-id bits have an effect.
bool may_change_ids(const Request& request, const base::FileDescriptor& program) {
  struct ::statvfs file_system;
  if (::fstatvfs(program.get(), &file_system) != 0 || (file_system.f_flag & ST_NOSUID) != 0)
    return false;
  // Of a script, those of its interpreter count; which never has them.
  std::array<char, 2> start = {};
  const base::FileDescriptor content(
      ::open(DescriptorName(program).c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  if (!content || ::pread(content.get(), start.data(), start.size(), 0) != 2) return false;
  return !(start[0] == '#' && start[1] == '!') && !request.thread.has_no_new_privileges();
}

}  // namespace

Answer tell_identity(const Request& request, const Credentials& who) {
  switch (request.call) {
    case Call::getuid:
      return Answer::result(who.users.real);
    case Call::geteuid:
      return Answer::result(who.users.effective);
    case Call::getgid:
      return Answer::result(who.groups.real);
    case Call::getegid:
      return Answer::result(who.groups.effective);
    case Call::getresuid:
      return Answer::of(write_ids(request, who.users));
    case Call::getresgid:
      return Answer::of(write_ids(request, who.groups));
    case Call::getgroups:
      return tell_groups(request, who);
    default:
      return Answer::proceed();
  }
}

Answer change_identity(const Request& request, CredentialTable& table) {
  if (request.call == Call::setfsuid || request.call == Call::setfsgid)
    return change_file_system_id(request, table);
  const Credentials& before = table.of(request.thread.id());
  Credentials after = before;
  if (const int error = change(request, after); error != 0) return Answer::error(error);
  return Answer::of(assign(request, table, before, after));
}

Answer limit_time(const Request& request) {
  const std::uint64_t old = request.call == Call::prlimit     ? request.word(3)
                            : request.call == Call::getrlimit ? request.word(1)
                                                              : 0;
  if (old == 0) return Answer::result(0);
  struct rlimit limit {};
  if (::prlimit(request.thread.id(), RLIMIT_RTTIME, nullptr, &limit) != 0)
    return Answer::error(errno);
  limit.rlim_cur = limit.rlim_max;
  return Answer::of(request.thread.write(old, std::as_bytes(std::span(&limit, 1))));
}

Answer execute(const Request& request, CredentialTable& table) {
  OwnedFile program;
  program.file = open_program(request);
  if (!program.file || look_up_owner(program) != 0) return Answer::proceed();
  const struct ::stat status = program.seen();
  if (!S_ISREG(status.st_mode) || (status.st_mode & 0111) == 0) return Answer::proceed();

  std::uint32_t user = kUnchanged, group = kUnchanged;
  if ((status.st_mode & (S_ISUID | S_ISGID)) != 0 && may_change_ids(request, program.file)) {
    if ((status.st_mode & S_ISUID) != 0) user = status.st_uid;
    if ((status.st_mode & S_ISGID) != 0 && (status.st_mode & S_IXGRP) != 0) group = status.st_gid;
  }
  const Credentials& before = table.of(request.thread.id());
  Credentials after = before;
  execute_as(after.users, user);
  execute_as(after.groups, group);
  assign(request, table, before, after);
  return Answer::proceed();
}

}  // namespace strake::sandbox
