#include "builder/images/convergence.h"

#include <algorithm>
#include <utility>

#include "builder/images/index_edit.h"
#include "registry/index_update.h"

// The protocol
// ------------
// Several jobs, each with the image of one platform, publish one index at the tag T. A registry has
// tags that can be read, listed and overwritten, and no way to write only if nothing changed. So:
//
//   1. Each publisher pushes its image by digest and gives it a tag of its own, the marker
//      (part_tag.h). Only publishers of the same platform write the same marker.
//   2. Then it repeats: read T, read all markers (read_index, read_parts). If T is the index of
//      just these, it is finished. Else it writes that index to T (write_index), and repeats.
//
// Nobody needs to be last, and nobody merges: what the index is follows from the markers alone.
//
// Why the tag ends with all parts
// -------------------------------
// Claim: when all publishers have finished, T is the index of all markers, in whatever order their
// requests were served. (Tags behave like memory: a read gives what was written last.)
//
// Look at the last write of T, by W. After it W reads T, which is what W wrote, since nobody writes
// any more; and W reads the markers, M. W does not write again, so T is the index of M.
// Suppose a marker of another publisher X is not in M as X put it. Reading M began after the last
// write of T, so X put its marker after the last write of T. But X reads T and the markers after
// that, finds its own part missing from T, and writes T: then W's write was not the last one. So
// every marker is in M, and T is the index of all of them.
// If T is never written, each publisher found T to be right after its marker was put.
//
// The slow writer is covered by this: one that read the markers early, and writes its old index
// when all others are done, has overwritten theirs, but reads the markers again and repairs it.
// That is why writing is followed by reading both, and never by success.
//
// It ends: once all markers are put, every publisher writes at most one index that is out of date,
// and after that only the right one.
//
// What it does not cover: a publisher that is killed after its stale write and before its repair.
// Its job has failed then; running it again repairs the tag. Registries whose tag lists are late
// are met by looking twice, a moment apart, and by asking for the known platforms' markers by name
// (publish_into.cpp). Markers stay: a publisher that is still on its way needs them for its repair,
// and nobody can know that there is none. They cost a name each; what they name is in the index.
//
// With required platforms
// -----------------------
// T is written only when all of them have a marker, and has exactly them. The publisher that puts
// the last of these markers reads the markers afterwards, sees all, and writes T, or finds it
// right: so somebody always does. Two that both see all write the same bytes, which registries
// with immutable tags allow. Parts of platforms that are built no more are left out like that.

namespace strake::builder {
namespace {

using oci::Descriptor;

/// The part for each of the platforms; those without one are added to `missing`.
std::vector<Descriptor> only(const std::vector<oci::Platform>& platforms,
                             const std::vector<Descriptor>& parts,
                             std::vector<oci::Platform>& missing) {
  std::vector<Descriptor> chosen;
  for (const oci::Platform& platform : platforms) {
    const auto part = std::ranges::find(parts, platform, [](const Descriptor& candidate) {
      return candidate.platform.value_or(oci::Platform());
    });
    if (part == parts.end())
      missing.push_back(platform);
    else
      chosen.push_back(*part);
  }
  return chosen;
}

bool same_content(const oci::Index& a, const oci::Index& b) {
  return a.manifests == b.manifests && a.annotations == b.annotations;
}

}  // namespace

oci::Document<oci::Index> index_of_parts(std::vector<Descriptor> parts,
                                         const std::optional<oci::Document<oci::Index>>& before) {
  std::ranges::sort(parts, {},
                    [](const Descriptor& part) { return std::pair(part.platform, part.digest); });
  oci::Index index;
  if (before) index.annotations = before->value.annotations;
  for (Descriptor& part : parts) {
    if (before)
      for (const Descriptor& entry : before->value.manifests)
        if (entry.digest == part.digest) part.annotations = entry.annotations;
    index.manifests.push_back(std::move(part));
  }
  if (before) {
    const std::size_t images = index.manifests.size();
    for (const Descriptor& entry : before->value.manifests) {
      const auto subject = attestation_subject(entry);
      for (std::size_t i = 0; subject && i < images; ++i)
        if (index.manifests[i].digest == *subject) index.manifests.push_back(entry);
    }
    if (same_content(index, before->value)) return *before;
  }
  const bool docker = registry::is_docker_index(index);
  return oci::make_index(std::move(index), docker);
}

Convergence::Convergence(Descriptor own, std::vector<oci::Platform> required)
    : own_(std::move(own)), required_(std::move(required)) {}

void Convergence::saw_index(std::optional<oci::Document<oci::Index>> index) {
  seen_ = std::move(index);
  step_ = Step::read_parts;
}

void Convergence::saw_parts(std::vector<Descriptor> parts) {
  // Whoever has put a newer marker for the same platform is right, or will be corrected by him.
  if (std::ranges::find(parts, own_.platform, &Descriptor::platform) == parts.end())
    parts.push_back(own_);
  missing_.clear();
  if (!required_.empty()) parts = only(required_, parts, missing_);
  if (!missing_.empty()) {
    step_ = Step::waiting;
    return;
  }
  wanted_ = index_of_parts(std::move(parts), seen_);
  const bool right = seen_ && seen_->descriptor.digest == wanted_->descriptor.digest;
  step_ = right ? Step::finished : Step::write_index;
}

void Convergence::wrote_index() {
  ++writes_;
  step_ = Step::read_index;
}

std::string Convergence::state_key() const {
  const auto digest = [](const std::optional<oci::Document<oci::Index>>& document) {
    return document ? document->descriptor.digest.hex() : std::string("-");
  };
  return std::to_string(static_cast<int>(step_)) + digest(seen_) + digest(wanted_);
}

}  // namespace strake::builder
