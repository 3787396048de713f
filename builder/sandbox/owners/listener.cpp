#include "builder/sandbox/owners/listener.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#ifndef SECCOMP_IOCTL_NOTIF_SET_FLAGS
#define SECCOMP_IOCTL_NOTIF_SET_FLAGS SECCOMP_IOW(4, __u64)
#define SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP (1UL << 0)
#endif
#ifndef SECCOMP_ADDFD_FLAG_SEND
#define SECCOMP_ADDFD_FLAG_SEND (1UL << 1)
#endif

namespace strake::sandbox {
namespace {

std::size_t notification_bytes() {
  struct seccomp_notif_sizes sizes {};
  if (::syscall(SYS_seccomp, SECCOMP_GET_NOTIF_SIZES, 0, &sizes) != 0) return 0;
  return sizes.seccomp_notif;
}

}  // namespace

Answer Answer::result(std::int64_t value) {
  Answer answer;
  answer.kind_ = Kind::result;
  answer.value_ = value;
  return answer;
}

Answer Answer::error(int errnum) {
  Answer answer;
  answer.kind_ = Kind::error;
  answer.value_ = errnum;
  return answer;
}

Answer Answer::open_file(base::FileDescriptor file, bool close_on_exec) {
  Answer answer;
  answer.kind_ = Kind::open_file;
  answer.file_ = std::move(file);
  answer.close_on_exec_ = close_on_exec;
  return answer;
}

Listener::Listener(base::FileDescriptor fd)
    : fd_(std::move(fd)),
      size_bytes_(std::max(notification_bytes(), sizeof(struct seccomp_notif))),
      buffer_(std::make_unique<std::byte[]>(size_bytes_)) {
  // The waiting process and the supervisor take turns, so one may wake the other on its own core:
  // half the price of a call. Kernels before 6.6 do not know it.
  ::ioctl(fd_.get(), SECCOMP_IOCTL_NOTIF_SET_FLAGS, SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP);
}

const struct seccomp_notif* Listener::receive() {
  std::memset(buffer_.get(), 0, size_bytes_);  // the kernel insists
  auto* notification = reinterpret_cast<struct seccomp_notif*>(buffer_.get());
  while (::ioctl(fd_.get(), SECCOMP_IOCTL_NOTIF_RECV, notification) != 0)
    if (errno != EINTR) return nullptr;
  return notification;
}

bool Listener::still_waits(std::uint64_t id) const noexcept {
  return ::ioctl(fd_.get(), SECCOMP_IOCTL_NOTIF_ID_VALID, &id) == 0;
}

void Listener::answer(std::uint64_t id, const Answer& answer) const noexcept {
  if (answer.kind_ == Answer::Kind::open_file) {
    struct seccomp_notif_addfd give {};
    give.id = id;
    give.flags = SECCOMP_ADDFD_FLAG_SEND;  // it is the answer at the same time
    give.srcfd = static_cast<std::uint32_t>(answer.file_.get());
    give.newfd_flags = answer.close_on_exec_ ? O_CLOEXEC : 0;
    if (::ioctl(fd_.get(), SECCOMP_IOCTL_NOTIF_ADDFD, &give) >= 0) return;
    // The process may not have another descriptor, or is dead.
    return this->answer(id, Answer::error(errno));
  }
  struct seccomp_notif_resp response {};
  response.id = id;
  if (answer.kind_ == Answer::Kind::proceed) response.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
  if (answer.kind_ == Answer::Kind::result) response.val = answer.value_;
  if (answer.kind_ == Answer::Kind::error) response.error = static_cast<int>(-answer.value_);
  ::ioctl(fd_.get(), SECCOMP_IOCTL_NOTIF_SEND, &response);
}

}  // namespace strake::sandbox
