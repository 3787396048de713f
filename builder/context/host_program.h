#pragma once

#include <cstddef>
#include <stop_token>
#include <string>
#include <vector>

namespace strake::builder {

/// A program of this machine that does a part of the work (git). Not for steps: those run in the
/// sandbox.
struct HostProgram {
  std::vector<std::string> argv;       // argv[0] is looked up in PATH of our own environment
  std::vector<std::string> env;        // "NAME=value": all that it gets
  std::string input = {};              // its stdin
  std::size_t limit_bytes = 16 << 20;  // of each output; more is an error
};

struct HostProgramResult {
  int status = 0;  // exit status, or 128 + the signal that ended it
  std::string output, errors;
  bool ok() const noexcept { return status == 0; }
};

/// Runs it to its end: no shell, no terminal, a process group of its own, no descriptors but its
/// three standard ones. The group is killed when `stop` is requested and whenever this ends by an
/// exception. May be called from several threads.
///
/// Throws Error(not_found) if there is no such program, Error(cancelled), Error(corrupt) when it
/// says too much, or of the failed system call.
HostProgramResult run_host_program(const HostProgram& program, std::stop_token stop);

}  // namespace strake::builder
