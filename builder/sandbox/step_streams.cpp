#include "builder/sandbox/step_streams.h"

#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <optional>

#include "builder/sandbox/pseudo_terminal.h"
#include "layers/base/error.h"

namespace strake::sandbox {
namespace {

using base::FileDescriptor;

constexpr std::size_t kBufferBytes = 64 << 10;
constexpr pollfd kNothing{-1, 0, 0};

void make_nonblocking(int fd) {
  if (::fcntl(fd, F_SETFL, O_NONBLOCK) != 0) throw base::system_error(errno, "set up", "pipe");
}

/// What one read found; no count: there is nothing now.
std::optional<std::size_t> read_now(int fd, std::span<std::byte> buffer, std::string_view subject) {
  ssize_t count;
  while ((count = ::read(fd, buffer.data(), buffer.size())) < 0 && errno == EINTR) {
  }
  if (count >= 0) return static_cast<std::size_t>(count);
  if (errno == EAGAIN) return std::nullopt;
  if (errno == EIO) return 0;  // a terminal that was hung up
  throw base::system_error(errno, "read", subject);
}

class Buffer {
 public:
  std::span<std::byte> whole() const noexcept { return {bytes_.get(), kBufferBytes}; }
  bool empty() const noexcept { return begin_ == end_; }
  void fill(std::size_t count) noexcept {
    begin_ = 0;
    end_ = count;
  }
  std::span<const std::byte> rest() const noexcept {
    return {bytes_.get() + begin_, end_ - begin_};
  }
  void consume(std::size_t count) noexcept { begin_ += count; }

 private:
  std::unique_ptr<std::byte[]> bytes_ = std::make_unique_for_overwrite<std::byte[]>(kBufferBytes);
  std::size_t begin_ = 0, end_ = 0;
};

/// The output of a step that nobody takes part in, in one pipe.
class PipeToSink final : public Flow {
 public:
  PipeToSink(FileDescriptor pipe, base::ByteSink& sink) : pipe_(std::move(pipe)), sink_(sink) {
    make_nonblocking(pipe_.get());
  }

  pollfd awaited() const override { return {pipe_.get(), POLLIN, 0}; }
  void advance(const ChildProcess& /*init*/) override {
    const auto count = read_now(pipe_.get(), buffer_.whole(), "output of the step");
    if (count == 0U) pipe_.reset();  // readable for ever, but no more to come
    if (count) sink_.write(buffer_.whole().first(*count));
  }
  void finish() override {
    while (pipe_) {
      const auto count = read_now(pipe_.get(), buffer_.whole(), "output of the step");
      if (!count || *count == 0) return;
      sink_.write(buffer_.whole().first(*count));
    }
  }

 private:
  FileDescriptor pipe_;
  base::ByteSink& sink_;
  Buffer buffer_;
};

/// From a descriptor to another, as fast as the slower of them, without ever waiting for it: the
/// descriptors of the user may be a terminal that was stopped, or a pipe that nobody reads.
class Passage final : public Flow {
 public:
  enum class Direction { into_step, out_of_step };

  /// `step` is the builder's end of the command's stream, closed when the user's side is gone, so
  /// that the command learns of it; `users` is not owned.
  Passage(Direction direction, FileDescriptor step, int users)
      : direction_(direction), step_(std::move(step)), users_(users) {
    make_nonblocking(step_.get());
    struct ::stat status;
    users_is_file_ = ::fstat(users_, &status) == 0 && S_ISREG(status.st_mode);
  }

  pollfd awaited() const override {
    if (!step_) return kNothing;
    if (buffer_.empty()) return {from(), POLLIN, 0};
    return {to(), POLLOUT, 0};
  }

  void advance(const ChildProcess& /*init*/) override {
    if (buffer_.empty())
      read();
    else
      write(chunk());
  }

  void finish() override {
    if (direction_ == Direction::into_step) return;
    while (step_) {
      if (buffer_.empty()) {
        const auto count = read_now(step_.get(), buffer_.whole(), "output of the step");
        if (!count || *count == 0) return;
        buffer_.fill(*count);
      }
      pollfd writable{users_, POLLOUT, 0};  // the user's descriptor may be one that does not block
      if (::poll(&writable, 1, -1) > 0) write(chunk());
    }
  }

 private:
  int from() const noexcept { return direction_ == Direction::into_step ? users_ : step_.get(); }
  int to() const noexcept { return direction_ == Direction::into_step ? step_.get() : users_; }

  void read() {
    const bool input = direction_ == Direction::into_step;
    const auto count = read_now(from(), buffer_.whole(), input ? "stdin" : "output of the step");
    if (count == 0U) return step_.reset();
    if (count) buffer_.fill(*count);
  }

  /// A pipe that is ready takes so much without blocking, a file anything. A terminal may block,
  /// but not for long unless it was stopped.
  std::size_t chunk() const noexcept {
    return std::min<std::size_t>(buffer_.rest().size(), users_is_file_ ? kBufferBytes : PIPE_BUF);
  }

  void write(std::size_t size) {
    const ssize_t count = ::write(to(), buffer_.rest().data(), size);
    if (count >= 0) return buffer_.consume(static_cast<std::size_t>(count));
    if (errno == EINTR || errno == EAGAIN) return;
    // Whoever read it went away: a command that goes on writing will find out in the same way.
    if (errno == EPIPE || errno == EIO) return step_.reset();
    throw base::system_error(errno, "write", "output of the step");
  }

  const Direction direction_;
  FileDescriptor step_;
  const int users_;
  bool users_is_file_ = false;
  Buffer buffer_;
};

/// Signals of the user on their way to the command.
class Signals final : public Flow {
 public:
  /// `terminal` is the command's, or -1.
  Signals(const Interaction& interaction, int terminal)
      : interaction_(interaction), terminal_(terminal), open_(true) {}

  pollfd awaited() const override {
    return open_ ? pollfd{interaction_.signals_fd, POLLIN, 0} : kNothing;
  }
  void advance(const ChildProcess& init) override {
    std::byte number{};
    const auto count = read_now(interaction_.signals_fd, {&number, 1}, "signals");
    if (count == 0U) open_ = false;
    if (!count || *count == 0) return;
    const int signal = std::to_integer<int>(number);
    if (signal == SIGWINCH && interaction_.window_fd >= 0 && terminal_ >= 0)
      copy_window_size(interaction_.window_fd, terminal_);
    else if (signal == SIGKILL)
      init.kill();
    else
      init.signal(signal);
  }

 private:
  const Interaction interaction_;
  const int terminal_;
  bool open_;
};

FileDescriptor open_null() {
  FileDescriptor null(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  if (!null) throw base::system_error(errno, "open", "/dev/null");
  return null;
}

}  // namespace

StepStreams::StepStreams(const Spec& spec, base::ByteSink& output, int devpts) {
  if (!spec.interaction) {
    input_ = spec.stdin_fd >= 0 ? spec.stdin_fd : keep(open_null());
    connect_output(output);
  } else if (!spec.interaction->terminal) {
    connect_pipes(*spec.interaction);
  } else {
    PseudoTerminal pair = make_pseudo_terminal(devpts, spec.uid);
    terminal_ = std::move(pair.terminal);
    connect_terminal(*spec.interaction, std::move(pair.controller));
  }
}

StepStreams::~StepStreams() = default;

int StepStreams::keep(FileDescriptor far_end) {
  far_ends_.push_back(std::move(far_end));
  return far_ends_.back().get();
}

void StepStreams::connect_output(base::ByteSink& output) {
  base::Pipe pipe = base::make_pipe();
  output_ = error_ = keep(std::move(pipe.write_end));
  flows_.push_back(std::make_unique<PipeToSink>(std::move(pipe.read_end), output));
}

void StepStreams::connect_pipes(const Interaction& interaction) {
  if (interaction.input_fd >= 0) {
    base::Pipe pipe = base::make_pipe();
    input_ = keep(std::move(pipe.read_end));
    flows_.push_back(std::make_unique<Passage>(Passage::Direction::into_step,
                                               std::move(pipe.write_end), interaction.input_fd));
  } else {
    input_ = keep(open_null());
  }
  for (const auto& [end, users] :
       {std::pair{&output_, interaction.output_fd}, std::pair{&error_, interaction.error_fd}}) {
    base::Pipe pipe = base::make_pipe();
    *end = keep(std::move(pipe.write_end));
    flows_.push_back(std::make_unique<Passage>(Passage::Direction::out_of_step,
                                               std::move(pipe.read_end), users));
  }
  if (interaction.signals_fd >= 0) flows_.push_back(std::make_unique<Signals>(interaction, -1));
}

/// The builder keeps the command's end too: a terminal that nobody has open is hung up, and a
/// command may close it for a while.
void StepStreams::connect_terminal(const Interaction& interaction, FileDescriptor controller) {
  input_ = output_ = error_ = terminal_.get();
  copy_window_size(interaction.window_fd, terminal_.get());
  if (interaction.input_fd >= 0)
    flows_.push_back(std::make_unique<Passage>(Passage::Direction::into_step,
                                               controller.duplicate(), interaction.input_fd));
  if (interaction.signals_fd >= 0)
    flows_.push_back(std::make_unique<Signals>(interaction, terminal_.get()));
  flows_.push_back(std::make_unique<Passage>(Passage::Direction::out_of_step, std::move(controller),
                                             interaction.output_fd));
}

}  // namespace strake::sandbox
