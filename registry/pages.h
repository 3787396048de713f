#pragma once

#include "registry/session.h"

namespace strake::registry {

/// Most pages of one list that are read.
inline constexpr int kMostPages = 1000;

/// Makes `call` ask for the page after `response`, as its Link field says; false if that was the
/// last one. Pages of a list are on the registry itself: only the path of the link is used.
/// Spec: RFC 8288. Throws Error(corrupt) for a link that is none.
bool turn_page(Call& call, const HttpResponse& response);

}  // namespace strake::registry
