#pragma once

#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <string>
#include <string_view>

#include "layers/base/fd.h"
#include "layers/base/files.h"

namespace strake::test {

struct ToolResult {
  int status = -1;     // 127: there is no such program
  std::string output;  // stdout and stderr
};

/// Runs `command` in a shell with `input` as its standard input.
inline ToolResult run_tool(const std::string& command, std::string_view input) {
  const base::TempDirectory directory("/tmp", "strake-tool-");
  const std::string file = directory.path() / "input";
  base::write_file_atomically(file, input, 0600, base::Durability::none);
  ToolResult result;
  FILE* pipe = ::popen(("{ " + command + "; } 2>&1 < " + file).c_str(), "re");
  if (pipe == nullptr) return result;
  char buffer[4096];
  while (const std::size_t count = std::fread(buffer, 1, sizeof buffer, pipe))
    result.output.append(buffer, count);
  const int status = ::pclose(pipe);
  result.status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  return result;
}

}  // namespace strake::test
