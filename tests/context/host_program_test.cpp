#include "builder/context/host_program.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <chrono>
#include <thread>

#include "layers/base/error.h"
#include "layers/base/fd.h"

namespace strake::builder {
namespace {

HostProgram shell(std::string script) {
  return {.argv = {"sh", "-c", std::move(script)}, .env = {"PATH=/usr/bin:/bin"}};
}

base::ErrorCode code_of(const HostProgram& program, std::stop_token stop = {}) {
  try {
    run_host_program(program, stop);
  } catch (const base::Error& error) {
    return error.code();
  }
  ADD_FAILURE() << "nothing was thrown";
  return {};
}

TEST(HostProgram, GivesStatusAndBothOutputs) {
  const HostProgramResult result = run_host_program(shell("echo out; echo err >&2; exit 3"), {});
  EXPECT_EQ(result.status, 3);
  EXPECT_EQ(result.output, "out\n");
  EXPECT_EQ(result.errors, "err\n");
  EXPECT_FALSE(result.ok());
}

TEST(HostProgram, GetsItsInputAndNothingElse) {
  HostProgram program = shell("cat; echo $SECRET; echo $OURS; ls /proc/self/fd | wc -l");
  program.input = std::string(1 << 20, 'x') + "\n";
  program.env.push_back("OURS=yes");
  const base::Pipe leak = base::make_pipe();
  ASSERT_EQ(::dup2(leak.read_end.get(), 77), 77);  // one that is not close-on-exec
  const HostProgramResult result = run_host_program(program, {});
  ::close(77);
  // 0, 1, 2, and ls' own
  EXPECT_EQ(result.output, program.input + "\nyes\n4\n");
}

TEST(HostProgram, HasNoInputUnlessSomeIsGiven) {
  EXPECT_EQ(run_host_program(shell("cat; echo end"), {}).output, "end\n");
}

TEST(HostProgram, TellsOfASignal) {
  EXPECT_EQ(run_host_program(shell("kill -TERM $$"), {}).status, 128 + SIGTERM);
}

TEST(HostProgram, SaysIfThereIsNoSuchProgram) {
  EXPECT_EQ(code_of({.argv = {"strake-no-such-program"}, .env = {}}), base::ErrorCode::not_found);
}

TEST(HostProgram, RefusesTooMuchOutput) {
  HostProgram program = shell("while :; do echo yyyyyyyyyyyyyyyyyyyyyyyyyyy; done");
  program.limit_bytes = 100'000;
  EXPECT_EQ(code_of(program), base::ErrorCode::corrupt);
}

TEST(HostProgram, IsKilledWithItsChildrenWhenStopped) {
  std::stop_source stop;
  // The grandchild holds the pipe open: only killing the group ends it.
  const HostProgram program = shell("sleep 1000 & echo $!; wait");
  std::jthread stopper([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    stop.request_stop();
  });
  EXPECT_EQ(code_of(program, stop.get_token()), base::ErrorCode::cancelled);
}

TEST(HostProgram, DoesNotWaitForWhatItLeavesBehind) {
  const HostProgramResult result = run_host_program(shell("sleep 1000 & echo $!"), {});
  EXPECT_TRUE(result.ok());
  const pid_t left = static_cast<pid_t>(std::stol(result.output));
  for (int i = 0; i < 500 && ::kill(left, 0) == 0; ++i) {  // until its new parent reaped it
    char state = 0;
    if (FILE* file = ::fopen(("/proc/" + std::to_string(left) + "/stat").c_str(), "re")) {
      if (::fscanf(file, "%*d %*s %c", &state) != 1) state = 0;
      ::fclose(file);
    }
    if (state == 'Z' || state == 0) break;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
    ASSERT_LT(i, 499) << "still running";
  }
}

}  // namespace
}  // namespace strake::builder
