#include "layers/image_layout.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "layers/archive/tar_writer.h"
#include "layers/base/error.h"
#include "layers/base/files.h"
#include "layers/oci/json.h"
#include "layers/oci/reference.h"

namespace strake::layers {
namespace fs = std::filesystem;
using base::Error;
using base::ErrorCode;
using base::system_error;
using nlohmann::ordered_json;

namespace {

constexpr std::string_view kLayoutFile = R"({"imageLayoutVersion":"1.0.0"})";
constexpr const char* kImageName = "io.containerd.image.name";
constexpr const char* kRefName = "org.opencontainers.image.ref.name";

std::string blob_path(const base::Digest& digest) {
  return "blobs/sha256/" + digest.hex();
}

/// What index.json says about the image: an entry a name, or one without.
std::vector<oci::Descriptor> index_entries(const LayoutImage& image) {
  std::vector<oci::Descriptor> entries;
  for (const std::string& name : image.references) {
    oci::Descriptor entry = image.root;
    entry.annotations[kImageName] = name;
    if (const auto tag = oci::parse_reference(name).tag) entry.annotations[kRefName] = *tag;
    entries.push_back(std::move(entry));
  }
  for (const std::string& tag : image.tags) {
    entries.push_back(image.root);
    entries.back().annotations[kRefName] = tag;
  }
  if (entries.empty()) entries.push_back(image.root);
  return entries;
}

std::string annotation(const oci::Descriptor& descriptor, const char* key) {
  const auto found = descriptor.annotations.find(key);
  return found == descriptor.annotations.end() ? "" : found->second;
}

/// The whole reference, or the tag of an entry that has no other name.
std::string name_of(const oci::Descriptor& entry) {
  const std::string reference = annotation(entry, kImageName);
  return reference.empty() ? annotation(entry, kRefName) : reference;
}

/// Blobs and documents of an image, each once, in the order in which they may appear: nothing names
/// what is not there yet.
template <typename Blob, typename Document>
void for_each_blob(const LayoutImage& image, const Blob& blob, const Document& document) {
  std::set<base::Digest> seen;
  for (const auto& manifest : image.manifests) {
    for (const oci::Descriptor& layer : manifest.value.layers)
      if (seen.insert(layer.digest).second) blob(layer);
    if (seen.insert(manifest.value.config.digest).second) blob(manifest.value.config);
  }
  for (const auto& manifest : image.manifests)
    if (seen.insert(manifest.descriptor.digest).second)
      document(manifest.descriptor, manifest.bytes);
  for (const auto& index : image.indexes)
    if (seen.insert(index.descriptor.digest).second) document(index.descriptor, index.bytes);
}

void make_output_directory(const fs::path& path) {
  std::error_code error;
  fs::create_directories(path, error);
  if (error) throw system_error(error.value(), "create directory", path.native());
}

/// A file of the layout, written beside its name and renamed when it is whole.
void write_blob_file(const fs::path& path, const oci::Descriptor& blob, const BlobStreamer& blobs) {
  struct ::stat status;
  if (::lstat(path.c_str(), &status) == 0 && S_ISREG(status.st_mode) &&
      static_cast<std::uint64_t>(status.st_size) == blob.size)
    return;
  const fs::path unfinished = path.parent_path() / (".strake-" + base::random_name());
  constexpr int kFlags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
  const base::FileDescriptor file(::open(unfinished.c_str(), kFlags, 0644));
  if (!file) throw system_error(errno, "create", unfinished.native());
  try {
    base::FdSink sink(file.get(), path.native());
    blobs(blob, sink);
    if (::fstat(file.get(), &status) != 0 ||
        static_cast<std::uint64_t>(status.st_size) != blob.size)
      throw Error(ErrorCode::corrupt, "blob " + blob.digest.str() + " has another size than the " +
                                          std::to_string(blob.size) + " bytes it should have");
    if (::rename(unfinished.c_str(), path.c_str()) != 0)
      throw system_error(errno, "create", path.native());
  } catch (const Error&) {
    ::unlink(unfinished.c_str());
    throw;
  }
}

oci::Index read_index(const fs::path& path) {
  const std::optional<std::string> text = base::read_file(path);
  if (!text) return {};
  auto document = oci::parse_manifest(*text, oci::media_type::kOciIndex);
  return std::get<oci::Index>(std::move(document.value));
}

/// Takes from `index` what the new entries replace: their names, and their own former entries.
void remove_replaced(oci::Index& index, const std::vector<oci::Descriptor>& entries) {
  std::erase_if(index.manifests, [&](const oci::Descriptor& old) {
    return std::ranges::any_of(entries, [&](const oci::Descriptor& entry) {
      const std::string name = name_of(entry);
      return name_of(old) == name && (!name.empty() || old.digest == entry.digest);
    });
  });
}

/// Gives pieces of a tar member to the writer.
class MemberSink final : public base::ByteSink {
 public:
  explicit MemberSink(TarWriter& tar) : tar_(tar) {}
  void write(std::span<const std::byte> bytes) override { tar_.write(bytes); }

 private:
  TarWriter& tar_;
};

TarEntry member(std::string path, std::uint64_t size_bytes) {
  TarEntry entry;
  entry.path = std::move(path);
  entry.size_bytes = size_bytes;
  return entry;
}

void add_directory(TarWriter& tar, std::string path) {
  TarEntry entry;
  entry.path = std::move(path);
  entry.type = EntryType::directory;
  entry.mode = 0755;
  tar.add(entry);
}

void add_text(TarWriter& tar, std::string path, std::string_view text) {
  tar.begin(member(std::move(path), text.size()));
  tar.write(base::bytes_of(text));
}

void add_blobs(TarWriter& tar, const LayoutImage& image, const BlobStreamer& blobs) {
  add_directory(tar, "blobs");
  add_directory(tar, "blobs/sha256");
  for_each_blob(
      image,
      [&](const oci::Descriptor& blob) {
        tar.begin(member(blob_path(blob.digest), blob.size));
        MemberSink sink(tar);
        blobs(blob, sink);
      },
      [&](const oci::Descriptor& document, const std::string& bytes) {
        add_text(tar, blob_path(document.digest), bytes);
      });
}

void add_index(TarWriter& tar, const LayoutImage& image) {
  add_text(tar, "index.json", oci::make_index({.manifests = index_entries(image)}).bytes);
  add_text(tar, "oci-layout", kLayoutFile);
}

}  // namespace

void write_image_layout(const fs::path& path, const LayoutImage& image, const BlobStreamer& blobs) {
  make_output_directory(path / "blobs" / "sha256");
  const auto write_document = [&](const oci::Descriptor& document, const std::string& bytes) {
    write_blob_file(
        path / blob_path(document.digest), document,
        [&](const oci::Descriptor&, base::ByteSink& to) { to.write(base::bytes_of(bytes)); });
  };
  for_each_blob(
      image,
      [&](const oci::Descriptor& blob) {
        write_blob_file(path / blob_path(blob.digest), blob, blobs);
      },
      write_document);
  base::write_file_atomically(path / "oci-layout", kLayoutFile, 0644, base::Durability::none);

  oci::Index index = read_index(path / "index.json");
  std::vector<oci::Descriptor> entries = index_entries(image);
  remove_replaced(index, entries);
  std::ranges::move(entries, std::back_inserter(index.manifests));
  base::write_file_atomically(path / "index.json", oci::make_index(std::move(index)).bytes, 0644,
                              base::Durability::none);
}

void write_image_layout_tar(TarWriter& tar, const LayoutImage& image, const BlobStreamer& blobs) {
  add_blobs(tar, image, blobs);
  add_index(tar, image);
}

void write_docker_archive(TarWriter& tar, const LayoutImage& image, const BlobStreamer& blobs) {
  if (image.manifests.size() != 1)
    throw Error(ErrorCode::invalid_input, "a docker archive holds one platform, not " +
                                              std::to_string(image.manifests.size()))
        .hint("build a single platform, or write an OCI archive");
  const oci::Manifest& manifest = image.manifests.front().value;
  ordered_json layers = ordered_json::array(), tags = ordered_json::array();
  for (const oci::Descriptor& layer : manifest.layers) layers.push_back(blob_path(layer.digest));
  for (const std::string& name : image.references)
    tags.push_back(oci::parse_reference(name).familiar());
  const ordered_json images = ordered_json::array({{{"Config", blob_path(manifest.config.digest)},
                                                    {"RepoTags", std::move(tags)},
                                                    {"Layers", std::move(layers)}}});
  add_blobs(tar, image, blobs);
  add_text(tar, "manifest.json", images.dump());
  add_index(tar, image);
}

ImageLayout::ImageLayout(base::RootedDirectory directory) : directory_(std::move(directory)) {
  const auto read_file = [&](const char* name) {
    const auto file = directory_.try_open(name, O_RDONLY);
    if (!file)
      throw Error(ErrorCode::corrupt,
                  base::quoted(directory_.name()) + " is not an image layout: it has no " + name);
    return base::read_all(file->get(), 4 << 20, name);
  };
  const auto layout = oci::parse_json(read_file("oci-layout"), "oci-layout");
  if (const std::string version = oci::string_member(layout, "imageLayoutVersion");
      !version.starts_with("1."))
    throw Error(ErrorCode::corrupt,
                "image layout version " + base::quoted(version) + " is not known");
  auto document = oci::parse_manifest(read_file("index.json"), oci::media_type::kOciIndex);
  index_ = std::get<oci::Index>(std::move(document.value));
}

std::optional<oci::Descriptor> find_image(const oci::Index& index, std::string_view name) {
  const auto matches = [name](const oci::Descriptor& entry) {
    return name.empty() || annotation(entry, kImageName) == name ||
           annotation(entry, kRefName) == name || entry.digest.str() == name;
  };
  const auto first = std::ranges::find_if(index.manifests, matches);
  if (first == index.manifests.end()) return std::nullopt;
  const bool several = std::any_of(first + 1, index.manifests.end(), [&](const auto& entry) {
    return matches(entry) && entry.digest != first->digest;
  });
  if (several) return std::nullopt;
  return *first;
}

std::unique_ptr<base::ByteSource> ImageLayout::open(const oci::Descriptor& blob) const {
  const std::string path = blob_path(blob.digest);
  std::optional<base::FileDescriptor> file = directory_.try_open(path, O_RDONLY);
  if (!file)
    throw Error(ErrorCode::not_found, "blob " + blob.digest.str() + " is not in the image layout " +
                                          base::quoted(directory_.name()));
  return std::make_unique<base::VerifyingSource>(
      std::make_unique<base::FileSource>(std::move(*file), path), blob.digest, blob.size,
      "blob " + blob.digest.str());
}

std::string ImageLayout::read(const oci::Descriptor& blob, std::size_t limit_bytes) const {
  return base::read_all(*open(blob), limit_bytes, "blob " + blob.digest.str());
}

}  // namespace strake::layers
