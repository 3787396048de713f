// Layer tars, compressed or not, read to their end.

#include <cstdint>
#include <string>
#include <vector>

#include "layers/archive/compression.h"
#include "layers/archive/tar_reader.h"
#include "layers/base/error.h"
#include "layers/base/fd.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace strake;
  std::string bytes(reinterpret_cast<const char*>(data), size);
  const auto compression = layers::sniff(base::bytes_of(bytes));
  layers::Limits limits;
  limits.uncompressed_bytes = 64 << 20;
  try {
    const auto source = layers::make_decompressor(
        std::make_unique<base::StringSource>(std::move(bytes)), compression, limits);
    layers::TarReader tar(*source, limits);
    std::vector<std::byte> buffer(4096);
    while (tar.next())
      while (tar.data().read(buffer) > 0) continue;
    tar.drain_to_end();
  } catch (const base::Error&) {
  }
  return 0;
}
