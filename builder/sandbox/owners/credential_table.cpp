#include "builder/sandbox/owners/credential_table.h"

#include <sys/resource.h>

#include <cerrno>
#include <utility>

namespace strake::sandbox {

CredentialTable::CredentialTable(Credentials first) {
  by_number_.push_back(&numbers_.emplace(std::move(first), 0).first->first);
}

const Credentials& CredentialTable::of(pid_t thread) const noexcept {
  struct rlimit limit {};
  const bool known = ::prlimit(thread, RLIMIT_RTTIME, nullptr, &limit) == 0;
  const std::uint64_t number = known ? limit.rlim_max - limit.rlim_cur : 0;
  return *by_number_[number < by_number_.size() ? number : 0];
}

int CredentialTable::assign(pid_t thread, const Credentials& credentials) {
  const auto [entry, is_new] = numbers_.try_emplace(credentials, by_number_.size());
  if (is_new) by_number_.push_back(&entry->first);
  struct rlimit limit {};
  if (::prlimit(thread, RLIMIT_RTTIME, nullptr, &limit) != 0) return errno;
  if (limit.rlim_max < entry->second) return EAGAIN;
  limit.rlim_cur = limit.rlim_max - entry->second;
  return ::prlimit(thread, RLIMIT_RTTIME, &limit, nullptr) == 0 ? 0 : errno;
}

}  // namespace strake::sandbox
