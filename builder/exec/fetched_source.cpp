#include "builder/exec/fetched_source.h"

#include <fcntl.h>

#include "builder/context/source_auth.h"
#include "builder/exec/copy_files.h"
#include "builder/exec/copy_selection.h"
#include "builder/exec/layer_paths.h"
#include "layers/base/error.h"
#include "layers/blob_store.h"
#include "layers/store.h"

namespace strake::builder {
namespace {

using dockerfile::GitMtime;
using dockerfile::is_commit_name;

constexpr std::uint32_t kFetchedMode = 0600;

GitUrl git_url_of(const plan::FetchGit& fetch) {
  GitUrl url = *dockerfile::parse_git_url(fetch.url);
  if (url.checksum.empty()) url.checksum = fetch.checksum;
  return url;
}

std::string git_identity(const GitUrl& url, const std::string& commit, GitDirectory git_directory) {
  std::string text = "git " + commit + " " + url.subdir;
  if (!url.submodules.value_or(true)) text += " without submodules";
  if (url.mtime == GitMtime::checkout) text += " mtime=checkout";
  // The directory knows where it came from.
  if (git_directory == GitDirectory::keep) text += " with .git of " + url.remote + " " + url.ref;
  return text;
}

GitDirectory git_directory_of(const plan::FetchGit& fetch, const GitUrl& url) {
  return url.keep_git_dir.value_or(fetch.keep_git_dir) ? GitDirectory::keep : GitDirectory::remove;
}

}  // namespace

std::optional<std::string> pinned_identity(const plan::FetchFile& fetch) {
  if (fetch.checksum.empty()) return std::nullopt;
  return "file " + parse_checksum(fetch.checksum).str();
}

std::optional<std::string> pinned_identity(const plan::FetchGit& fetch) {
  const GitUrl url = git_url_of(fetch);
  const std::string& commit = is_commit_name(url.ref) ? url.ref : url.checksum;
  if (!is_commit_name(commit)) return std::nullopt;
  return git_identity(url, commit, git_directory_of(fetch, url));
}

FetchedSource::FetchedSource(const plan::FetchFile& fetch, BuildInput& input, std::stop_token stop)
    : input_(input), stop_(std::move(stop)), path_(layer_path(fetch.path)) {
  HttpFileRequest request{.url = fetch.url,
                          .authorization = http_authorization(fetch.url, input.opener().access)};
  if (!fetch.checksum.empty()) request.checksum = parse_checksum(fetch.checksum);
  file_ = input.http().fetch(request, stop_);
  identity_ = pinned_identity(fetch).value_or("file " + file_->blob.digest.str() + " of " +
                                              std::to_string(file_->last_modified.value_or(0)));
}

FetchedSource::FetchedSource(const plan::FetchGit& fetch, BuildInput& input, std::stop_token stop)
    : input_(input), stop_(std::move(stop)), path_(layer_path(fetch.path)) {
  git_ = git_url_of(fetch);
  git_directory_ = git_directory_of(fetch, git_);
  work_ = input.opener().store.make_ingest("git-");
  revision_ = input.git_revision(git_, work_.path());
  identity_ = git_identity(git_, revision_.commit, git_directory_);
}

void FetchedSource::put_into(LayerDraft& draft) {
  if (file_)
    put_file(draft);
  else
    put_repository(draft);
}

void FetchedSource::put_file(LayerDraft& draft) {
  layers::TarEntry entry;
  entry.path = path_;
  entry.mode = kFetchedMode;
  entry.size_bytes = file_->blob.size;
  entry.mtime.tv_sec = file_->last_modified.value_or(0);
  draft.require_directory(parent_path(path_), {});
  SourceFile file;
  file.path = path_;
  file.opened =
      std::make_shared<const base::FileDescriptor>(input_.opener().blobs.open_file(file_->blob));
  file.stamp.size_bytes = file_->blob.size;
  draft.put(std::move(entry), {.file = std::move(file)});
}

/// Owned by root, as files of a build context are.
void FetchedSource::put_repository(LayerDraft& draft) {
  const GitTree tree =
      checkout_git(git_, revision_, git_directory_, input_.opener().access, work_.path(), stop_);
  root_ = base::RootedDirectory::open_host(tree.directory.native());
  plan::Copy everything;
  everything.sources = {"/"};
  everything.destination = "/" + path_ + "/";
  const CopySource source{.root = *root_, .is_context = true, .shown_name = "the repository"};
  const base::RootedDirectory& below = draft.below();
  UnpackedArchives none;
  draft_copy(everything, select_files(everything, source), source, below, input_.opener().store,
             none, draft);
}

}  // namespace strake::builder
