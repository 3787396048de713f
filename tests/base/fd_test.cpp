#include "layers/base/fd.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <thread>

#include "tests/base/expect_error.h"

namespace strake::base {
namespace {

bool is_open(int fd) {
  return ::fcntl(fd, F_GETFD) >= 0;
}

TEST(FileDescriptor, ClosesWhatItOwnsOnce) {
  int number;
  {
    FileDescriptor first(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    number = first.get();
    FileDescriptor second(std::move(first));
    EXPECT_FALSE(first);  // NOLINT: what is left after a move is part of the contract
    EXPECT_TRUE(is_open(number));
    first = std::move(second);
    EXPECT_EQ(first.get(), number);
  }
  EXPECT_FALSE(is_open(number));
}

TEST(FileDescriptor, AssignmentClosesTheOldOne) {
  FileDescriptor file(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  const int old = file.get();
  file = FileDescriptor(::open("/dev/zero", O_RDONLY | O_CLOEXEC));
  EXPECT_NE(file.get(), old);
  EXPECT_FALSE(is_open(old));
}

TEST(FileDescriptor, DuplicatesAreCloseOnExec) {
  const FileDescriptor file(::open("/dev/null", O_RDONLY));
  const FileDescriptor copy = file.duplicate();
  EXPECT_NE(copy.get(), file.get());
  EXPECT_EQ(::fcntl(copy.get(), F_GETFD), FD_CLOEXEC);
  expect_error(ErrorCode::system, [] { FileDescriptor().duplicate(); });
}

TEST(ReadAndWrite, GoOnAfterShortTransfers) {
  Pipe pipe = make_pipe();
  const std::string text(1 << 20, 'x');  // larger than the pipe
  std::jthread writer([&] {
    write_full(pipe.write_end.get(), bytes_of(text), "pipe");
    pipe.write_end.reset();
  });
  std::string got(text.size() + 10, ' ');
  const std::size_t count =
      read_full(pipe.read_end.get(), std::as_writable_bytes(std::span(got)), "pipe");
  EXPECT_EQ(got.substr(0, count), text);
}

TEST(ReadAndWrite, AreRetriedAfterASignal) {
  struct sigaction action = {}, before;
  action.sa_handler = [](int) {};  // no SA_RESTART: read() fails with EINTR
  ASSERT_EQ(::sigaction(SIGUSR1, &action, &before), 0);
  Pipe pipe = make_pipe();
  const ::pthread_t reader = ::pthread_self();
  std::jthread disturber([&] {
    for (int i = 0; i < 20; ++i) {
      ::pthread_kill(reader, SIGUSR1);
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    write_full(pipe.write_end.get(), bytes_of("done"), "pipe");
  });
  std::array<std::byte, 4> buffer;
  EXPECT_EQ(read_full(pipe.read_end.get(), buffer, "pipe"), 4U);
  disturber.join();
  ::sigaction(SIGUSR1, &before, nullptr);
}

TEST(ReadAndWrite, PreadLeavesThePositionAlone) {
  const FileDescriptor file(::open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
  if (!file) GTEST_SKIP() << "no O_TMPFILE in /tmp";
  write_full(file.get(), bytes_of("0123456789"), "file");
  std::array<std::byte, 4> buffer;
  EXPECT_EQ(pread_full(file.get(), buffer, 3, "file"), 4U);
  EXPECT_EQ(text_of(buffer), "3456");
  EXPECT_EQ(pread_full(file.get(), buffer, 8, "file"), 2U);
  EXPECT_EQ(::lseek(file.get(), 0, SEEK_CUR), 10);
}

TEST(ReadAndWrite, NameTheFileInErrors) {
  std::array<std::byte, 4> buffer;
  EXPECT_EQ(expect_error(ErrorCode::system, [&] { read_some(-1, buffer, "that"); }),
            "cannot read \"that\": bad file descriptor");
  expect_error(ErrorCode::system, [&] { pread_full(-1, buffer, 0, "that"); });
  expect_error(ErrorCode::system, [&] { write_full(-1, buffer, "that"); });
}

TEST(ReadAll, StopsAtTheLimit) {
  const auto read = [](std::size_t size, std::size_t limit) {
    Pipe pipe = make_pipe();
    std::jthread writer([&] {
      write_full(pipe.write_end.get(), bytes_of(std::string(size, 'x')), "pipe");
      pipe.write_end.reset();
    });
    return read_all(pipe.read_end.get(), limit, "pipe").size();
  };
  EXPECT_EQ(read(0, 0), 0U);
  EXPECT_EQ(read(50000, 50001), 50000U);
  EXPECT_EQ(read(50000, 50000), 50000U);
  expect_error(ErrorCode::corrupt, [&] { read(50000, 49999); });
}

TEST(StandardStreams, AreOpenedWhenTheyAreClosed) {
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    ::close(0);
    ::close(2);
    ensure_standard_streams();
    const bool good = is_open(0) && is_open(1) && is_open(2) && ::fcntl(2, F_GETFD) == 0 &&
                      ::open("/dev/null", O_RDONLY | O_CLOEXEC) > 2;
    ::_exit(good ? 0 : 1);
  }
  int status = -1;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
}

}  // namespace
}  // namespace strake::base
