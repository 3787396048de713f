// Header fields of servers other than challenges: Location, Link, Retry-After, rate limits, and
// what of a body goes into a message.

#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "layers/base/error.h"
#include "registry/pages.h"
#include "registry/rate_limit.h"
#include "registry/registry_error.h"
#include "registry/url.h"

namespace {

using namespace strake;

void require(bool claim) {
  if (!claim) std::abort();
}

/// A URL that is taken is one: it is absolute, its parts are what its text says, and no reader can
/// see another host in it.
void check_url(std::string_view text) {
  const registry::Url base{{"https", "reg.example.com", 5000}, "/v2/team/app/blobs/uploads/1?x=y"};
  try {
    const registry::Url url = registry::resolve_url(base, text);
    require(url.origin.scheme == "http" || url.origin.scheme == "https");
    require(!url.origin.host.empty() && url.origin.port != 0 && url.target.starts_with('/'));
    require(url.origin.host.find_first_of("@\\/?# \t\r\n") == std::string::npos);
    const registry::Url again = registry::parse_url(url.str());
    require(again.origin == url.origin && again.target == url.target);
    registry::registrable_domain(url.origin.host);
    registry::is_private_address(url.origin.host);
  } catch (const base::Error&) {
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  check_url(text);

  const auto wait = registry::parse_retry_after(text, {});
  require(!wait || wait->count() >= 0);

  registry::HttpResponse response{.status = 429, .body = std::string(text)};
  for (const char* name :
       {"Link", "Retry-After", "RateLimit-Limit", "RateLimit-Remaining", "Docker-RateLimit-Source"})
    response.headers.add(name, std::string(text));
  const base::Error error = registry::registry_error("cannot fetch", response);
  require(std::string_view(error.what()).find('\x1b') == std::string_view::npos);
  for (const std::string& note : error.notes()) require(note.find('\n') == std::string::npos);

  registry::Call call{.repository = {"reg.example.com", "team/app"},
                      .target = "/v2/team/app/tags/list?n=1000"};
  try {
    if (registry::turn_page(call, response)) require(call.target.starts_with('/'));
  } catch (const base::Error&) {
  }
  return 0;
}
