#pragma once

#include <span>

#include "builder/check/rules.h"

// The two halves of the catalogue; others take it from rules.h.

namespace strake::check {

std::span<const Rule> docker_rules();
std::span<const Rule> strake_rules();

}  // namespace strake::check
