#include "builder/context/host_program.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "builder/sandbox/child_process.h"
#include "layers/base/error.h"
#include "layers/base/fd.h"

namespace strake::builder {
namespace {

using base::Error;
using base::ErrorCode;
using base::FileDescriptor;
using base::system_error;

/// A file in memory. Other than a pipe it holds any amount, and a program that does not read it
/// cannot send us SIGPIPE.
FileDescriptor input_file(const std::string& text) {
  FileDescriptor file(::memfd_create("strake-input", MFD_CLOEXEC));
  if (!file) throw system_error(errno, "create", "memory file");
  base::write_full(file.get(), base::bytes_of(text), "memory file");
  if (::lseek(file.get(), 0, SEEK_SET) < 0) throw system_error(errno, "seek", "memory file");
  return file;
}

std::vector<char*> pointers(std::vector<std::string>& words) {
  std::vector<char*> result;
  for (std::string& word : words) result.push_back(word.data());
  result.push_back(nullptr);
  return result;
}

/// A child and all that it starts: one process group, killed when the object goes.
class ProcessGroup {
 public:
  ProcessGroup(const HostProgram& program, int input, int output, int errors) {
    std::vector<std::string> argv = program.argv, env = program.env;
    posix_spawn_file_actions_t actions;
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawn_file_actions_adddup2(&actions, input, STDIN_FILENO);
    ::posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
    ::posix_spawn_file_actions_adddup2(&actions, errors, STDERR_FILENO);
    ::posix_spawn_file_actions_addclosefrom_np(&actions, STDERR_FILENO + 1);
    posix_spawnattr_t attributes;
    ::posix_spawnattr_init(&attributes);
    sigset_t none, all;
    ::sigemptyset(&none);
    ::sigfillset(&all);
    ::posix_spawnattr_setsigmask(&attributes, &none);
    ::posix_spawnattr_setsigdefault(&attributes, &all);
    ::posix_spawnattr_setpgroup(&attributes, 0);
    ::posix_spawnattr_setflags(
        &attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);

    pid_t pid = -1;
    const int error = ::posix_spawnp(&pid, argv.front().c_str(), &actions, &attributes,
                                     pointers(argv).data(), pointers(env).data());
    ::posix_spawn_file_actions_destroy(&actions);
    ::posix_spawnattr_destroy(&attributes);
    if (error == ENOENT)
      throw Error(ErrorCode::not_found, base::quoted(argv.front()) + " is not installed");
    if (error != 0) throw system_error(error, "run", argv.front());
    group_ = pid;
    // Not reaped yet, so the number still means our child.
    FileDescriptor pidfd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
    if (!pidfd) {
      const int reason = errno;
      ::kill(-group_, SIGKILL);
      ::waitpid(pid, nullptr, 0);
      throw system_error(reason, "watch", argv.front());
    }
    child_ = sandbox::ChildProcess(pid, std::move(pidfd));
  }
  ~ProcessGroup() { kill_all(); }
  ProcessGroup(const ProcessGroup&) = delete;
  ProcessGroup& operator=(const ProcessGroup&) = delete;

  int pidfd() const noexcept { return child_.pidfd(); }

  /// Ends what the child left running and gives the child's status as a shell would.
  int finish() noexcept {
    kill_all();
    const int status = child_.wait();
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }

 private:
  /// Only while the child is not reaped: later the number may be another group's.
  void kill_all() const noexcept {
    if (child_) ::kill(-group_, SIGKILL);
  }

  pid_t group_ = -1;
  sandbox::ChildProcess child_;
};

/// One output of the program: read as it comes, never waited for.
class Output {
 public:
  Output(std::string& text, const HostProgram& program) : text_(text), program_(program) {
    pipe_ = base::make_pipe();
    const int flags = ::fcntl(pipe_.read_end.get(), F_GETFL);
    ::fcntl(pipe_.read_end.get(), F_SETFL, flags | O_NONBLOCK);
  }

  int write_end() const noexcept { return pipe_.write_end.get(); }
  void close_write_end() noexcept { pipe_.write_end.reset(); }
  /// -1 at the end: poll() then looks elsewhere.
  int read_end() const noexcept { return pipe_.read_end.get(); }

  /// Takes what is there.
  void read() {
    while (pipe_.read_end) {
      const ssize_t count = ::read(pipe_.read_end.get(), buffer_.data(), buffer_.size());
      if (count < 0 && errno == EINTR) continue;
      if (count < 0 && errno == EAGAIN) return;
      if (count < 0) throw system_error(errno, "read the output of", program_.argv.front());
      if (count == 0) return pipe_.read_end.reset();
      text_.append(buffer_.data(), static_cast<std::size_t>(count));
      if (text_.size() > program_.limit_bytes)
        throw Error(ErrorCode::corrupt, base::quoted(program_.argv.front()) + " says more than " +
                                            std::to_string(program_.limit_bytes) + " bytes");
    }
  }

 private:
  std::string& text_;
  const HostProgram& program_;
  base::Pipe pipe_;
  std::array<char, 16 * 1024> buffer_;
};

}  // namespace

HostProgramResult run_host_program(const HostProgram& program, std::stop_token stop) {
  FileDescriptor input(program.input.empty() ? ::open("/dev/null", O_RDONLY | O_CLOEXEC)
                                             : input_file(program.input).release());
  if (!input) throw system_error(errno, "open", "/dev/null");
  const FileDescriptor stopped(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!stopped) throw system_error(errno, "create", "event descriptor");
  const std::stop_callback wake(stop, [&] { ::eventfd_write(stopped.get(), 1); });

  HostProgramResult result;
  Output output(result.output, program), errors(result.errors, program);
  ProcessGroup group(program, input.get(), output.write_end(), errors.write_end());
  output.close_write_end();
  errors.close_write_end();
  for (;;) {
    std::array<pollfd, 4> events = {{{output.read_end(), POLLIN, 0},
                                     {errors.read_end(), POLLIN, 0},
                                     {group.pidfd(), POLLIN, 0},
                                     {stopped.get(), POLLIN, 0}}};
    if (::poll(events.data(), events.size(), -1) < 0 && errno != EINTR)
      throw system_error(errno, "wait for", program.argv.front());
    if (stop.stop_requested()) throw Error(ErrorCode::cancelled, "cancelled");
    output.read();
    errors.read();
    // What the child wrote before it ended was read above: the pipes are looked at after poll().
    if (events[2].revents != 0) break;
  }
  output.read();
  errors.read();
  result.status = group.finish();
  return result;
}

}  // namespace strake::builder
