#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace strake::base {

namespace trace_state {
extern std::atomic<bool> recording;
}

/// While it lives, the thread that made it is in this part of the work. Spans of a thread nest as
/// their scopes do. Without a TraceRecording all of it is one relaxed load. For what takes tens of
/// microseconds or more: a layer, a transfer, a batch of files, not a file.
///
///     const base::TraceSpan span("hash", layer_name);
class TraceSpan {
 public:
  /// `name` is a literal: the kind of work, a word or two. `detail` says of what; it is copied.
  explicit TraceSpan(const char* name, std::string_view detail = {}) {
    if (trace_state::recording.load(std::memory_order_relaxed)) begin(name, detail);
  }
  ~TraceSpan() {
    if (lane_ != nullptr) end();
  }
  TraceSpan(const TraceSpan&) = delete;
  TraceSpan& operator=(const TraceSpan&) = delete;

  /// Bytes that were worked on so far: what they come to is shown with the span.
  void add_bytes(std::uint64_t count) noexcept { bytes_ += count; }

 private:
  void begin(const char* name, std::string_view detail);
  void end() noexcept;

  void* lane_ = nullptr;  // of the thread; nullptr: nobody records
  std::size_t event_ = 0;
  std::uint64_t emptied_ = 0;  // how often the lane was, before
  std::uint64_t bytes_ = 0;
};

/// What the spans of this thread are shown under: a literal, "step" say. Threads of the same name
/// that do not live at the same time share a line. Call it first thing in a thread.
void name_trace_thread(const char* name) noexcept;

/// A span as it was recorded.
struct TraceEvent {
  const char* name = "";
  std::string detail;
  std::chrono::nanoseconds start{};     // since the recording began
  std::chrono::nanoseconds duration{};  // until now, if the span had not ended
  std::chrono::nanoseconds cpu{};       // of it, how long the thread ran on a processor
  std::uint64_t bytes = 0;
};

/// The spans of a thread (or of several, one after the other), in the order in which they began.
struct TraceLane {
  std::string name;
  std::vector<TraceEvent> events;
};

/// Records the spans of all threads from its construction on. One at a time in a process.
class TraceRecording {
 public:
  TraceRecording();
  ~TraceRecording();
  TraceRecording(const TraceRecording&) = delete;
  TraceRecording& operator=(const TraceRecording&) = delete;

  /// Ends the recording. Lanes without events are left out.
  std::vector<TraceLane> stop();
};

}  // namespace strake::base
