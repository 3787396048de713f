#pragma once

#include <exception>
#include <string>
#include <string_view>
#include <vector>

#include "layers/base/error.h"

namespace strake::cli {

enum class Colour { no, yes };

/// Whether text for the descriptor `fd` may be coloured: it is a terminal, NO_COLOR is unset or
/// empty, and TERM is not "dumb".
Colour colour_for(int fd);

/// The one place where an Error becomes text for people:
///
///     error: cannot copy "server/config.yml": no such file in the build context
///       Dockerfile:12
///        11 | WORKDIR /srv
///        12 | COPY server/config.yml .
///           | ^^^^^^^^^^^^^^^^^^^^^^^^
///       while: building stage "app"
///       context: /home/ana/shop (14 files)
///       hint: add "!server/config.yml" to .dockerignore
///
/// A place of several lines is marked with ">" in place of "|". Ends with a newline. Secrets and
/// the secret parts of URLs are redacted, control characters neutralised.
std::string describe(const base::Error& error, Colour colour);

/// Lines `first` to `last` of `text`, counted from 1, as far as they exist; safe to show, secrets
/// redacted, long ones cut.
std::vector<std::string> source_lines(std::string_view text, int first, int last);

/// The same for what should not have happened: "internal error: …; please report it".
std::string describe_internal(const std::exception& error, Colour colour);

/// What the process ends with. Documented in "strake help" and the README: scripts rely on it.
enum class ExitStatus : int {
  success = 0,
  build_failed = 1,  // a RUN command failed, content is corrupt, or a bug of ours
  findings = 1,      // the answer of a check that found something
  usage = 2,         // the command line
  input = 3,         // the Dockerfile, the context or a name: wrong, or not there
  registry = 4,      // refused or unreachable: a registry, credentials, permissions
  unsupported = 5,   // the sandbox, the kernel or this version cannot do it
  disk = 6,          // the store, the disk, another failed system call
  not_run = 125,     // "strake run": of strake itself, as docker has it
};

/// Of an error that is not about the command line. A cancelled build's status is 128 + the
/// signal's number, which only main() knows; here it is build_failed.
ExitStatus exit_status(base::ErrorCode code);

}  // namespace strake::cli
