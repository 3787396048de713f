#include "builder/context/remote_context.h"

#include <fcntl.h>

#include "builder/context/archive_context.h"
#include "builder/context/git_source.h"
#include "builder/dockerfile/limits.h"
#include "builder/dockerfile/source_url.h"
#include "layers/base/error.h"
#include "layers/base/rooted_directory.h"
#include "layers/base/stream.h"
#include "layers/blob_store.h"
#include "layers/store.h"

namespace strake::builder {
namespace {

using dockerfile::classify_context;
using dockerfile::ContextKind;
using dockerfile::parse_git_context;
using dockerfile::shown_url;

using base::Error;
using base::ErrorCode;
namespace fs = std::filesystem;

/// The one file of a context that is a URL (its name is BuildKit's).
constexpr const char* kOnlyFile = "context";

bool is_directory(const std::string& path) {
  std::error_code unreadable;  // then it is none that can be built from
  return fs::is_directory(path, unreadable);
}

OpenedContext open_directory(const std::string& path) {
  if (!is_directory(path))
    throw Error(ErrorCode::not_found, base::quoted(path) + " is no directory: there is no context")
        .hint("name a directory, a git repository or a URL, or \"-\" for stdin");
  OpenedContext context;
  context.directory = path;
  context.shown = path;
  return context;
}

/// A context in an ingest directory, still empty.
OpenedContext fresh_context(const layers::Store& store, std::string shown) {
  OpenedContext context;
  context.owned = store.make_ingest("context");
  context.directory = context.owned.path() / "root";
  base::make_directories(context.directory);
  context.shown = std::move(shown);
  context.apply_ignore_file = false;
  return context;
}

/// Fills `context` with what `bytes` are: an archive, or a Dockerfile and no files.
void fill(OpenedContext& context, std::unique_ptr<base::ByteSource> bytes) {
  Beginning whole = look_at_beginning(std::move(bytes), kArchiveSniffBytes);
  if (whole.bytes.empty())
    throw Error(ErrorCode::invalid_input, context.shown + " is empty: there is no Dockerfile");
  try {
    if (looks_like_archive(whole.bytes)) {
      unpack_archive(std::move(whole.stream), context.directory);
    } else {
      context.dockerfile_text =
          base::read_all(*whole.stream, dockerfile::Limits().file_bytes, context.shown);
    }
  } catch (Error& error) {
    error.add_context("reading the context from " + context.shown);
    throw;
  }
}

void write_only_file(const fs::path& directory, base::ByteSource& content,
                     std::optional<std::int64_t> mtime) {
  const base::RootedDirectory root = base::RootedDirectory::open_host(directory.native());
  const base::FileDescriptor file = root.create_file(kOnlyFile, 0600);
  base::FdSink sink(file.get(), kOnlyFile);
  base::copy(content, sink);
  root.set_mtime(kOnlyFile, {.tv_sec = mtime.value_or(0), .tv_nsec = 0});
}

}  // namespace

OpenedContext ContextOpener::open(const std::string& operand,
                                  std::unique_ptr<base::ByteSource> standard_input,
                                  std::stop_token stop) const {
  if (operand != "-" && is_directory(operand)) return open_directory(operand);
  switch (classify_context(operand)) {
    case ContextKind::directory:
      break;
    case ContextKind::git:
      return open_git(*parse_git_context(operand), keep_git_dir, std::move(stop));
    case ContextKind::stdin_bytes: {
      OpenedContext context = fresh_context(store, "stdin");
      fill(context, std::move(standard_input));
      return context;
    }
    case ContextKind::http: {
      const HttpFile file = http.fetch(
          {.url = operand, .authorization = http_authorization(operand, access)}, std::move(stop));
      OpenedContext context = fresh_context(store, shown_url(operand));
      fill(context, blobs.open(file.blob));
      return context;
    }
  }
  return open_directory(operand);
}

OpenedContext ContextOpener::open(const NamedContext& named, std::stop_token stop) const {
  switch (named.kind) {
    case NamedContext::Kind::directory:
      return open_directory(named.value);
    case NamedContext::Kind::git:
      if (is_directory(named.value)) return open_directory(named.value);
      return open_git(*parse_git_context(named.value), keep_git_dir, std::move(stop));
    case NamedContext::Kind::http: {
      const HttpFile file =
          http.fetch({.url = named.value, .authorization = http_authorization(named.value, access)},
                     std::move(stop));
      OpenedContext context = fresh_context(store, shown_url(named.value));
      write_only_file(context.directory, *blobs.open(file.blob), file.last_modified);
      return context;
    }
    case NamedContext::Kind::image:
    case NamedContext::Kind::oci_layout:
    case NamedContext::Kind::target:
      break;
  }
  throw Error(ErrorCode::unsupported,
              "build context " + base::quoted(named.name) + " is an image, not a directory");
}

OpenedContext ContextOpener::open_git(const GitUrl& url, bool keep_git_directory,
                                      std::stop_token stop) const {
  OpenedContext context = fresh_context(store, shown_url(url.remote));
  const GitRevision revision = resolve_git(url, access, context.directory, stop);
  const bool keep = url.keep_git_dir.value_or(keep_git_directory);
  GitTree tree = checkout_git(url, revision, keep ? GitDirectory::keep : GitDirectory::remove,
                              access, context.directory, std::move(stop));
  context.directory = std::move(tree.directory);
  context.commit = std::move(tree.commit);
  context.commit_time = tree.commit_time;
  return context;
}

}  // namespace strake::builder
