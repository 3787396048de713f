#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "builder/dockerfile/directives.h"
#include "builder/dockerfile/heredoc.h"
#include "builder/dockerfile/run_mount.h"
#include "layers/base/error.h"

// The instructions of a Dockerfile as plain data. Words are as written: quotes, escapes and
// variables are resolved later (expansion.h), when the values are known.

namespace strake::dockerfile {

/// `CMD echo $HOME`: a text for the shell of the stage.
struct ShellForm {
  std::string text;
  bool operator==(const ShellForm&) const = default;
};

/// `CMD ["echo", "x"]`: an argument list, never expanded. May be empty.
struct ExecForm {
  std::vector<std::string> argv;
  bool operator==(const ExecForm&) const = default;
};

using CommandLine = std::variant<ShellForm, ExecForm>;

/// `NAME=value`, both as written.
struct KeyValue {
  std::string key, value;
  bool operator==(const KeyValue&) const = default;
};

struct From {
  std::string image;                    // reference or stage name, unexpanded
  std::optional<std::string> platform;  // unexpanded
  std::string name;                     // AS name, lower case; empty: unnamed
  std::string name_as_written;
  std::string as_keyword;  // "AS" or "as", for the check of consistent casing
};

struct Run {
  enum class Network { standard, none, host };
  enum class Security { sandbox, insecure };

  CommandLine command;
  std::vector<Heredoc> heredocs;
  std::vector<RunMount> mounts;
  std::vector<RunDevice> devices;
  std::optional<Network> network;
  std::optional<Security> security;
};

/// What COPY and ADD have in common. `sources` and `heredocs` together are at least one.
struct Transfer {
  std::vector<std::string> sources;  // paths, patterns or (ADD) URLs
  std::vector<Heredoc> heredocs;     // inline files, named like the here-document
  std::string destination;
  std::optional<std::string> chown, chmod;
  bool link = false;
  std::vector<std::string> excludes;
};

struct Copy {
  Transfer transfer;
  std::string from;  // stage name, index, context or image; empty: the build context
  bool parents = false;
};

struct Add {
  Transfer transfer;
  std::optional<std::string> checksum;
  std::optional<bool> keep_git_dir, unpack;  // empty: not given
};

struct Env {
  std::vector<KeyValue> pairs;
  bool legacy_form = false;  // `ENV key the rest`
};

struct Label {
  std::vector<KeyValue> pairs;
  bool legacy_form = false;
};

struct Arg {
  struct Declaration {
    std::string name;
    std::optional<std::string> default_value;
    bool operator==(const Declaration&) const = default;
  };
  std::vector<Declaration> declarations;
};

struct Workdir {
  std::string path;
};
struct User {
  std::string user;
};
struct Expose {
  std::vector<std::string> words;  // see ports.h
};
struct Volume {
  std::vector<std::string> paths;
};
struct Shell {
  std::vector<std::string> argv;
};
struct Stopsignal {
  std::string signal;  // see signal.h
};
struct Entrypoint {
  CommandLine command;
};
struct Cmd {
  CommandLine command;
};
struct Maintainer {
  std::string name;
};

struct Healthcheck {
  bool none = false;  // HEALTHCHECK NONE; nothing else is set then
  CommandLine test;
  // 0: the default of whoever runs the container.
  std::chrono::nanoseconds interval{0}, timeout{0}, start_period{0}, start_interval{0};
  int retries = 0;
};

/// A trigger: the text of another instruction, kept as written (here-documents included) because
/// images store it so. See parse_trigger().
struct Onbuild {
  std::string text;
};

using Operation =
    std::variant<From, Run, Copy, Add, Env, Label, Arg, Workdir, User, Expose, Volume, Shell,
                 Stopsignal, Healthcheck, Entrypoint, Cmd, Onbuild, Maintainer>;

struct Instruction {
  base::SourceRange where;
  std::string name;                   // "COPY"
  std::string keyword;                // as written: "Copy"
  std::string original;               // continuation lines joined, no here-document bodies
  std::vector<std::string> flags;     // "--link", "--from=build": quotes and escapes resolved
  std::vector<std::string> comments;  // the comment lines above it, without "#"
  Operation operation;
};

/// Something a reader should know and a build may ignore. `rule` is the name of the build check.
struct ParseWarning {
  std::string rule;
  std::string message;
  base::SourceRange where;
};

struct Dockerfile {
  Directives directives;
  std::vector<Instruction> instructions;  // in file order; ARGs, then a FROM, then the rest
  std::vector<ParseWarning> warnings;
};

/// What a RUN with here-documents comes down to.
struct RunScript {
  bool has_interpreter = false;  // the text starts with "#!": run it as a file, without a shell
  std::string name;              // of that file
  std::string text;
};

/// The script of a shell-form RUN. A single here-document that is the whole command is itself the
/// script; any other text gets its here-documents appended again, for the shell to read.
RunScript run_script(const Run& run);

}  // namespace strake::dockerfile
