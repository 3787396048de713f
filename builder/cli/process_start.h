#pragma once

#include <string_view>

#include "builder/cli/arguments.h"

namespace strake::cli {

/// Not a verb of the user's: what the program is called with to be a registry::Courier.
inline constexpr std::string_view kCourierVerb = "upload-courier";

/// To be called first in main(), before any file is opened or thread started: descriptors 0 to 2
/// are open afterwards (to /dev/null where they were closed, lest a store file become "stderr"),
/// and a broken pipe is an error and not a signal.
/// Throws Error(denied) when the process runs with more rights than its user has (setuid).
void prepare_process();

/// Takes the rung of the sandbox's ladder that the line asks for, if the verb works with trees of
/// the store, and says which it is: to people who build something when it is not the best one, else
/// to the log. While there is one thread. Throws Error(unsupported).
void take_rung(const Invocation& invocation);

}  // namespace strake::cli
