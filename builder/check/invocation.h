#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "builder/check/shell_script.h"

namespace strake::check {

/// What a shell command runs, once sudo, env and their like are looked through.
struct Invocation {
  std::string program;  // without its directory: "apt-get"; "" if a variable names it
  std::string path;     // as written: "/usr/bin/apt-get"
  std::vector<ShellWord> arguments;
  std::vector<std::string> variables;  // set for it alone: "NAME=value"
  bool by_sudo = false;
  bool as_other_user = false;  // sudo -u, su, gosu, …

  // Of the shell command.
  std::vector<Redirection> redirections;
  Connector next = Connector::end;
  bool piped_into = false;
  int depth = 0;

  /// Any argument is `value`.
  bool has(std::string_view value) const;
  /// A short option, alone ("-y") or among others ("-qy").
  bool has_short(char option) const;
  /// The first argument that is no option; "" if there is none or it is not literal.
  std::string verb() const;
  /// The arguments behind the verb that are no options. `with_values` are options whose value is
  /// the next argument.
  std::vector<ShellWord> operands(const std::vector<std::string_view>& with_values = {}) const;
  /// Every argument is known.
  bool all_literal() const;
  /// An unquoted argument may turn out to be several, options among them.
  bool may_hide_options() const;
};

/// Empty for assignments and redirections only.
std::optional<Invocation> invocation_of(const ShellCommand& command);

/// The script of `sh -c 'script'`; empty for anything else.
std::optional<std::string> inner_script(const Invocation& invocation);

/// sh, bash, dash, …
bool is_shell(std::string_view program);

}  // namespace strake::check
