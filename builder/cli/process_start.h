#pragma once

namespace strake::cli {

/// To be called first in main(), before any file is opened or thread started: descriptors 0 to 2
/// are open afterwards (to /dev/null where they were closed, lest a store file become "stderr"),
/// and a broken pipe is an error and not a signal.
/// Throws Error(denied) when the process runs with more rights than its user has (setuid).
void prepare_process();

}  // namespace strake::cli
