#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>

#include "layers/base/digest.h"
#include "layers/oci/descriptor.h"

namespace strake::builder {

/// Layers that several steps of one build would make from the same draft: a COPY of the context for
/// each platform. The first makes it, the others wait for it and take it. Thread-safe.
class SharedDrafts {
 public:
  using Layer = std::optional<oci::Layer>;

  struct Made {
    Layer layer;
    bool by_another_step = false;
  };

  /// What `make` gives, which is called unless it was before for the same `identity`
  /// (LayerDraft::identity()). What it throws comes out, and the next step tries for itself.
  Made once(const base::Digest& identity, const std::function<Layer()>& make);

 private:
  struct Draft {
    std::mutex mutex;  // held while the layer is made
    std::optional<Layer> layer;
  };

  std::mutex mutex_;  // guards what follows
  std::map<base::Digest, std::unique_ptr<Draft>> drafts_;
};

}  // namespace strake::builder
