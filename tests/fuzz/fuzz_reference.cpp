// References: what parses has a text that parses to the same.

#include <cstdint>
#include <cstdlib>
#include <string>

#include "layers/base/error.h"
#include "layers/oci/reference.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  try {
    const strake::oci::Reference reference = strake::oci::parse_reference(text);
    if (strake::oci::parse_reference(reference.str()) != reference) std::abort();
  } catch (const strake::base::Error&) {
  }
  return 0;
}
