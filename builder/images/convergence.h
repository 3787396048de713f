#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "layers/oci/manifest.h"

namespace strake::builder {

/// How one of several publishers brings an index to a tag that all of them write, each for its own
/// platform, in any order and at the same time: no lost update, although registries have no
/// compare-and-swap.
///
/// This is the protocol alone, without a registry: it says what to do next and is told what was
/// seen, so that a test can run publishers through every interleaving. convergence.cpp has the
/// proof. A value: copies go on by themselves.
class Convergence {
 public:
  enum class Step {
    read_index,   // what is at the tag, then call saw_index()
    read_parts,   // the markers, after the index was read, then call saw_parts()
    write_index,  // index(), then call wrote_index()
    waiting,      // done for this publisher: required platforms are missing()
    finished,     // the tag had every part that was visible
  };

  /// `own`: the child of this publisher, with its platform; its marker must have been put before.
  /// `required`: the platforms that the index is to have, exactly; empty for all that there are.
  explicit Convergence(oci::Descriptor own, std::vector<oci::Platform> required = {});

  Step next() const noexcept { return step_; }

  /// nullopt: nothing is at the tag, or no index.
  void saw_index(std::optional<oci::Document<oci::Index>> index);
  /// The children that markers name, with their platforms, in any order. The publisher's own is
  /// taken as seen: registries may be late to show it.
  void saw_parts(std::vector<oci::Descriptor> parts);
  const oci::Document<oci::Index>& index() const { return *wanted_; }
  void wrote_index();

  /// After `finished` or `waiting`: looks once more.
  void look_again() { step_ = Step::read_index; }

  std::span<const oci::Platform> missing() const noexcept { return missing_; }
  /// Times the index was written. Only other publishers make it more than one.
  int writes() const noexcept { return writes_; }

  /// Equal for publishers that will act alike from here on, whatever they have done before.
  std::string state_key() const;

 private:
  oci::Descriptor own_;
  std::vector<oci::Platform> required_;
  Step step_ = Step::read_index;
  std::optional<oci::Document<oci::Index>> seen_, wanted_;
  std::vector<oci::Platform> missing_;
  int writes_ = 0;
};

/// The index of `parts` (one a platform) that is to follow on `before`: ordered by platform, so
/// that the same parts give the same bytes. The annotations of `before`, those of its entries for
/// the same manifests, and their attestations are kept; its other entries are not. Equal content
/// keeps the bytes of `before`.
oci::Document<oci::Index> index_of_parts(std::vector<oci::Descriptor> parts,
                                         const std::optional<oci::Document<oci::Index>>& before);

}  // namespace strake::builder
