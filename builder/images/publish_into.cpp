#include "builder/images/publish_into.h"

#include <algorithm>
#include <array>
#include <map>
#include <set>

#include "builder/images/convergence.h"
#include "builder/images/index_edit.h"
#include "builder/images/part_tag.h"
#include "layers/base/error.h"
#include "layers/base/log.h"
#include "layers/oci/image_config.h"

namespace strake::builder {
namespace {

using base::Error;
using base::ErrorCode;
using registry::Mirrors;

/// Whose markers are asked for by name where tags cannot be listed.
constexpr std::array kUsualPlatforms = std::to_array<std::string_view>(
    {"linux/amd64", "linux/arm64", "linux/arm/v7", "linux/arm/v6", "linux/386", "linux/ppc64le",
     "linux/s390x", "linux/riscv64", "linux/mips64le", "linux/loong64"});

/// The markers of a tag, as far as the registry shows them.
class PartReader {
 public:
  PartReader(registry::Client& client, const oci::Reference& into,
             const std::vector<oci::Platform>& required)
      : client_(client), into_(into), required_(required) {}

  /// A child that needs not be fetched.
  void know(const oci::Descriptor& child) { children_.emplace(child.digest, child); }

  std::vector<oci::Descriptor> read(const std::optional<oci::Document<oci::Index>>& index,
                                    const std::stop_token& stop) {
    std::vector<oci::Descriptor> parts;
    for (const std::string& marker : markers(index, stop))
      if (auto part = part_of(marker, stop)) parts.push_back(*std::move(part));
    return parts;
  }

 private:
  /// Tags that are markers, or may be.
  std::set<std::string> markers(const std::optional<oci::Document<oci::Index>>& index,
                                const std::stop_token& stop) {
    std::set<std::string> names;
    for (const oci::Platform& platform : required_) names.insert(part_tag(*into_.tag, platform));
    if (!required_.empty()) return names;
    const std::string prefix = part_prefix(*into_.tag);
    if (const auto tags = listed(stop)) {
      for (const std::string& tag : *tags)
        if (tag.starts_with(prefix)) names.insert(tag);
    } else {
      for (const std::string_view platform : kUsualPlatforms)
        names.insert(part_tag(*into_.tag, oci::parse_platform(platform)));
    }
    // A list that is late does not show what is known already.
    names.insert(seen_.begin(), seen_.end());
    if (index)
      for (const oci::Descriptor& entry : index->value.manifests)
        if (is_platform_image(entry)) names.insert(part_tag(*into_.tag, *entry.platform));
    return names;
  }

  /// nullopt where the registry does not let this user list tags.
  std::optional<std::vector<std::string>> listed(const std::stop_token& stop) {
    try {
      return client_.list_tags(into_.repository, stop);
    } catch (const Error& error) {
      if (error.code() == ErrorCode::unavailable || error.code() == ErrorCode::cancelled) throw;
      base::log_debug("asking for the usual platforms: " + std::string(error.what()));
      return std::nullopt;
    }
  }

  std::optional<oci::Descriptor> part_of(const std::string& marker, const std::stop_token& stop) {
    try {
      const oci::Reference name{into_.repository, marker, std::nullopt};
      const oci::Descriptor child = client_.resolve(name, stop, Mirrors::passed_by);
      auto known = children_.find(child.digest);
      if (known == children_.end())
        known = children_.emplace(child.digest, described(marker, child, stop)).first;
      seen_.insert(marker);
      return known->second;
    } catch (const Error& error) {
      if (error.code() == ErrorCode::not_found) return std::nullopt;
      throw;
    }
  }

  /// The child with its platform, which its config says; nullopt if somebody tagged something else.
  std::optional<oci::Descriptor> described(const std::string& marker, oci::Descriptor child,
                                           const std::stop_token& stop) {
    const auto document = client_.get_manifest(into_.repository, child, stop);
    const auto* manifest = std::get_if<oci::Manifest>(&document.value);
    if (manifest != nullptr) {
      const std::string config =
          client_.read_blob(into_.repository, manifest->config, registry::kConfigLimitBytes, stop);
      child.platform = oci::parse_image_config(config).platform;
      if (part_tag(*into_.tag, *child.platform) == marker) return child;
    }
    base::log_warning("tag " + base::quoted(marker) + " of " + into_.repository.str() +
                      " is not the part it is named for: left out");
    return std::nullopt;
  }

  registry::Client& client_;
  const oci::Reference& into_;
  const std::vector<oci::Platform>& required_;
  std::map<base::Digest, std::optional<oci::Descriptor>> children_;
  std::set<std::string> seen_;  // markers that were there once
};

std::optional<oci::Document<oci::Index>> read_index(registry::Client& client,
                                                    const oci::Reference& tag,
                                                    const std::stop_token& stop) {
  try {
    auto document = client.get_manifest(tag, stop, Mirrors::passed_by);
    auto* index = std::get_if<oci::Index>(&document.value);
    if (index == nullptr) return std::nullopt;
    return oci::Document<oci::Index>{std::move(document.bytes), std::move(document.descriptor),
                                     std::move(*index)};
  } catch (const Error& error) {
    if (error.code() == ErrorCode::not_found) return std::nullopt;
    throw;
  }
}

/// Runs the protocol against a registry.
class Publication {
 public:
  Publication(registry::Client& client, const oci::Reference& into, const oci::Descriptor& own,
              const PublishIntoOptions& options, std::stop_token stop)
      : client_(client),
        into_(into),
        options_(options),
        stop_(std::move(stop)),
        parts_(client, into_, options.required),
        protocol_(own, options.required) {
    parts_.know(own);
  }

  PublishedInto run() {
    converge();
    // Twice, for what a registry did not show at once. What is written then is looked at again.
    int writes = 0;
    do {
      writes = protocol_.writes();
      pause(options_.settle);
      protocol_.look_again();
      converge();
    } while (protocol_.writes() != writes);
    PublishedInto result;
    if (protocol_.next() == Convergence::Step::finished) result.index = protocol_.index();
    result.missing.assign(protocol_.missing().begin(), protocol_.missing().end());
    return result;
  }

 private:
  void converge() {
    for (;;) {
      switch (protocol_.next()) {
        case Convergence::Step::read_index:
          index_ = read_index(client_, into_, stop_);
          protocol_.saw_index(index_);
          break;
        case Convergence::Step::read_parts:
          protocol_.saw_parts(parts_.read(index_, stop_));
          break;
        case Convergence::Step::write_index:
          write(protocol_.index());
          break;
        case Convergence::Step::waiting:
        case Convergence::Step::finished:
          return;
      }
    }
  }

  void write(const oci::Document<oci::Index>& index) {
    if (protocol_.writes() >= options_.most_writes)
      throw Error(ErrorCode::unavailable,
                  "the tag " + base::quoted(into_.familiar()) + " is replaced again and again")
          .hint("push all parts with the same --require, and nothing else to this tag");
    // Publishers that disagree about the tag should not disturb all others meanwhile.
    if (protocol_.writes() > 2) pause(std::chrono::milliseconds(50) * protocol_.writes());
    client_.put_manifest(into_, index.bytes, index.descriptor.media_type, stop_);
    protocol_.wrote_index();
  }

  /// Between half of it and all of it, so that publishers get out of each other's way.
  void pause(std::chrono::milliseconds time) {
    const double part = 0.5 + options_.environment.random() / 2;
    options_.environment.sleep(
        std::chrono::milliseconds(static_cast<long>(static_cast<double>(time.count()) * part)),
        stop_);
    if (stop_.stop_requested()) throw Error(ErrorCode::cancelled, "cancelled");
  }

  registry::Client& client_;
  const oci::Reference into_;
  const PublishIntoOptions& options_;
  const std::stop_token stop_;
  PartReader parts_;
  Convergence protocol_;
  std::optional<oci::Document<oci::Index>> index_;
};

}  // namespace

PublishedInto publish_into(registry::Client& client, const oci::Reference& into,
                           const oci::Document<oci::Manifest>& child,
                           const PublishIntoOptions& options, std::stop_token stop) {
  const oci::Reference tag{into.repository, into.tag.value_or("latest"), std::nullopt};
  const oci::Platform platform = child.descriptor.platform.value();
  if (!options.required.empty() &&
      std::ranges::find(options.required, platform) == options.required.end())
    throw Error(ErrorCode::invalid_input, "the image is for " + platform.str() +
                                              ", which is not one of the required platforms")
        .hint("name it in --require too");
  oci::Descriptor own = child.descriptor;
  own.annotations.clear();
  try {
    const std::string marker = part_tag(*tag.tag, platform);
    client.put_manifest({tag.repository, marker, std::nullopt}, child.bytes, own.media_type, stop);
    PublishedInto result = Publication(client, tag, own, options, stop).run();
    result.marker = marker;
    return result;
  } catch (Error& error) {
    error.add_context("publishing " + platform.str() + " into " + tag.familiar());
    throw;
  }
}

}  // namespace strake::builder
