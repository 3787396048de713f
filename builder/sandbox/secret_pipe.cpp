#include "builder/sandbox/secret_pipe.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "layers/base/error.h"
#include "layers/base/files.h"
#include "layers/base/log.h"

namespace strake::sandbox {
namespace {

using base::FileDescriptor;

/// A path that leads to the inode itself, whatever has become of its name.
std::string path_of(const FileDescriptor& inode) {
  return "/proc/self/fd/" + std::to_string(inode.get());
}

/// A reader may close the pipe before it has seen everything.
void ignore_closed_pipes() {
  sigset_t closed;
  ::sigemptyset(&closed);
  ::sigaddset(&closed, SIGPIPE);
  ::pthread_sigmask(SIG_BLOCK, &closed, nullptr);
}

void write_whole(int pipe, std::string_view content) noexcept {
  while (!content.empty()) {
    const ssize_t count = ::write(pipe, content.data(), content.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return;
    content.remove_prefix(static_cast<std::size_t>(count));
  }
}

}  // namespace

SecretPipe::SecretPipe(FileDescriptor parent, std::string name, std::string content, mode_t mode,
                       uid_t uid, gid_t gid)
    : parent_(std::move(parent)),
      name_(std::move(name)),
      content_(std::move(content)),
      mode_(mode),
      uid_(uid),
      gid_(gid),
      pipe_(make(name_)),
      server_([this](const std::stop_token& stop) {
        ignore_closed_pipes();
        try {
          serve(stop);
        } catch (const base::Error& error) {  // the edge of a thread
          base::log_warning("a secret cannot be read any more: " + std::string(error.what()));
        }
      }) {}

// The server may wait for a reader, or be about to: one that stays until it has ended.
SecretPipe::~SecretPipe() {
  server_.request_stop();
  FileDescriptor reader;
  {
    const std::lock_guard lock(mutex_);
    reader = FileDescriptor(::open(path_of(pipe_).c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  }
  server_.join();
}

FileDescriptor SecretPipe::make(const std::string& name) const {
  if (::mkfifoat(parent_.get(), name.c_str(), 0600) != 0)
    throw base::system_error(errno, "create", name);
  FileDescriptor pipe(::openat(parent_.get(), name.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
  if (!pipe || ::fchownat(parent_.get(), name.c_str(), uid_, gid_, AT_SYMLINK_NOFOLLOW) != 0 ||
      ::fchmodat(parent_.get(), name.c_str(), mode_, 0) != 0)
    throw base::system_error(errno, "set up", name);
  return pipe;
}

/// Each pipe serves the readers that have opened it by the time the first one has. The next ones
/// find a new pipe under the name: else one would have to know when the last has seen the end.
void SecretPipe::serve(const std::stop_token& stop) {
  while (true) {
    std::string path;
    {
      const std::lock_guard lock(mutex_);
      path = path_of(pipe_);
    }
    const FileDescriptor writer(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
    if (stop.stop_requested()) return;
    if (!writer && errno == EINTR) continue;
    if (!writer) throw base::system_error(errno, "open", name_);
    replace();
    if (stop.stop_requested()) return;
    write_whole(writer.get(), content_);
  }
}

void SecretPipe::replace() {
  struct ::stat directory, named, ours;
  const bool kept = ::fstat(parent_.get(), &directory) == 0 && ::fstat(pipe_.get(), &ours) == 0 &&
                    ::fstatat(parent_.get(), name_.c_str(), &named, AT_SYMLINK_NOFOLLOW) == 0 &&
                    named.st_ino == ours.st_ino && named.st_dev == ours.st_dev;
  const std::string next_name = "." + base::random_name();
  FileDescriptor next = make(next_name);
  // Where the step has removed the secret, or put something in its place, that stays.
  if (!kept || ::renameat(parent_.get(), next_name.c_str(), parent_.get(), name_.c_str()) != 0)
    ::unlinkat(parent_.get(), next_name.c_str(), 0);
  if (kept) {
    const std::array<timespec, 2> times{directory.st_atim, directory.st_mtim};
    ::futimens(parent_.get(), times.data());
  }
  const std::lock_guard lock(mutex_);
  pipe_ = std::move(next);
}

}  // namespace strake::sandbox
