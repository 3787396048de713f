#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <stdlib.h>
#include <termios.h>
#include <unistd.h>

#include <csignal>

#include "builder/cli/arguments.h"
#include "builder/cli/progress_plain.h"
#include "builder/cli/raw_terminal.h"
#include "builder/cli/run_volumes.h"
#include "builder/cli/stop_signals.h"
#include "layers/base/error.h"
#include "layers/base/fd.h"

namespace strake::cli {
namespace {

using builder::HostMount;
using builder::OwnDirectory;
using sandbox::TmpfsMount;
using Words = std::vector<std::string>;

std::optional<std::string> variable(const std::string& name) {
  if (name == "GIVEN") return "here";
  return std::nullopt;
}

RunCommand parse(Words words) {
  words.insert(words.begin(), "run");
  return std::get<RunCommand>(parse_arguments(words, variable).command);
}

TEST(RunArguments, EndAtTheImage) {
  const RunCommand command = parse({"-it", "-e", "A=1", "app", "ls", "-l", "--help", "--", "-e"});
  EXPECT_TRUE(command.interactive);
  EXPECT_TRUE(command.terminal);
  EXPECT_EQ(command.image, "app");
  EXPECT_EQ(command.request.arguments, (Words{"ls", "-l", "--help", "--", "-e"}));
  EXPECT_EQ(command.request.env, Words{"A=1"});
}

TEST(RunArguments, TakeShortOptionsInOneWord) {
  const RunCommand command = parse({"-ite", "A=1", "-w/srv", "-u", "app", "image"});
  EXPECT_EQ(command.image, "image");
  EXPECT_EQ(command.request.env, Words{"A=1"});
  EXPECT_EQ(command.request.working_dir, "/srv");
  EXPECT_EQ(command.request.user, "app");
}

TEST(RunArguments, HaveDockersVolumesAndHostNameForShortNames) {
  const RunCommand command = parse({"-v", "/a:/b", "-h", "box", "app"});
  EXPECT_EQ(command.request.volumes.size(), 1U);
  EXPECT_EQ(command.request.settings.hostname, "box");
}

TEST(RunArguments, TellAnEmptyEntrypointFromNone) {
  EXPECT_FALSE(parse({"app"}).request.entrypoint);
  EXPECT_EQ(parse({"--entrypoint", "", "app"}).request.entrypoint, Words{});
  EXPECT_EQ(parse({"--entrypoint=/sh", "app"}).request.entrypoint, Words{"/sh"});
}

TEST(RunArguments, RefuseWhatOneProcessCannotDo) {
  for (const char* option : {"-d", "-p", "--name", "--link"})
    EXPECT_THROW(parse({option, "app"}), base::Error) << option;
  EXPECT_THROW(parse({"-w", "relative", "app"}), base::Error);
  EXPECT_THROW(parse({"--pull", "sometimes", "app"}), base::Error);
  EXPECT_THROW(parse({}), base::Error);
}

TEST(RunArguments, AreKnownForARunEvenIfTheyAreWrong) {
  EXPECT_TRUE(asks_for_run(Words{"--root", "/x", "run", "--nosuch"}));
  EXPECT_TRUE(asks_for_run(Words{"container", "run"}));
  EXPECT_FALSE(asks_for_run(Words{"build", "run"}));
  EXPECT_FALSE(asks_for_run(Words{}));
}

TEST(RunVolumes, AreDirectoriesOfTheHostOrOfTheLayer) {
  const auto bind = std::get<HostMount>(parse_volume("./src:/app:ro,z"));
  EXPECT_EQ(bind.source, "./src");
  EXPECT_EQ(bind.target, "/app");
  EXPECT_TRUE(bind.read_only);
  EXPECT_FALSE(std::get<HostMount>(parse_volume("/a:/b")).read_only);
  EXPECT_EQ(std::get<OwnDirectory>(parse_volume("/data")).target, "/data");
}

TEST(RunVolumes, RefuseNamesAndWhatIsNotUnderstood) {
  for (const char* text :
       {"name:/data", ":/data", "/a:b", "/a:/", "/a:/b:rw:c", "/a:/b:shared", "relative"})
    EXPECT_THROW(parse_volume(text), base::Error) << text;
}

TEST(RunVolumes, OfMountHaveNamedFields) {
  const auto bind = std::get<HostMount>(parse_mount("type=bind,src=/a,\"dst=/b,c\",readonly"));
  EXPECT_EQ(bind.source, "/a");
  EXPECT_EQ(bind.target, "/b,c");
  EXPECT_TRUE(bind.read_only);
  const auto memory =
      std::get<TmpfsMount>(parse_mount("type=tmpfs,target=/m,tmpfs-size=1m,tmpfs-mode=700"));
  EXPECT_EQ(memory.size_bytes, 1U << 20);
  EXPECT_EQ(memory.mode, 0700U);
  EXPECT_EQ(std::get<OwnDirectory>(parse_mount("target=/d")).target, "/d");
  for (const char* text : {"type=bind,target=/a", "type=volume,src=n,dst=/a", "type=npipe,dst=/a",
                           "type=tmpfs,src=/a,dst=/b", "type=bind,src=/a,dst=/b,tmpfs-size=1"})
    EXPECT_THROW(parse_mount(text), base::Error) << text;
}

TEST(RunVolumes, OfMemoryAreNotExecutableUnlessAsked) {
  EXPECT_TRUE(std::get<TmpfsMount>(parse_tmpfs("/t")).no_exec);
  const auto memory = std::get<TmpfsMount>(parse_tmpfs("/t:exec,ro,size=64k,mode=755"));
  EXPECT_FALSE(memory.no_exec);
  EXPECT_TRUE(memory.read_only);
  EXPECT_EQ(memory.size_bytes, 64U << 10);
  EXPECT_EQ(memory.mode, 0755U);
  EXPECT_THROW(parse_tmpfs("/t:size=much"), base::Error);
  EXPECT_THROW(parse_tmpfs("/t:mode=9"), base::Error);
}

TEST(RunVariables, ComeFromTheLineTheEnvironmentOrAFile) {
  EXPECT_EQ(parse_variable("A=1=2", variable), "A=1=2");
  EXPECT_EQ(parse_variable("GIVEN", variable), "GIVEN=here");
  EXPECT_EQ(parse_variable("ABSENT", variable), "ABSENT");
  EXPECT_THROW(parse_variable("=x", variable), base::Error);
  EXPECT_EQ(parse_env_file("# no\n\n  A=b c\r\nGIVEN\n", "f", variable),
            (Words{"A=b c", "GIVEN=here"}));
  EXPECT_THROW(parse_env_file("A B=1\n", "f", variable), base::Error);
}

/// What has come through the pipe within a moment.
int next_number(int fd) {
  pollfd ready{fd, POLLIN, 0};
  if (poll(&ready, 1, 10'000) <= 0) return -1;
  unsigned char byte = 0;
  return read(fd, &byte, 1) == 1 ? byte : -1;
}

TEST(SignalDiversion, GivesTheStopSignalThenAKill) {
  const StopSignals signals;
  const SignalDiversion diversion(Diverted::all, SIGUSR2);
  kill(getpid(), SIGTERM);
  EXPECT_EQ(next_number(diversion.fd()), SIGUSR2);
  kill(getpid(), SIGINT);
  EXPECT_EQ(next_number(diversion.fd()), SIGKILL);
  kill(getpid(), SIGWINCH);
  EXPECT_EQ(next_number(diversion.fd()), SIGWINCH);
  EXPECT_FALSE(signals.token().stop_requested());
}

TEST(SignalDiversion, OfTheWindowSizeLeavesRequestsToStop) {
  const StopSignals signals;
  const SignalDiversion diversion(Diverted::window_size, SIGTERM);
  kill(getpid(), SIGWINCH);
  EXPECT_EQ(next_number(diversion.fd()), SIGWINCH);
  kill(getpid(), SIGTERM);
  EXPECT_EQ(signals.received(), SIGTERM);
}

TEST(RawTerminal, ComesBackAsItWas) {
  const base::FileDescriptor controller(posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC));
  ASSERT_TRUE(controller && grantpt(controller.get()) == 0 && unlockpt(controller.get()) == 0);
  const base::FileDescriptor terminal(
      open(ptsname(controller.get()), O_RDWR | O_NOCTTY | O_CLOEXEC));
  const auto is_raw = [&] {
    termios settings{};
    tcgetattr(terminal.get(), &settings);
    return (settings.c_lflag & (ICANON | ECHO | ISIG)) == 0;
  };
  EXPECT_FALSE(is_raw());
  {
    const RawTerminal raw(terminal.get());
    EXPECT_TRUE(is_raw());
    restore_raw_terminal();  // as a signal's handler does
    EXPECT_FALSE(is_raw());
  }
  EXPECT_FALSE(is_raw());
}

/// Keeps what was written, for the test to look at.
class Screen final : public base::ByteSink {
 public:
  explicit Screen(std::string& text) : text_(text) {}
  void write(std::span<const std::byte> bytes) override { text_ += base::text_of(bytes); }

 private:
  std::string& text_;
};

TEST(PlainProgress, WritesWhatItHeldWhenItIsResumed) {
  std::string screen;
  PlainProgress progress(std::make_unique<Screen>(screen), StepBytes::unaltered,
                         &std::chrono::steady_clock::now);
  const builder::TaskId task = progress.start({"stage", "1/1", "RUN make"});
  progress.output(task, base::bytes_of("before\n"));
  progress.suspend();
  progress.output(task, base::bytes_of("meanwhile\n"));
  progress.log_line("a warning");
  EXPECT_NE(screen.find("before"), std::string::npos);
  EXPECT_EQ(screen.find("meanwhile"), std::string::npos);
  EXPECT_NE(progress.report_of(task).find("meanwhile"), std::string::npos);
  progress.resume();
  EXPECT_LT(screen.find("meanwhile"), screen.find("a warning"));
}

}  // namespace
}  // namespace strake::cli
