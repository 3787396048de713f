#pragma once

#include <cstddef>
#include <functional>
#include <span>
#include <stop_token>
#include <vector>

namespace strake::builder {

enum class SchedulerNext { waits, executes };

/// Runs items in an order where every input is finished before its user starts.
///
/// A ready item is first offered to `probe` on the calling thread (a cache look-up: microseconds);
/// if that says true the item is finished. Else `execute` does it: on a thread of its own, at most
/// `jobs` at a time, or on the calling thread if that has nothing else to do until then. Items
/// become ready in the order of their numbers. `all_started`, if given, is called on the calling
/// thread each time that everything which could be started was, with what this thread does next.
///
/// The first exception of either stops the rest: `stop` is requested, running items are waited for,
/// and the exception is thrown. When `stop` was requested from outside, throws Error(cancelled).
///
/// `inputs[i]` are the numbers of the items that item i needs; there are no cycles.
void run_schedule(std::span<const std::vector<std::size_t>> inputs, std::size_t jobs,
                  const std::function<bool(std::size_t)>& probe,
                  const std::function<void(std::size_t)>& execute, std::stop_source& stop,
                  const std::function<void(SchedulerNext)>& all_started = {});

}  // namespace strake::builder
