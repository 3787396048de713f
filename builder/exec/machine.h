#pragma once

#include "builder/exec/progress.h"

namespace strake::layers {
class Store;
class BlobStore;
class LayerStore;
class ImageStore;
}  // namespace strake::layers
namespace strake::cache {
class DiskCache;
}
namespace strake::registry {
class Client;
class HttpTransport;
}  // namespace strake::registry
namespace strake::sandbox {
class Sandbox;
}

namespace strake::builder {

/// Everything the executor touches, handed in once by main().
struct Machine {
  layers::Store& store;
  layers::BlobStore& blobs;
  layers::LayerStore& layers;
  layers::ImageStore& images;
  cache::DiskCache& cache;
  registry::Client& registry;
  registry::HttpTransport& http;
  sandbox::Sandbox& sandbox;
  Progress& progress;
};

}  // namespace strake::builder
