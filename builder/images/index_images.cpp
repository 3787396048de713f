#include "builder/images/index_images.h"

#include <algorithm>
#include <memory>
#include <set>

#include "builder/images/index_edit.h"
#include "layers/base/error.h"
#include "registry/client.h"
#include "registry/index_update.h"

namespace strake::builder {
namespace {

using base::Error;
using base::ErrorCode;

/// One source with what of it goes into the index.
struct Part {
  oci::Repository repository;
  std::unique_ptr<ImageSource> source;
  AnyDocument root;
  std::vector<oci::Descriptor> entries;
};

/// Images are copied as they are, and nothing in a registry names a tag's index by a descriptor.
void check_places(std::span<const Annotation> annotations) {
  for (const Annotation& annotation : annotations) {
    if (annotation.place == AnnotationPlace::manifest)
      throw Error(ErrorCode::invalid_input, "annotation " + base::quoted(annotation.key) +
                                                " would change the images, and so their digests")
          .hint("write manifest-descriptor:" + annotation.key + "=… to annotate their entries");
    if (annotation.place == AnnotationPlace::index_descriptor)
      throw Error(ErrorCode::invalid_input, "annotation " + base::quoted(annotation.key) +
                                                " has no place: a tag has no descriptor")
          .hint("write index:" + annotation.key + "=…");
  }
}

void annotate(oci::Index& index, std::span<const Annotation> annotations) {
  for (auto& [key, value] : annotations_at(annotations, AnnotationPlace::index))
    index.annotations[key] = value;
  for (oci::Descriptor& entry : index.manifests) {
    if (!is_platform_image(entry)) continue;
    for (auto& [key, value] :
         annotations_at(annotations, AnnotationPlace::manifest_descriptor, entry.platform))
      entry.annotations[key] = value;
  }
}

Part read_part(registry::Client& client, const oci::Reference& image, const std::stop_token& stop) {
  Part part{image.repository, registry_source(client, image, stop), {}, {}};
  part.root = part.source->root();
  if (const auto* index = std::get_if<oci::Index>(&part.root.value)) {
    part.entries = index->manifests;
  } else {
    oci::Descriptor entry = part.root.descriptor;
    entry.platform = platform_of(*part.source, std::get<oci::Manifest>(part.root.value));
    part.entries = {std::move(entry)};
  }
  return part;
}

std::vector<Part> read_parts(registry::Client& client, const IndexRequest& request,
                             const std::stop_token& stop) {
  std::vector<Part> parts;
  for (const oci::Reference& image : request.sources) {
    try {
      parts.push_back(read_part(client, image, stop));
    } catch (Error& error) {
      error.add_context("reading " + base::quoted(image.familiar()));
      throw;
    }
  }
  if (request.platforms.empty()) return parts;
  // Each platform has to be in one of them, not in all.
  oci::Index all;
  for (const Part& part : parts)
    all.manifests.insert(all.manifests.end(), part.entries.begin(), part.entries.end());
  keep_platforms(all, request.platforms);
  for (Part& part : parts)
    std::erase_if(part.entries, [&](const oci::Descriptor& entry) {
      return std::ranges::find(all.manifests, entry.digest, &oci::Descriptor::digest) ==
             all.manifests.end();
    });
  return parts;
}

void check_unambiguous(std::span<const Part> parts) {
  std::map<oci::Platform, base::Digest> images;
  for (const Part& part : parts)
    for (const oci::Descriptor& entry : part.entries) {
      if (!is_platform_image(entry)) continue;
      const auto [image, is_new] = images.emplace(*entry.platform, entry.digest);
      if (!is_new && image->second != entry.digest)
        throw Error(ErrorCode::invalid_input, "there are two images for " + entry.platform->str() +
                                                  ": " + image->second.str() + " and " +
                                                  entry.digest.str())
            .hint("leave one source out, or choose platforms with --platform");
    }
}

/// Adds everything the request is about to `index`.
void fill(oci::Index& index, const IndexRequest& request, std::span<const Part> parts) {
  for (const Part& part : parts) {
    add_entries(index, part.entries);
    if (const auto* source = std::get_if<oci::Index>(&part.root.value))
      for (const auto& [key, value] : source->annotations) index.annotations.emplace(key, value);
  }
  add_entries(index, request.descriptors);
  annotate(index, request.annotations);
}

/// The lone source that is copied as it is; null if an index has to be made.
const AnyDocument* as_it_is(const IndexRequest& request, std::span<const Part> parts) {
  if (parts.size() != 1 || request.append == Append::yes || !request.descriptors.empty() ||
      !request.platforms.empty() || !request.annotations.empty())
    return nullptr;
  const bool is_index = std::holds_alternative<oci::Index>(parts[0].root.value);
  return is_index || request.single == SingleSource::as_it_is ? &parts[0].root : nullptr;
}

AnyDocument made(oci::Index index) {
  if (index.manifests.empty())
    throw Error(ErrorCode::invalid_input, "an index of no images cannot be made");
  const bool docker = registry::is_docker_index(index);
  auto document = oci::make_index(std::move(index), docker);
  return {std::move(document.bytes), std::move(document.descriptor), std::move(document.value)};
}

/// Brings the children of all parts to `to`. Those that are there already cost a request each.
void copy_children(std::span<const Part> parts, registry::Client& client, const oci::Repository& to,
                   const CopyOptions& options) {
  for (const Part& part : parts) {
    if (part.repository == to) continue;
    for (const oci::Descriptor& entry : part.entries) {
      const ImageTree tree = read_tree(*part.source, part.source->document(entry));
      copy_to_registry(*part.source, tree, client, {to, std::nullopt, std::nullopt}, options);
    }
  }
}

AnyDocument write_index(const IndexRequest& request, std::span<const Part> parts,
                        registry::Client& client, const oci::Reference& target,
                        const CopyOptions& options) {
  copy_children(parts, client, target.repository, options);
  if (request.append == Append::yes) {
    auto document = registry::update_index(
        client, target, [&](oci::Index& index) { fill(index, request, parts); }, {}, options.stop);
    return {std::move(document.bytes), std::move(document.descriptor), std::move(document.value)};
  }
  const AnyDocument* lone = as_it_is(request, parts);
  oci::Index index;
  if (lone == nullptr) fill(index, request, parts);
  AnyDocument document = lone != nullptr ? *lone : made(std::move(index));
  client.put_manifest(target, document.bytes, document.descriptor.media_type, options.stop);
  return document;
}

}  // namespace

AnyDocument plan_index(registry::Client& client, const IndexRequest& request,
                       const oci::Reference& target, std::stop_token stop) {
  check_places(request.annotations);
  const std::vector<Part> parts = read_parts(client, request, stop);
  check_unambiguous(parts);
  if (const AnyDocument* lone = as_it_is(request, parts)) return *lone;
  oci::Index index;
  if (request.append == Append::yes) {
    try {
      const auto before = client.get_manifest(target, stop, registry::Mirrors::passed_by);
      if (const auto* there = std::get_if<oci::Index>(&before.value)) index = *there;
    } catch (const Error& error) {
      if (error.code() != ErrorCode::not_found) throw;
    }
  }
  fill(index, request, parts);
  return made(std::move(index));
}

AnyDocument create_index(registry::Client& client, const IndexRequest& request,
                         const CopyOptions& options) {
  check_places(request.annotations);
  const std::vector<Part> parts = read_parts(client, request, options.stop);
  check_unambiguous(parts);
  std::optional<AnyDocument> first;
  for (const oci::Reference& target : request.targets) {
    try {
      AnyDocument document = write_index(request, parts, client, target, options);
      if (!first) first = std::move(document);
    } catch (Error& error) {
      error.add_context("making the index " + base::quoted(target.familiar()));
      throw;
    }
  }
  return *std::move(first);
}

oci::Document<oci::Index> remove_from_index(registry::Client& client, const oci::Reference& index,
                                            std::span<const std::string> entries,
                                            std::stop_token stop) {
  bool first = true;
  const auto remove = [&](oci::Index& there) {
    for (const std::string& entry : entries) {
      try {
        remove_entry(there, entry);
      } catch (const Error& error) {
        // Asked again after a lost update, what is gone is fine.
        if (first || error.code() != ErrorCode::not_found) throw;
      }
    }
    first = false;
    if (there.manifests.empty())
      throw Error(ErrorCode::invalid_input, "nothing would be left of the index")
          .hint("use \"strake delete\" to delete it");
  };
  return registry::update_index(client, index, remove, {.must_exist = true}, std::move(stop));
}

oci::Document<oci::Index> annotate_index(registry::Client& client, const oci::Reference& index,
                                         std::span<const Annotation> annotations,
                                         std::stop_token stop) {
  check_places(annotations);
  return registry::update_index(
      client, index, [&](oci::Index& there) { annotate(there, annotations); }, {.must_exist = true},
      std::move(stop));
}

}  // namespace strake::builder
