#include "builder/exec/base_images.h"

#include <algorithm>
#include <ctime>
#include <thread>

#include "builder/exec/shown_task.h"
#include "layers/base/error.h"
#include "layers/base/log.h"
#include "layers/blob_store.h"
#include "layers/image_store.h"
#include "layers/layer_store.h"
#include "layers/oci/manifest.h"
#include "registry/client.h"

namespace strake::builder {
namespace {

using base::Error;
using base::ErrorCode;

std::string platforms_text(std::span<const oci::Platform> platforms) {
  std::string text;
  for (const oci::Platform& platform : platforms)
    text += (text.empty() ? "" : ", ") + platform.str();
  return text.empty() ? "none" : text;
}

Error no_platform(const oci::Reference& image, const oci::Platform& wanted,
                  std::span<const oci::Platform> available) {
  return Error(ErrorCode::not_found, "no image of " + base::quoted(image.familiar()) + " for " +
                                         wanted.str() + " (it has: " + platforms_text(available) +
                                         ")")
      .hint("choose another base image, or build for a platform it has with --platform");
}

/// The image as the store has it, if it has all that planning needs.
std::optional<plan::ResolvedImage> find_local(const plan::ImageRequest& request, Machine& machine) {
  const auto record = machine.images.find(request.image.str());
  if (!record) return std::nullopt;
  std::vector<oci::Platform> platforms;
  for (const layers::PlatformImage& image : record->platforms) platforms.push_back(image.platform);
  int best = oci::best_match(request.platform, platforms);
  // A lone image that is not an index is taken whatever its platform, as docker does.
  if (best < 0 && !record->index && record->platforms.size() == 1) {
    base::log_warning(base::quoted(request.image.familiar()) + " is for " + platforms[0].str() +
                      ", not for " + request.platform.str());
    best = 0;
  }
  if (best < 0) return std::nullopt;
  const layers::PlatformImage& image = record->platforms[static_cast<std::size_t>(best)];
  const auto config = machine.blobs.read(image.config.digest);
  if (!config) return std::nullopt;
  plan::ResolvedImage resolved;
  resolved.image = request.image;
  resolved.image.digest = image.manifest ? image.manifest->digest : image.config.digest;
  resolved.config = oci::parse_image_config(*config);
  return resolved;
}

class RemoteImage {
 public:
  RemoteImage(const plan::ImageRequest& request, Machine& machine, std::stop_token stop)
      : request_(request), machine_(machine), stop_(std::move(stop)) {}

  plan::ResolvedImage fetch() {
    const auto root = machine_.registry.get_manifest(request_.image, stop_);
    machine_.blobs.put(root.bytes, root.descriptor.media_type);
    return fetch(root);
  }

  /// Of an index that the store has, whatever its name means by now.
  plan::ResolvedImage fetch_from(const oci::Descriptor& index) {
    auto bytes = machine_.blobs.read(index.digest);
    if (!bytes) return fetch();
    return fetch(oci::parse_manifest(*std::move(bytes), index.media_type));
  }

 private:
  plan::ResolvedImage fetch(const oci::Document<oci::ManifestOrIndex>& root) {
    if (const auto* index = std::get_if<oci::Index>(&root.value)) {
      const oci::Descriptor child = choose_manifest(*index, request_);
      const auto manifest = machine_.registry.get_manifest(request_.image.repository, child, stop_);
      if (!std::holds_alternative<oci::Manifest>(manifest.value))
        throw Error(ErrorCode::unsupported, "an index inside an index is not supported");
      machine_.blobs.put(manifest.bytes, manifest.descriptor.media_type);
      return store(manifest, root.descriptor);
    }
    return store(root, std::nullopt);
  }

  plan::ResolvedImage store(const oci::Document<oci::ManifestOrIndex>& document,
                            const std::optional<oci::Descriptor>& index) {
    const auto& manifest = std::get<oci::Manifest>(document.value);
    oci::require_image(manifest);
    const oci::Repository& repository = request_.image.repository;
    const std::string json = machine_.registry.read_blob(repository, manifest.config,
                                                         registry::kConfigLimitBytes, stop_);
    machine_.blobs.put(json, manifest.config.media_type);
    const oci::ImageConfig config = oci::parse_image_config(json);
    if (config.diff_ids.size() != manifest.layers.size())
      throw Error(ErrorCode::corrupt, "the manifest has " + std::to_string(manifest.layers.size()) +
                                          " layers, the config " +
                                          std::to_string(config.diff_ids.size()));
    if (!index && oci::match_rank(request_.platform, config.platform) < 0)
      base::log_warning(base::quoted(request_.image.familiar()) + " is for " +
                        config.platform.str() + ", not for " + request_.platform.str());

    layers::PlatformImage image{config.platform, manifest.config, {}, document.descriptor};
    image.manifest->platform = config.platform;
    for (std::size_t i = 0; i < manifest.layers.size(); ++i) {
      machine_.layers.add_blob(config.diff_ids[i], manifest.layers[i], &repository);
      image.layers.push_back(
          machine_.layers.find(config.diff_ids[i]).value_or(oci::Layer{config.diff_ids[i], 0}));
    }
    remember(std::move(image), index);
    plan::ResolvedImage resolved;
    resolved.image = request_.image;
    resolved.image.digest = document.descriptor.digest;
    resolved.config = config;
    return resolved;
  }

  /// Keeps what other platforms of the same index were fetched before.
  void remember(layers::PlatformImage image, const std::optional<oci::Descriptor>& index) {
    const std::string name = request_.image.str();
    // Platforms of one image may be resolved at the same time.
    const base::FileLock lock = machine_.store.lock("image-" + base::Digest::of(name).hex());
    layers::ImageRecord record{name, std::time(nullptr), {}, index};
    if (const auto before = machine_.images.find(name); before && index && before->index == index)
      record = *before;
    std::erase_if(record.platforms, [&](const layers::PlatformImage& other) {
      return other.platform == image.platform;
    });
    record.platforms.push_back(std::move(image));
    machine_.images.put(record);
  }

  const plan::ImageRequest& request_;
  Machine& machine_;
  std::stop_token stop_;
};

/// Whether the registry still means by the name what the store has. One HEAD, which registries do
/// not count as a pull; none for a digest, which never means anything else.
bool is_current(const plan::ImageRequest& request, Machine& machine, const std::stop_token& stop) {
  const auto record = machine.images.find(request.image.str());
  if (!record) return false;
  const auto has = [&](const base::Digest& digest) {
    if (record->index) return record->index->digest == digest;
    return std::any_of(record->platforms.begin(), record->platforms.end(),
                       [&](const layers::PlatformImage& image) {
                         return image.manifest && image.manifest->digest == digest;
                       });
  };
  if (request.image.digest) return has(*request.image.digest);
  return has(machine.registry.resolve(request.image, stop).digest);
}

/// What the registry has, if it is another image than `local`; `local` if it does not answer.
plan::ResolvedImage newer_image(const plan::ImageRequest& request, plan::ResolvedImage local,
                                Machine& machine, const std::stop_token& stop) {
  try {
    if (is_current(request, machine, stop)) return local;
    return RemoteImage(request, machine, stop).fetch();
  } catch (const Error& error) {
    if (error.code() != ErrorCode::unavailable) throw;
    base::log_warning("using the local " + base::quoted(request.image.familiar()) +
                      ", since nobody knows whether there is a newer one: " + error.what());
    return local;
  }
}

/// Another platform of an image that this call has resolved: a tag that moved meanwhile must not
/// give an image of two versions.
plan::ResolvedImage resolve_sibling(const plan::ImageRequest& request, Machine& machine,
                                    const std::stop_token& stop) {
  if (auto local = find_local(request, machine)) return *std::move(local);
  const auto record = machine.images.find(request.image.str());
  RemoteImage remote(request, machine, stop);
  return record && record->index ? remote.fetch_from(*record->index) : remote.fetch();
}

/// `resolve`, shown as a task.
template <typename Resolve>
plan::ResolvedImage resolve_shown(const plan::ImageRequest& request, Machine& machine,
                                  Resolve resolve) {
  ShownTask task(machine.progress,
                 {request.platform.str(), "", "resolve " + request.image.familiar()});
  try {
    plan::ResolvedImage image = resolve();
    task.set(Outcome::done);
    return image;
  } catch (const Error& error) {
    task.set(error);
    throw;
  }
}

}  // namespace

oci::Descriptor choose_manifest(const oci::Index& index, const plan::ImageRequest& request) {
  std::vector<oci::Platform> platforms;
  std::vector<const oci::Descriptor*> descriptors;
  for (const oci::Descriptor& manifest : index.manifests) {
    // Attestations and the like are stored as manifests for no platform.
    if (!manifest.platform || manifest.platform->os == "unknown") continue;
    platforms.push_back(*manifest.platform);
    descriptors.push_back(&manifest);
  }
  const int best = oci::best_match(request.platform, platforms);
  if (best < 0) throw no_platform(request.image, request.platform, platforms);
  return *descriptors[static_cast<std::size_t>(best)];
}

plan::ResolvedImage resolve_image(const plan::ImageRequest& request, PullPolicy policy,
                                  Machine& machine, std::stop_token stop) {
  try {
    auto local = find_local(request, machine);
    switch (policy) {
      case PullPolicy::missing:
        if (local) return *std::move(local);
        break;
      case PullPolicy::never:
        if (local) return *std::move(local);
        throw Error(ErrorCode::not_found, "no local image " +
                                              base::quoted(request.image.familiar()) + " for " +
                                              request.platform.str())
            .hint("leave out --pull=never, or pull or import it first");
      case PullPolicy::always:
        if (local && is_current(request, machine, stop)) return *std::move(local);
        break;
      case PullPolicy::newer:
        if (local) return newer_image(request, *std::move(local), machine, stop);
        break;
    }
    return RemoteImage(request, machine, stop).fetch();
  } catch (Error& error) {
    error.add_context("resolving the image " + base::quoted(request.image.familiar()));
    throw;
  }
}

plan::ResolvedImages resolve_images(const std::map<plan::ImageRequest, base::SourceRange>& requests,
                                    PullPolicy policy, Machine& machine, std::stop_token stop) {
  plan::ResolvedImages images;
  std::vector<const std::pair<const plan::ImageRequest, base::SourceRange>*> remote;
  for (const auto& request : requests) {
    // What the store knows needs neither a thread nor a line on the screen.
    if (policy == PullPolicy::missing || policy == PullPolicy::never) {
      if (auto image = find_local(request.first, machine)) {
        images.emplace(request.first, std::move(*image));
        continue;
      }
    }
    remote.push_back(&request);
  }
  std::vector<plan::ResolvedImage> results(remote.size());
  std::vector<std::exception_ptr> errors(remote.size());
  // What a name means is asked once, for all platforms.
  std::map<oci::Reference, std::vector<std::size_t>> names;
  for (std::size_t i = 0; i < remote.size(); ++i) names[remote[i]->first.image].push_back(i);
  {
    std::vector<std::jthread> threads;
    for (const auto& [name, platforms] : names)
      threads.emplace_back([&, &platforms = platforms] {
        for (const std::size_t i : platforms) {
          const plan::ImageRequest& request = remote[i]->first;
          const bool first = i == platforms.front();
          try {
            results[i] = resolve_shown(request, machine, [&] {
              return first ? resolve_image(request, policy, machine, stop)
                           : resolve_sibling(request, machine, stop);
            });
          } catch (...) {  // the edge of a thread: thrown again below
            errors[i] = std::current_exception();
            return;
          }
        }
      });
  }
  for (std::size_t i = 0; i < remote.size(); ++i) {
    const auto& [request, where] = *remote[i];
    try {
      if (errors[i] != nullptr) std::rethrow_exception(errors[i]);
    } catch (Error& error) {
      if (where.first_line > 0) error.set_location(where);
      throw;
    }
    images.emplace(request, std::move(results[i]));
  }
  return images;
}

}  // namespace strake::builder
