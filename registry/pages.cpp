#include "registry/pages.h"

#include <utility>

namespace strake::registry {
namespace {

/// The target of a Link field's rel="next"; "" if there is none.
std::string next_page(std::string_view link) {
  const std::size_t open = link.find('<');
  const std::size_t close = link.find('>', open);
  if (open == link.npos || close == link.npos) return "";
  const std::string_view relation = link.substr(close);
  const bool next =
      relation.find("rel=\"next\"") != relation.npos || relation.find("rel=next") != relation.npos;
  return next ? std::string(link.substr(open + 1, close - open - 1)) : "";
}

}  // namespace

bool turn_page(Call& call, const HttpResponse& response) {
  const std::string next = next_page(response.headers.get("Link"));
  if (next.empty()) return false;
  const std::string current = std::exchange(call.target, "");
  call.target = resolve_url({registry_origin(call.repository.host, "https"), current}, next).target;
  return true;
}

}  // namespace strake::registry
