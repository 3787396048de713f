// Manifests, indexes and image configs.

#include <cstdint>
#include <string>

#include "layers/base/error.h"
#include "layers/oci/image_config.h"
#include "layers/oci/manifest.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  try {
    strake::oci::parse_manifest(text, "");
  } catch (const strake::base::Error&) {
  }
  try {
    strake::oci::to_json(strake::oci::parse_image_config(text));
  } catch (const strake::base::Error&) {
  }
  return 0;
}
