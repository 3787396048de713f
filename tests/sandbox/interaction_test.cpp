// Commands that a user works with: their streams, their terminal, their signals.

#include <pthread.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <termios.h>

#include <chrono>
#include <thread>

#include "builder/sandbox/mount.h"
#include "builder/sandbox/pseudo_terminal.h"
#include "tests/sandbox/step_fixture.h"

namespace strake::sandbox {
namespace {

class Interactive : public StepTest {
 protected:
  /// `spec` with the user's side of the streams: what was typed, and where it writes to.
  Spec with_user(Spec spec, const std::string& typed = "") {
    typed_ = file("typed", typed);
    out_ = file("out", "");
    err_ = file("err", "");
    spec.interaction =
        Interaction{.input_fd = typed_.get(), .output_fd = out_.get(), .error_fd = err_.get()};
    return spec;
  }
  base::FileDescriptor file(const std::string& name, const std::string& content) const {
    const fs::path path = temporary() / name;
    std::ofstream(path) << content;
    return base::FileDescriptor(::open(path.c_str(), O_RDWR | O_APPEND | O_CLOEXEC));
  }
  std::string written(const std::string& name = "out") const {
    return base::read_file(temporary() / name).value();
  }

  base::FileDescriptor typed_, out_, err_;
};

TEST_F(Interactive, HasAStreamEachForOutputAndErrors) {
  const Result result = run(with_user(shell("echo one; echo two >&2")));
  EXPECT_TRUE(result.status.success());
  EXPECT_EQ(written("out"), "one\n");
  EXPECT_EQ(written("err"), "two\n");
  EXPECT_EQ(result.output, "");
}

TEST_F(Interactive, ReadsWhatIsTypedToItsEnd) {
  run(with_user(shell("wc -c"), std::string(1'000'000, 'x')));
  EXPECT_EQ(written(), "1000000\n");
}

TEST_F(Interactive, ReadsNothingWithoutInput) {
  Spec spec = with_user(shell("wc -c"), "text");
  spec.interaction->input_fd = -1;
  run(spec);
  EXPECT_EQ(written(), "0\n");
}

TEST_F(Interactive, SeesPipesAndNotTheUsersFiles) {
  run(with_user(shell("for i in 0 1 2; do readlink /proc/self/fd/$i; done"), "text"));
  EXPECT_EQ(written().find("/"), std::string::npos) << written();
}

TEST_F(Interactive, LearnsThatNobodyReadsAnyMore) {
  base::Pipe pipe = base::make_pipe();
  pipe.read_end.reset();
  Spec spec = with_user(this->spec({"yes"}));
  spec.interaction->output_fd = pipe.write_end.get();
  ::signal(SIGPIPE, SIG_IGN);
  EXPECT_EQ(run(spec).status.signal, SIGPIPE);
}

TEST_F(Interactive, HasATerminalOfItsOwn) {
  Spec spec =
      with_user(shell("tty; test -t 2 && echo errors too; stat -c %a /dev/pts/0; "
                      "echo ours > /dev/tty"));
  spec.interaction->input_fd = -1;
  spec.interaction->terminal = true;
  spec.uid = 1000;
  EXPECT_TRUE(run(spec).status.success());
  EXPECT_EQ(written(), "/dev/pts/0\r\nerrors too\r\n620\r\nours\r\n");
}

TEST_F(Interactive, TypesAtItsTerminal) {
  Spec spec = with_user(shell("cat; echo end"), "line\n\x04");
  spec.interaction->terminal = true;
  EXPECT_TRUE(run(spec).status.success());
  EXPECT_NE(written().find("line\r\nend\r\n"), std::string::npos) << written();
}

TEST_F(Interactive, IsInterruptedByTheKeyAtItsTerminal) {
  base::Pipe keys = base::make_pipe();
  Spec spec =
      with_user(shell("trap 'echo got it; exit 3' INT; echo ready; while :; do sleep 0.05; done"));
  spec.interaction->terminal = true;
  spec.interaction->input_fd = keys.read_end.get();
  std::jthread user([&] {
    while (written().find("ready") == std::string::npos)
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    base::write_full(keys.write_end.get(), base::bytes_of("\x03"), "keys");
  });
  EXPECT_EQ(run(spec).status.code, 3);
}

TEST_F(Interactive, GetsSignalsAlone) {
  base::Pipe signals = base::make_pipe();
  Spec spec =
      with_user(shell("(trap 'echo the child too' USR1; sleep 0.6) & "
                      "trap 'echo got it; wait; exit 4' USR1; echo ready; wait; exit 5"));
  spec.interaction->signals_fd = signals.read_end.get();
  std::jthread user([&] {
    while (written().find("ready") == std::string::npos)
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    base::write_full(signals.write_end.get(), base::bytes_of(std::string(1, SIGUSR1)), "signals");
  });
  EXPECT_EQ(run(spec).status.code, 4);
  EXPECT_EQ(written(), "ready\ngot it\n");
}

TEST_F(Interactive, IsKilledOnRequest) {
  base::Pipe signals = base::make_pipe();
  base::write_full(signals.write_end.get(), base::bytes_of(std::string(1, SIGKILL)), "signals");
  Spec spec = with_user(shell("trap '' TERM INT HUP; sleep 1000"));
  spec.interaction->signals_fd = signals.read_end.get();
  EXPECT_EQ(run(spec).status.code, 128 + SIGKILL);
}

TEST_F(Interactive, FollowsTheSizeOfTheUsersWindow) {
  const DetachedMount terminals =
      make_filesystem("devpts", {{"newinstance", ""}, {"ptmxmode", "0666"}}, 0);
  PseudoTerminal window = make_pseudo_terminal(terminals.fd(), 0);
  struct winsize size {
    40, 120, 0, 0
  };
  ASSERT_EQ(::ioctl(window.terminal.get(), TIOCSWINSZ, &size), 0);
  PseudoTerminal other = make_pseudo_terminal(terminals.fd(), 0);
  copy_window_size(window.terminal.get(), other.terminal.get());
  struct winsize copied {};
  ASSERT_EQ(::ioctl(other.controller.get(), TIOCGWINSZ, &copied), 0);
  EXPECT_EQ(copied.ws_row, 40);
  EXPECT_EQ(copied.ws_col, 120);
}

TEST_F(Interactive, AtATerminalIsStoppedByAHangUp) {
  std::stop_source stop;
  Spec spec = with_user(shell("trap '' TERM; echo ready; while :; do sleep 0.05; done"));
  spec.interaction->input_fd = -1;
  spec.interaction->terminal = true;
  std::jthread user([&] {
    while (written().find("ready") == std::string::npos)
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    stop.request_stop();
  });
  const auto began = std::chrono::steady_clock::now();
  EXPECT_THROW(run(spec, stop.get_token()), base::Error);
  EXPECT_LT(std::chrono::steady_clock::now() - began, std::chrono::seconds(8));
}

TEST_F(Interactive, CannotChangeAReadOnlyRoot) {
  make_usual_directories();
  Spec spec = with_user(shell("touch /file; touch /memory/file && echo there"));
  spec.read_only_root = true;
  spec.mounts.push_back(TmpfsMount{.target = "/memory"});
  EXPECT_TRUE(run(spec).status.success());
  EXPECT_EQ(written(), "there\n");
  EXPECT_NE(written("err").find("Read-only file system"), std::string::npos);
}

}  // namespace
}  // namespace strake::sandbox
