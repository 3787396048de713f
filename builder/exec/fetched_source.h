#pragma once

#include <optional>
#include <stop_token>
#include <string>

#include "builder/context/git_source.h"
#include "builder/context/http_files.h"
#include "builder/exec/build_input.h"
#include "builder/exec/layer_draft.h"
#include "builder/plan/build_plan.h"

namespace strake::builder {

/// What ADD takes from the network: which version of it there is now, and then its files.
class FetchedSource {
 public:
  /// Asks the server for the current version; a file is downloaded if it is not the one fetched
  /// before, a repository is not yet. Throws as HttpFiles::fetch and resolve_git.
  FetchedSource(const plan::FetchFile& fetch, BuildInput& input, std::stop_token stop);
  FetchedSource(const plan::FetchGit& fetch, BuildInput& input, std::stop_token stop);

  /// What the files depend on: digest and time of a file, the commit and how it is checked out.
  const std::string& identity() const noexcept { return identity_; }

  /// Puts the files where the step wants them. The object must live until the draft is written.
  void put_into(LayerDraft& draft);

 private:
  void put_file(LayerDraft& draft);
  void put_repository(LayerDraft& draft);

  BuildInput& input_;
  std::stop_token stop_;
  std::string path_;  // layer path
  std::string identity_;
  std::optional<HttpFile> file_;
  GitUrl git_;
  GitRevision revision_;
  GitDirectory git_directory_ = GitDirectory::remove;
  base::TempDirectory work_;  // a repository's
  std::optional<base::RootedDirectory> root_;
};

/// identity() where it can be told without asking anybody, because the Dockerfile pins it: a
/// checksum (the time of the file is then of no account), or a whole commit name.
std::optional<std::string> pinned_identity(const plan::FetchFile& fetch);
std::optional<std::string> pinned_identity(const plan::FetchGit& fetch);

}  // namespace strake::builder
