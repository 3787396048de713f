#pragma once

#include <filesystem>
#include <stop_token>
#include <string>
#include <vector>

#include "builder/context/host_program.h"
#include "builder/context/source_auth.h"
#include "builder/dockerfile/git_url.h"
#include "layers/base/error.h"

namespace strake::builder {

/// The git program in an environment of its own: no configuration of user or system, no hooks, no
/// templates, no prompts, no transports but https, http, git and ssh (and file, if the URL is one:
/// then the user named a repository of this machine). Credentials are in its environment, bound to
/// the origin of the URL; no command line shows them.
class GitCommand {
 public:
  /// `work` is a directory of ours, absolute: git's home.
  GitCommand(const GitUrl& url, const SourceAccess& access, const std::filesystem::path& work,
             std::stop_token stop);

  /// Runs "git ARGUMENTS…" in `work` to its end. Throws Error(unsupported) where git is not
  /// installed.
  HostProgramResult run(std::vector<std::string> arguments) const;
  /// Its stdout. Throws error("cannot <what> <URL>") if it fails.
  std::string output(std::string_view what, std::vector<std::string> arguments) const;
  /// The same for what talks to the repository: tried again when the network failed.
  std::string remote_output(std::string_view what, const std::vector<std::string>& arguments) const;

  /// What went wrong, from what git said: denied, unavailable, not_found, or system.
  base::Error error(std::string_view what, const HostProgramResult& result) const;

 private:
  const GitUrl& url_;
  const std::string work_;
  std::vector<std::string> environment_;
  std::stop_token stop_;
  bool has_agent_;
};

}  // namespace strake::builder
