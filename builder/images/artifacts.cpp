#include "builder/images/artifacts.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>

#include "layers/base/error.h"
#include "registry/client.h"

namespace strake::builder {
namespace {

using base::Error;
using base::ErrorCode;

constexpr std::string_view kEmptyJson = "{}";
constexpr std::string_view kEmptyType = "application/vnd.oci.empty.v1+json";
constexpr const char* kTitle = "org.opencontainers.image.title";

std::unique_ptr<base::ByteSource> open_file(const std::string& path, std::uint64_t offset) {
  base::FileDescriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK));
  if (!file) throw base::system_error(errno, "open", path);
  struct ::stat status;
  if (::fstat(file.get(), &status) != 0) throw base::system_error(errno, "read", path);
  if (!S_ISREG(status.st_mode))
    throw Error(ErrorCode::invalid_input, base::quoted(path) + " is not a file")
        .hint("pack a directory into an archive first");
  if (::lseek(file.get(), static_cast<off_t>(offset), SEEK_SET) < 0)
    throw base::system_error(errno, "read", path);
  return std::make_unique<base::FileSource>(std::move(file), path);
}

oci::Descriptor describe(const AttachedFile& file) {
  base::HashingSink sink;
  base::copy(*open_file(file.path, 0), sink);
  oci::Descriptor blob{.media_type = file.media_type, .digest = {}, .size = sink.size_bytes()};
  blob.digest = sink.finish();
  blob.annotations[kTitle] = std::filesystem::path(file.path).filename().native();
  return blob;
}

oci::Descriptor empty_blob() {
  return {.media_type = std::string(kEmptyType),
          .digest = base::Digest::of(kEmptyJson),
          .size = kEmptyJson.size()};
}

}  // namespace

oci::Document<oci::Manifest> attach_files(registry::Client& client, const oci::Reference& subject,
                                          const std::string& artifact_type,
                                          std::span<const AttachedFile> files,
                                          const std::map<std::string, std::string>& annotations,
                                          const CopyOptions& options) {
  oci::Manifest manifest{.config = empty_blob(), .layers = {}};
  manifest.annotations = annotations;
  manifest.artifact_type = artifact_type;
  manifest.subject = client.resolve(subject, options.stop, registry::Mirrors::passed_by);
  const oci::Repository& repository = subject.repository;
  registry::BlobUploader uploader(client, repository,
                                  {.progress = options.progress, .stop = options.stop});
  for (const AttachedFile& file : files) {
    manifest.layers.push_back(describe(file));
    uploader.enqueue(
        {.blob = manifest.layers.back(),
         .open = [path = file.path](std::uint64_t offset) { return open_file(path, offset); }});
  }
  // Registries want a layer, and know this one.
  if (manifest.layers.empty()) manifest.layers.push_back(empty_blob());
  uploader.enqueue({.blob = empty_blob(), .open = [](std::uint64_t offset) {
                      return std::make_unique<base::StringSource>(
                          std::string(kEmptyJson.substr(static_cast<std::size_t>(offset))));
                    }});
  uploader.wait_all();
  auto document = oci::make_manifest(std::move(manifest));
  client.push_referrer(repository, document, options.stop);
  return document;
}

}  // namespace strake::builder
