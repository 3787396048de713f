#include "builder/exec/secrets.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "layers/base/error.h"
#include "layers/base/fd.h"
#include "layers/base/rooted_directory.h"

namespace strake::builder {
namespace {

using base::Error;
using base::ErrorCode;

/// A regular file, a pipe (`--secret src=<(…)`) or whatever else can be read to its end.
std::string read_secret_file(const SecretSource& source) {
  const std::string& path = source.file.native();
  try {
    const base::RootedDirectory parent = base::RootedDirectory::open_host(
        source.file.has_parent_path() ? source.file.parent_path().native() : ".");
    // The user's own path: a symlink may lead anywhere, as may /dev/fd/N.
    const base::FileDescriptor file(
        ::openat(parent.fd(), source.file.filename().c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY));
    if (!file) throw base::system_error(errno, "open", path);
    return base::read_all(file.get(), kMaxSecretBytes, path);
  } catch (Error& error) {
    error.add_context("reading the secret " + base::quoted(source.id));
    throw;
  }
}

}  // namespace

Secrets::Secrets(std::span<const SecretSource> sources) : sources_(sources.begin(), sources.end()) {
  for (const SecretSource& source : sources_)
    if (!source.value && ::access(source.file.c_str(), R_OK) != 0)
      throw base::system_error(errno, "read the secret " + base::quoted(source.id) + " from",
                               source.file.native());
}

const std::string* Secrets::find(const std::string& id) {
  const std::lock_guard lock(mutex_);
  if (const auto known = known_.find(id); known != known_.end()) return &known->second;
  // As everywhere, the last of several options counts.
  const auto source =
      std::find_if(sources_.rbegin(), sources_.rend(), [&](const auto& s) { return s.id == id; });
  if (source == sources_.rend()) return nullptr;
  std::string content = source->value ? *source->value : read_secret_file(*source);
  if (content.size() > kMaxSecretBytes)
    throw Error(ErrorCode::invalid_input,
                "the secret " + base::quoted(id) + " is larger than 500 KiB");
  return &known_.emplace(id, std::move(content)).first->second;
}

std::vector<std::string> Secrets::ids() const {
  std::vector<std::string> ids;
  for (const SecretSource& source : sources_) ids.push_back(source.id);
  return ids;
}

}  // namespace strake::builder
