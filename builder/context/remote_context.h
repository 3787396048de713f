#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>

#include "builder/context/http_files.h"
#include "builder/context/named_context.h"
#include "builder/context/source_auth.h"
#include "layers/base/files.h"
#include "layers/base/stream.h"

namespace strake::layers {
class Store;
class BlobStore;
}  // namespace strake::layers

namespace strake::builder {

/// A context that is ready to be read. What was fetched or unpacked for it goes with the object.
struct OpenedContext {
  std::filesystem::path directory;
  std::optional<std::string>
      dockerfile_text;            // the operand was a Dockerfile; the directory is empty
  std::string shown;              // for messages: "https://host/repo.git#main"
  bool apply_ignore_file = true;  // false: .dockerignore means nothing (git, URLs, archives)
  std::string commit;             // of a git context
  std::optional<std::int64_t> commit_time;  // seconds since 1970
  base::TempDirectory owned;                // in ingest/
};

/// What opening contexts needs. The references must outlive the calls.
struct ContextOpener {
  const layers::Store& store;
  const layers::BlobStore& blobs;
  HttpFiles& http;
  SourceAccess access;
  /// --build-arg BUILDKIT_CONTEXT_KEEP_GIT_DIR=1
  bool keep_git_dir = false;

  /// The context operand of the command line: a directory, "-" (a Dockerfile or an archive from
  /// `standard_input`), a git repository, or a URL of a Dockerfile or archive. A directory of that
  /// name goes first. Throws as the parts do; Error(not_found) for a directory that is not there.
  OpenedContext open(const std::string& operand, std::unique_ptr<base::ByteSource> standard_input,
                     std::stop_token stop) const;

  /// A named context of kind directory, git or http (a directory with the one file "context", never
  /// unpacked). Other kinds are images or stages: not for here.
  OpenedContext open(const NamedContext& context, std::stop_token stop) const;

  /// A git repository, for ADD and contexts: its files in `OpenedContext::directory`. For ADD,
  /// whose key needs the commit before anything is fetched, there are resolve_git and checkout_git.
  OpenedContext open_git(const GitUrl& url, bool keep_git_directory, std::stop_token stop) const;
};

}  // namespace strake::builder
