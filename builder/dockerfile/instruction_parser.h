#pragma once

#include "builder/dockerfile/instruction.h"
#include "builder/dockerfile/statement.h"

namespace strake::dockerfile {

/// Gives a statement its meaning. `escape` is that of the file. Throws Error(invalid_input) with
/// the place of the statement.
Instruction parse_instruction(Statement statement, char escape);

}  // namespace strake::dockerfile
