#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <tuple>

#include "builder/context/build_context.h"
#include "builder/context/git_source.h"
#include "builder/context/http_files.h"
#include "builder/dockerfile/instruction.h"
#include "builder/dockerfile/source.h"
#include "builder/exec/build.h"
#include "builder/exec/machine.h"
#include "builder/plan/stage_graph.h"

namespace strake::builder {

/// What a build reads: its Dockerfile, its context, its named contexts, and what ADD fetches.
class BuildInput {
 public:
  /// Opens (or fetches) the context and reads the Dockerfile. The references must outlive the
  /// object. Throws Error with the place in the Dockerfile where there is one.
  BuildInput(const BuildRequest& request, Machine& machine, Secrets& secrets, std::stop_token stop);

  const dockerfile::SourceFile& source() const noexcept { return *source_; }
  const dockerfile::Dockerfile& file() const noexcept { return file_; }
  /// The same Dockerfile gets the same name in each build.
  const std::string& name() const noexcept { return name_; }
  /// Seconds since 1970 of the commit that the context is, if it is one.
  std::optional<std::int64_t> commit_time() const noexcept { return commit_time_; }

  /// The context of this name, "" for the build context; opened or fetched when it is first asked
  /// for. From any thread.
  const BuildContext& context(const std::string& name);

  /// --build-context for the planner.
  std::map<std::string, plan::NamedContext> named_contexts() const;
  /// The image, if the request came from a named context that is an image layout on disk.
  std::optional<plan::ResolvedImage> find_layout_image(const plan::ImageRequest& request) const;

  /// Which commit `url` means in this build, for all its platforms: asked for once. `work` is an
  /// empty directory of ours. From any thread; throws as resolve_git.
  GitRevision git_revision(const dockerfile::GitUrl& url, const std::filesystem::path& work);

  const ContextOpener& opener() const noexcept { return opener_; }
  HttpFiles& http() noexcept { return http_; }

 private:
  dockerfile::SourceFile fetch_dockerfile(const std::string& url);
  void refuse_foreign_frontend() const;
  void refuse_unknown_stages() const;

  const BuildRequest& request_;
  Machine& machine_;
  std::stop_token stop_;
  HttpFiles http_;
  ContextOpener opener_;
  std::optional<dockerfile::SourceFile> source_;
  dockerfile::Dockerfile file_;
  std::string name_;
  std::optional<std::int64_t> commit_time_;
  std::mutex mutex_;  // guards what follows
  std::map<std::string, std::unique_ptr<BuildContext>> contexts_;
  std::mutex git_mutex_;  // guards what follows
  std::map<std::tuple<std::string, std::string, std::string>, GitRevision> revisions_;
};

}  // namespace strake::builder
