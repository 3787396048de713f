#include "builder/context/build_context.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "builder/dockerfile/limits.h"
#include "layers/base/error.h"
#include "layers/base/fd.h"
#include "layers/base/files.h"

namespace strake::builder {
namespace {

using base::Error;
using base::ErrorCode;

/// A text file named by the user, or nullopt if it is not there. Never waits for a FIFO's writer.
std::optional<std::string> read_user_file(const std::filesystem::path& path, std::size_t limit) {
  const base::FileDescriptor file(
      ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK));
  if (!file) {
    if (errno == ENOENT || errno == ENOTDIR) return std::nullopt;
    throw base::system_error(errno, "open", path.string());
  }
  struct ::stat status;
  if (::fstat(file.get(), &status) != 0) throw base::system_error(errno, "read", path.string());
  if (S_ISDIR(status.st_mode))
    throw Error(ErrorCode::invalid_input, base::quoted(path.string()) + " is a directory");
  return base::read_all(file.get(), limit, path.string());
}

constexpr const char* kDefaultNames[] = {"Dockerfile", "Containerfile", "dockerfile"};

dockerfile::SourceFile read_from_directory(const std::filesystem::path& context,
                                           const std::filesystem::path& given) {
  const std::size_t limit = dockerfile::Limits().file_bytes;
  if (!given.empty()) {
    if (auto text = read_user_file(given, limit)) return {given, std::move(*text)};
    throw Error(ErrorCode::not_found, "no Dockerfile at " + base::quoted(given.string()))
        .hint("check the path given with --file; it is relative to the current directory");
  }
  for (const char* name : kDefaultNames) {
    const std::filesystem::path path = context / name;
    if (auto text = read_user_file(path, limit)) return {path, std::move(*text)};
  }
  throw Error(ErrorCode::not_found,
              "no Dockerfile or Containerfile in " + base::quoted(context.string()))
      .hint("name the file with --file, or the directory that holds it");
}

/// What came from elsewhere is not trusted: no symlink of it leads out.
dockerfile::SourceFile read_from_fetched(const OpenedContext& context,
                                         const std::filesystem::path& given) {
  const base::RootedDirectory root = base::RootedDirectory::open_host(context.directory.native());
  std::vector<std::filesystem::path> names{given};
  if (given.empty()) names.assign(std::begin(kDefaultNames), std::end(kDefaultNames));
  for (const std::filesystem::path& name : names) {
    const auto status = root.stat(name.native());
    if (!status || !S_ISREG(status->st_mode)) continue;
    const base::FileDescriptor file = root.open(name.native(), O_RDONLY | O_NOCTTY);
    return {name, base::read_all(file.get(), dockerfile::Limits().file_bytes, name.native())};
  }
  throw Error(ErrorCode::not_found, "no " + (given.empty() ? "Dockerfile" : given.string()) +
                                        " in the context from " + context.shown)
      .hint("name the file with --file; it is a path in the context");
}

}  // namespace

dockerfile::SourceFile read_dockerfile(const OpenedContext& context,
                                       const std::filesystem::path& given) {
  if (context.dockerfile_text && given.empty())
    return {context.shown == "stdin" ? "-" : context.shown, *context.dockerfile_text};
  return context.owned ? read_from_fetched(context, given)
                       : read_from_directory(context.directory, given);
}

BuildContext::BuildContext(OpenedContext opened, std::filesystem::path dockerfile)
    : opened_(std::move(opened)),
      directory_(std::filesystem::absolute(opened_.directory).lexically_normal()),
      dockerfile_(std::move(dockerfile)),
      root_(base::RootedDirectory::open_host(opened_.directory.string())) {}

const dockerfile::IgnoreMatcher& BuildContext::ignored() const {
  if (ignored_) return *ignored_;
  std::filesystem::path path = dockerfile_.string() + ".dockerignore";
  std::optional<std::string> text;
  if (opened_.apply_ignore_file) {
    if (!dockerfile_.empty()) text = read_user_file(path, dockerfile::kMaxIgnoreFileBytes);
    if (!text) {
      path = directory_ / ".dockerignore";
      if (const auto file = root_.try_open(".dockerignore", O_RDONLY))
        text = base::read_all(file->get(), dockerfile::kMaxIgnoreFileBytes, path.string());
    }
  }
  const dockerfile::SourceFile source(path, text.value_or(""));
  ignored_.emplace(dockerfile::parse_ignore_file(source), &source);
  return *ignored_;
}

}  // namespace strake::builder
