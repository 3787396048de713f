// The thread that answers. It never waits for anything but the next call: what it does for a step
// are system calls that return at once. What goes wrong is an errno for the process that asked.
//
// That the supervisor looks at memory and paths which other processes of the step can change in
// between is not a question of security: the kernel enforces the rights, which are those of the one
// id that is mapped, for the step as for the builder. It could be one of correctness only, and only
// for programs that race with themselves.

#include "builder/sandbox/owners/owner_supervisor.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <exception>
#include <optional>
#include <utility>

#include "builder/sandbox/owners/creation_calls.h"
#include "builder/sandbox/owners/identity_calls.h"
#include "builder/sandbox/owners/owner_calls.h"
#include "layers/base/error.h"
#include "layers/base/log.h"

namespace strake::sandbox {
namespace {

using base::FileDescriptor;

/// False when it was the stop event, or everything has ended.
bool wait_for(int fd, int stop) {
  std::array<pollfd, 2> events{pollfd{fd, POLLIN, 0}, pollfd{stop, POLLIN, 0}};
  while (::poll(events.data(), events.size(), -1) < 0)
    if (errno != EINTR) return false;
  return events[1].revents == 0 && (events[0].revents & POLLIN) != 0;
}

/// Empty if init died before it could send it.
FileDescriptor receive_listener(int socket) {
  char byte = 0;
  iovec content{&byte, 1};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
  msghdr message{};
  message.msg_iov = &content;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  ssize_t size;
  while ((size = ::recvmsg(socket, &message, MSG_CMSG_CLOEXEC)) < 0 && errno == EINTR) {
  }
  const cmsghdr* header = size > 0 ? CMSG_FIRSTHDR(&message) : nullptr;
  if (header == nullptr || header->cmsg_type != SCM_RIGHTS) return {};
  int fd;
  std::memcpy(&fd, CMSG_DATA(header), sizeof fd);
  return FileDescriptor(fd);
}

class Supervisor {
 public:
  Supervisor(Supervision supervision, FileDescriptor listener, Credentials first)
      : supervision_(supervision),
        listener_(std::move(listener)),
        credentials_(supervision == Supervision::owners ? std::move(first) : Credentials()) {}

  void run(int stop) {
    while (wait_for(listener_.fd(), stop)) {
      const seccomp_notif* notification = listener_.receive();
      if (notification == nullptr) continue;
      listener_.answer(notification->id, answer_to(*notification));
    }
  }

 private:
  Answer answer_to(const seccomp_notif& notification) {
    const std::optional<Call> call = find_call(notification.data.arch, notification.data.nr);
    const auto id = static_cast<pid_t>(notification.pid);
    // 0: the thread is in no pid namespace of ours; its root would be unknown too.
    if (!call || id == 0) return Answer::proceed();
    if (paths_.enter_root_of(id) != 0) return Answer::proceed();
    const StepThread thread(paths_, id);
    return dispatch({*call, notification, thread, listener_});
  }

  Answer dispatch(const Request& request) {
    const auto who = [&]() -> const Credentials& { return credentials_.of(request.thread.id()); };
    switch (request.call) {
      case Call::chown:
      case Call::lchown:
      case Call::fchown:
      case Call::fchownat:
        return change_owner(request, who());
      case Call::stat:
      case Call::lstat:
      case Call::fstat:
      case Call::newfstatat:
      case Call::statx:
        return report_status(request);
      case Call::listxattr:
      case Call::llistxattr:
      case Call::flistxattr:
        return list_attributes(request);
      case Call::open:
      case Call::openat:
      case Call::openat2:
      case Call::creat:
      case Call::mkdir:
      case Call::mkdirat:
      case Call::symlink:
      case Call::symlinkat:
      case Call::mknod:
      case Call::mknodat:
        if (supervision_ == Supervision::devices && !request.thread.is_root())
          return Answer::proceed();
        return make_file(request, who());
      case Call::getuid:
      case Call::geteuid:
      case Call::getgid:
      case Call::getegid:
      case Call::getresuid:
      case Call::getresgid:
      case Call::getgroups:
        return tell_identity(request, who());
      case Call::setuid:
      case Call::setgid:
      case Call::setreuid:
      case Call::setregid:
      case Call::setresuid:
      case Call::setresgid:
      case Call::setfsuid:
      case Call::setfsgid:
      case Call::setgroups:
        return change_identity(request, credentials_);
      case Call::execve:
      case Call::execveat:
        return execute(request, credentials_);
      case Call::prlimit:
      case Call::setrlimit:
      case Call::getrlimit:
        return limit_time(request);
      case Call::chroot:
        paths_.roots_may_differ();
        return Answer::proceed();
    }
    return Answer::proceed();
  }

  Supervision supervision_;
  Listener listener_;
  StepPaths paths_;
  CredentialTable credentials_;
};

void supervise_owners(Supervision supervision, int channel, int stop, Credentials first) noexcept {
  try {
    FileDescriptor listener;
    if (wait_for(channel, stop)) listener = receive_listener(channel);
    if (listener) Supervisor(supervision, std::move(listener), std::move(first)).run(stop);
  } catch (const std::exception& error) {  // the edge of a thread; calls fail with ENOSYS now
    base::log_warning(std::string("the supervisor of a step has ended: ") + error.what());
  }
}

}  // namespace

OwnerSupervisor::OwnerSupervisor(Supervision supervision, Credentials first)
    : stop_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  int pair[2];
  if (!stop_ || ::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
    throw base::system_error(errno, "create", "channel to the step");
  ours_ = FileDescriptor(pair[0]);
  theirs_ = FileDescriptor(pair[1]);
  thread_ = std::thread(supervise_owners, supervision, ours_.get(), stop_.get(), std::move(first));
}

OwnerSupervisor::~OwnerSupervisor() {
  const std::uint64_t one = 1;
  [[maybe_unused]] const ssize_t written = ::write(stop_.get(), &one, sizeof one);
  thread_.join();
}

}  // namespace strake::sandbox
