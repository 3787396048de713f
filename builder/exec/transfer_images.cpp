#include "builder/exec/transfer_images.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "builder/dockerfile/parser.h"
#include "builder/exec/assemble.h"
#include "builder/exec/base_images.h"
#include "builder/exec/layer_fetcher.h"
#include "builder/exec/publisher.h"
#include "builder/output/outputs.h"
#include "builder/plan/planner.h"
#include "layers/archive/compression.h"
#include "layers/base/error.h"
#include "layers/blob_store.h"
#include "layers/image_store.h"
#include "layers/layer_store.h"
#include "layers/snapshot/apply.h"

namespace strake::builder {
namespace {

using base::Error;
using base::ErrorCode;

// ---- Push --------------------------------------------------------------------------------------

std::string require_blob(const oci::Descriptor& blob, Machine& machine) {
  if (auto bytes = machine.blobs.read(blob.digest)) return std::move(*bytes);
  throw Error(ErrorCode::corrupt, "the store has lost " + blob.digest.str())
      .hint("pull or build the image again");
}

AssembledImage load_image(const layers::PlatformImage& stored, Machine& machine) {
  AssembledImage image;
  image.config_json = require_blob(stored.config, machine);
  image.config = oci::parse_image_config(image.config_json);
  image.config_blob = stored.config;
  image.layers = stored.layers;
  return image;
}

/// The manifest an image has, as it came, or one made for it.
oci::Document<oci::Manifest> load_manifest(const layers::PlatformImage& stored,
                                           const AssembledImage& image, const BlobOptions& options,
                                           Machine& machine) {
  if (stored.manifest) {
    if (auto bytes = machine.blobs.read(stored.manifest->digest)) {
      auto document = oci::parse_manifest(std::move(*bytes), stored.manifest->media_type);
      return {std::move(document.bytes), std::move(document.descriptor),
              std::get<oci::Manifest>(std::move(document.value))};
    }
  }
  std::vector<oci::Descriptor> blobs;
  for (const oci::Layer& layer : image.layers)
    blobs.push_back(layer_blob(layer.diff_id, options, machine));
  return manifest_of(image.config_blob, std::move(blobs));
}

ImageDocuments load_documents(const layers::ImageRecord& record,
                              std::span<const AssembledImage> images, const BlobOptions& options,
                              Machine& machine) {
  ImageDocuments documents;
  oci::Index index;
  for (std::size_t i = 0; i < images.size(); ++i) {
    documents.manifests.push_back(load_manifest(record.platforms[i], images[i], options, machine));
    documents.layers.push_back(documents.manifests.back().value.layers);
    oci::Descriptor child = documents.manifests.back().descriptor;
    child.platform = images[i].config.platform;
    index.manifests.push_back(std::move(child));
  }
  if (images.size() > 1) documents.index = oci::make_index(std::move(index));
  return documents;
}

/// Leaves the one that fits best.
void keep_platform(layers::ImageRecord& record, const oci::Platform& wanted) {
  std::vector<oci::Platform> platforms;
  for (const layers::PlatformImage& image : record.platforms) platforms.push_back(image.platform);
  const int best = oci::best_match(wanted, platforms);
  if (best < 0)
    throw Error(ErrorCode::not_found, "the local image " + base::quoted(record.reference) +
                                          " is not there for " + wanted.str());
  record.platforms = {record.platforms[static_cast<std::size_t>(best)]};
  record.index.reset();
}

// ---- Import ------------------------------------------------------------------------------------

base::FileDescriptor open_tar(const std::string& path) {
  base::FileDescriptor file(path == "-" ? ::fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3)
                                        : ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY));
  if (!file) throw base::system_error(errno, "open", path);
  struct ::stat status;
  if (::fstat(file.get(), &status) == 0 && S_ISDIR(status.st_mode))
    throw Error(ErrorCode::invalid_input, base::quoted(path) + " is a directory, not a tar")
        .hint("pack it with \"tar -C " + path + " -c .\" and import that from stdin (\"-\")");
  return file;
}

/// What was read from a stream to look at it, and then the rest of it.
class ResumedSource final : public base::ByteSource {
 public:
  ResumedSource(std::string start, std::unique_ptr<base::ByteSource> rest)
      : start_(std::move(start)), rest_(std::move(rest)) {}

  std::size_t read(std::span<std::byte> buffer) override {
    const std::size_t count = start_.read(buffer);
    return count > 0 ? count : rest_->read(buffer);
  }

 private:
  base::StringSource start_;
  std::unique_ptr<base::ByteSource> rest_;
};

std::unique_ptr<base::ByteSource> decompressed(const std::string& path) {
  auto file = std::make_unique<base::FileSource>(open_tar(path), path);
  std::string start(layers::kSniffBytes, '\0');
  start.resize(base::read_full(*file, std::as_writable_bytes(std::span(start))));
  const auto compression = layers::sniff(base::bytes_of(start));
  return layers::make_decompressor(
      std::make_unique<ResumedSource>(std::move(start), std::move(file)), compression);
}

/// The config that "FROM scratch" and the changes give.
oci::ImageConfig config_from(std::span<const std::string> changes, const oci::Platform& platform) {
  std::string text = "FROM scratch\n";
  for (const std::string& change : changes) text += change + "\n";
  const dockerfile::Dockerfile file =
      dockerfile::parse(dockerfile::SourceFile("--change", std::move(text)));
  plan::PlanOptions options;
  options.build_platform = oci::host_platform();
  options.target_platform = platform;
  options.platform_given = true;
  const plan::BuildPlan plan = plan::make_plan(plan::make_graph(file, options, {}), options, {});
  if (plan.steps.size() > 1)
    throw Error(ErrorCode::invalid_input, "--change cannot change files")
        .at(plan.steps[1].where)
        .hint("build an image FROM the imported one for that");
  return plan.config;
}

}  // namespace

oci::Descriptor pull_image(const oci::Reference& image,
                           const std::optional<oci::Platform>& platform, PullPolicy policy,
                           Machine& machine, std::stop_token stop) {
  const plan::ImageRequest request{image, platform.value_or(oci::host_platform())};
  const plan::ResolvedImages resolved =
      resolve_images({{request, base::SourceRange()}}, policy, machine, stop);
  LayerFetcher(machine, stop, policy).ensure_trees(resolved.at(request).config.diff_ids);
  const auto record = machine.images.find(image.str());
  for (const layers::PlatformImage& stored : record->platforms)
    if (stored.manifest && stored.manifest->digest == resolved.at(request).image.digest)
      return record->index ? *record->index : *stored.manifest;
  return record->platforms.front().config;
}

LocalImage load_local_image(const oci::Reference& source,
                            const std::optional<oci::Platform>& platform,
                            const BlobOptions& options, Machine& machine) {
  auto record = machine.images.find(source.str());
  if (!record)
    throw Error(ErrorCode::not_found, "no local image " + base::quoted(source.familiar()))
        .hint("\"strake images\" lists them");
  if (platform) keep_platform(*record, *platform);
  LocalImage local;
  for (const layers::PlatformImage& stored : record->platforms)
    local.images.push_back(load_image(stored, machine));
  local.documents = load_documents(*record, local.images, options, machine);
  return local;
}

oci::Descriptor push_image(const oci::Reference& source, const oci::Reference& target,
                           oci::Compression compression, std::optional<int> compression_level,
                           Machine& machine, std::stop_token stop) {
  LayerFetcher fetcher(machine, stop);
  const BlobOptions options{compression, compression_level};
  PushTargets targets{{target.repository, {}}};
  if (target.tag) targets.begin()->second.push_back(*target.tag);
  Publisher publisher(std::move(targets), options, machine, fetcher, stop);
  const LocalImage local = load_local_image(source, std::nullopt, options, machine);
  publisher.finish(local.images, local.documents);
  return local.documents.root();
}

std::vector<oci::Document<oci::Manifest>> push_by_digest(
    const oci::Reference& source, const oci::Repository& repository,
    const std::optional<oci::Platform>& platform, const BlobOptions& options, Machine& machine,
    std::stop_token stop) {
  LayerFetcher fetcher(machine, stop);
  LocalImage local = load_local_image(source, platform, options, machine);
  Publisher publisher({{repository, {}}}, options, machine, fetcher, stop);
  publisher.check_permissions();
  publisher.finish(local.images, local.documents);
  for (std::size_t i = 0; i < local.images.size(); ++i)
    local.documents.manifests[i].descriptor.platform = local.images[i].config.platform;
  return std::move(local.documents.manifests);
}

base::Digest import_rootfs(const std::string& tar, const oci::Reference& name,
                           const std::optional<oci::Platform>& platform,
                           std::span<const std::string> changes, Machine& machine,
                           std::stop_token stop) {
  AssembledImage image;
  image.config = config_from(changes, platform.value_or(oci::host_platform()));
  const auto source = decompressed(tar);
  base::TempDirectory work = machine.store.make_ingest("import-");
  const std::filesystem::path tree = work.path() / "tree";
  base::make_directories(tree);
  const base::FileDescriptor root(::open(tree.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  layers::apply_layer(*source, root.get(),
                      {.xattrs = machine.store.xattr_namespace(), .overlay_form = false});
  if (stop.stop_requested()) throw Error(ErrorCode::cancelled, "the import was cancelled");
  const oci::Layer layer = machine.layers.adopt(std::move(work));

  image.created = std::chrono::system_clock::now();
  image.layers = {layer};
  image.config.diff_ids = {layer.diff_id};
  image.config.created = rfc3339(image.created);
  image.config.history = {
      {.created = image.config.created, .created_by = "strake import", .comment = "imported"}};
  image.config_json = oci::to_json(image.config);
  image.config_blob = {std::string(oci::media_type::kOciConfig),
                       base::Digest::of(image.config_json), image.config_json.size()};
  add_platform(image, name, machine);
  return image.config_blob.digest;
}

}  // namespace strake::builder
