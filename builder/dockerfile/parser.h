#pragma once

#include <string_view>

#include "builder/dockerfile/instruction.h"
#include "builder/dockerfile/limits.h"
#include "builder/dockerfile/source.h"

namespace strake::dockerfile {

/// Parses a whole Dockerfile. Nothing is expanded and no name is looked up, but everything that can
/// be wrong without knowing values is checked: the result starts with ARGs and a FROM.
///
/// Throws Error(invalid_input) with a location for anything that is not a Dockerfile, and for a
/// file beyond `limits`.
Dockerfile parse(const SourceFile& source, const Limits& limits = {});

/// Parses the text of an ONBUILD trigger, which must be exactly one instruction, and not FROM,
/// ONBUILD or MAINTAINER. `where` (the ONBUILD, or the FROM that brought it) becomes the place of
/// the instruction and of any error. Triggers found in images were written for escape '\\'.
Instruction parse_trigger(std::string_view text, const base::SourceRange& where,
                          char escape = '\\');

}  // namespace strake::dockerfile
