// WWW-Authenticate: whatever a server says, a list comes out.

#include <cstdint>

#include "registry/auth_challenge.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  strake::registry::parse_challenges({reinterpret_cast<const char*>(data), size});
  return 0;
}
