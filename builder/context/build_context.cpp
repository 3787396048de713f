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

}  // namespace

dockerfile::SourceFile read_dockerfile(const std::filesystem::path& context,
                                       const std::filesystem::path& given) {
  const std::size_t limit = dockerfile::Limits().file_bytes;
  if (!given.empty()) {
    if (auto text = read_user_file(given, limit)) return {given, std::move(*text)};
    throw Error(ErrorCode::not_found, "no Dockerfile at " + base::quoted(given.string()))
        .hint("check the path given with --file; it is relative to the current directory");
  }
  for (const char* name : {"Dockerfile", "Containerfile", "dockerfile"}) {
    const std::filesystem::path path = context / name;
    if (auto text = read_user_file(path, limit)) return {path, std::move(*text)};
  }
  throw Error(ErrorCode::not_found,
              "no Dockerfile or Containerfile in " + base::quoted(context.string()))
      .hint("name the file with --file, or the directory that holds it");
}

BuildContext::BuildContext(const std::filesystem::path& directory, std::filesystem::path dockerfile)
    : directory_(std::filesystem::absolute(directory).lexically_normal()),
      dockerfile_(std::move(dockerfile)),
      root_(base::RootedDirectory::open_host(directory.string())) {}

const dockerfile::IgnoreMatcher& BuildContext::ignored() const {
  if (ignored_) return *ignored_;
  const std::filesystem::path beside = dockerfile_.string() + ".dockerignore";
  std::filesystem::path path = beside;
  std::optional<std::string> text;
  if (!dockerfile_.empty()) text = read_user_file(beside, dockerfile::kMaxIgnoreFileBytes);
  if (!text) {
    path = directory_ / ".dockerignore";
    if (const auto file = root_.try_open(".dockerignore", O_RDONLY))
      text = base::read_all(file->get(), dockerfile::kMaxIgnoreFileBytes, path.string());
  }
  const dockerfile::SourceFile source(path, text.value_or(""));
  ignored_.emplace(dockerfile::parse_ignore_file(source), &source);
  return *ignored_;
}

}  // namespace strake::builder
