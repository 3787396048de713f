#include "builder/exec/build_input.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "builder/context/source_auth.h"
#include "builder/dockerfile/limits.h"
#include "builder/dockerfile/parser.h"
#include "builder/dockerfile/source_url.h"
#include "builder/exec/layout_images.h"
#include "layers/base/error.h"
#include "layers/base/log.h"
#include "layers/blob_store.h"

namespace strake::builder {
namespace {

using base::Error;
using base::ErrorCode;

std::unique_ptr<base::ByteSource> standard_input() {
  base::FileDescriptor file(::fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3));
  if (!file) throw base::system_error(errno, "read", "stdin");
  return std::make_unique<base::FileSource>(std::move(file), "stdin");
}

SourceAccess access_of(const BuildRequest& request, Secrets& secrets) {
  SourceAccess access;
  access.secret = [&secrets](std::string_view id) -> std::optional<std::string> {
    const std::string* content = secrets.find(std::string(id));
    return content == nullptr ? std::nullopt : std::optional(*content);
  };
  for (const AgentSource& agent : request.agents)
    if (agent.id == "default") access.ssh_auth_sock = agent.socket;
  return access;
}

bool keeps_git_directory(const BuildRequest& request) {
  const auto given = request.build_args.find("BUILDKIT_CONTEXT_KEEP_GIT_DIR");
  return given != request.build_args.end() && (given->second == "1" || given->second == "true");
}

/// Its key in the planner's map: lower case, with the platform it is for.
std::string key_of(const NamedContext& context) {
  return context.platform ? context.name + "::" + context.platform->str() : context.name;
}

/// The name that stands for a layout on disk: no registry is ever asked for it.
oci::Reference layout_reference(const NamedContext& context) {
  return oci::parse_reference("localhost/image-layout/" +
                              base::Digest::of(context.value).hex().substr(0, 32));
}

}  // namespace

BuildInput::BuildInput(const BuildRequest& request, Machine& machine, Secrets& secrets,
                       std::stop_token stop)
    : request_(request),
      machine_(machine),
      stop_(stop),
      http_(machine.http, machine.store, machine.blobs),
      opener_{machine.store, machine.blobs, http_, access_of(request, secrets),
              keeps_git_directory(request)} {
  OpenedContext opened = opener_.open(request.context, standard_input(), stop);
  const bool fetched =
      dockerfile::classify_context(request.dockerfile.native()) == dockerfile::ContextKind::http;
  source_.emplace(request.dockerfile_text ? dockerfile::SourceFile("-", *request.dockerfile_text)
                  : fetched               ? fetch_dockerfile(request.dockerfile)
                                          : read_dockerfile(opened, request.dockerfile));
  file_ = dockerfile::parse(*source_);
  refuse_foreign_frontend();
  refuse_unknown_stages();
  name_ = opened.owned ? opened.shown + "#" + source_->path().string() : source_->path().string();
  commit_time_ = opened.commit_time;
  contexts_[""] = std::make_unique<BuildContext>(
      std::move(opened),
      request.dockerfile_text || fetched ? std::filesystem::path() : source_->path());
}

dockerfile::SourceFile BuildInput::fetch_dockerfile(const std::string& url) {
  const HttpFile file = http_.fetch({.url = url,
                                     .authorization = http_authorization(url, opener_.access),
                                     .limit_bytes = dockerfile::Limits().file_bytes},
                                    stop_);
  return {base::redacted(url),
          base::read_all(*machine_.blobs.open(file.blob), dockerfile::Limits().file_bytes, url)};
}

/// A misspelled stage would leave out what it was to run again.
void BuildInput::refuse_unknown_stages() const {
  std::vector<std::string> names;
  for (const dockerfile::Instruction& instruction : file_.instructions)
    if (const auto* from = std::get_if<dockerfile::From>(&instruction.operation))
      names.push_back(from->name.empty() ? "stage-" + std::to_string(names.size()) : from->name);
  for (const std::string& stage : request_.no_cache_stages) {
    if (std::find(names.begin(), names.end(), stage) != names.end()) continue;
    Error error(ErrorCode::invalid_input,
                "--no-cache-filter names " + base::quoted(stage) + ", which is no stage");
    const std::string near = base::nearest(stage, names);
    if (!near.empty()) error.set_hint("did you mean " + base::quoted(near) + "?");
    throw error;
  }
}

/// `# syntax=` may name another language than ours, which docker would run a frontend image for.
/// Docker's own Dockerfile frontend, from whichever mirror, is the language built in here.
void BuildInput::refuse_foreign_frontend() const {
  // docker lets this build argument stand in for the directive.
  const auto given = request_.build_args.find("BUILDKIT_SYNTAX");
  const std::string& syntax =
      given != request_.build_args.end() ? given->second : file_.directives.syntax;
  if (syntax.empty()) return;
  std::string name = syntax.substr(0, syntax.find('@'));
  const std::size_t slash = name.rfind('/');
  name = name.substr(0, name.find(':', slash == std::string::npos ? 0 : slash));
  for (const std::string own : {"docker/dockerfile", "docker/dockerfile-upstream"})
    if (name == own || name.ends_with("/" + own)) return;
  Error error(ErrorCode::unsupported, "the Dockerfile asks for the frontend " +
                                          base::quoted(syntax) +
                                          ", and strake runs no external frontends");
  if (file_.directives.syntax_where) error.set_location(*file_.directives.syntax_where);
  error.set_hint("remove the syntax line if the file is a plain Dockerfile");
  throw error;
}

const BuildContext& BuildInput::context(const std::string& name) {
  const std::lock_guard lock(mutex_);
  std::unique_ptr<BuildContext>& context = contexts_[name];
  if (context == nullptr) {
    const auto named = std::find_if(request_.contexts.begin(), request_.contexts.end(),
                                    [&](const auto& c) { return key_of(c) == name; });
    context = std::make_unique<BuildContext>(opener_.open(*named, stop_));
  }
  return *context;
}

GitRevision BuildInput::git_revision(const dockerfile::GitUrl& url,
                                     const std::filesystem::path& work) {
  const std::lock_guard lock(git_mutex_);
  const std::tuple key(url.remote, url.ref, url.checksum);
  if (const auto known = revisions_.find(key); known != revisions_.end()) return known->second;
  return revisions_.emplace(key, resolve_git(url, opener_.access, work, stop_)).first->second;
}

std::map<std::string, plan::NamedContext> BuildInput::named_contexts() const {
  std::map<std::string, plan::NamedContext> contexts;
  for (const NamedContext& context : request_.contexts) {
    plan::NamedContext& planned = contexts[key_of(context)];
    switch (context.kind) {
      case NamedContext::Kind::image:
        if (context.value == "scratch")
          planned = plan::EmptyContext{};
        else
          planned = oci::parse_reference(context.value);
        break;
      case NamedContext::Kind::oci_layout:
        planned = layout_reference(context);
        break;
      case NamedContext::Kind::target:
        planned = plan::StageContext{context.value};
        break;
      case NamedContext::Kind::directory:
      case NamedContext::Kind::git:
      case NamedContext::Kind::http:
        planned = plan::FileContext{};
        break;
    }
  }
  return contexts;
}

std::optional<plan::ResolvedImage> BuildInput::find_layout_image(
    const plan::ImageRequest& request) const {
  for (const NamedContext& context : request_.contexts)
    if (context.kind == NamedContext::Kind::oci_layout &&
        layout_reference(context) == request.image)
      return resolve_layout_image(context.value, request, machine_);
  return std::nullopt;
}

}  // namespace strake::builder
