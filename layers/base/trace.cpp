#include "layers/base/trace.h"

#include <ctime>
#include <memory>
#include <mutex>
#include <utility>

#include "layers/base/per_thread.h"

// Each thread writes to a lane of its own; the lock of a lane is contended only when the recording
// stops. An event is put into its lane when its span begins, so that its end needs no memory and an
// unfinished span is seen too. A lane outlives its thread and goes to the next one of that name:
// steps and uploads have a thread each, and a line each would make a picture of a hundred lines.

namespace strake::base {

std::atomic<bool> trace_state::recording = false;

namespace {

std::chrono::nanoseconds now(clockid_t clock) {
  std::timespec time{};
  ::clock_gettime(clock, &time);
  return std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec);
}

struct OpenEvent {
  /// Until it is collected, its start is the clock's; until it has ended, its cpu is the thread's.
  TraceEvent event;
  bool ended = false;
};

struct Lane {
  const char* name = "";
  bool taken = true;  // by a living thread; guarded by the recorder's mutex
  std::mutex mutex;
  std::uint64_t recording = 0;  // that the events are of
  std::uint64_t emptied = 0;    // how often: a span must not end another one's event
  std::vector<OpenEvent> events;

  void empty(std::uint64_t for_recording) {
    events.clear();
    recording = for_recording;
    ++emptied;
  }
};

/// All lanes of the process. Never destroyed: threads may end after static objects do.
class Recorder {
 public:
  static Recorder& instance() {
    static Recorder* const recorder = new Recorder;
    return *recorder;
  }

  Lane& take_lane(const char* name) {
    const std::lock_guard lock(mutex_);
    for (const std::unique_ptr<Lane>& lane : lanes_)
      if (!lane->taken && std::string_view(lane->name) == name) {
        lane->taken = true;
        return *lane;
      }
    lanes_.push_back(std::make_unique<Lane>());
    lanes_.back()->name = name;
    return *lanes_.back();
  }

  void leave_lane(Lane& lane) noexcept {
    const std::lock_guard lock(mutex_);
    lane.taken = false;
  }

  void start() {
    const std::lock_guard lock(mutex_);
    origin_ = now(CLOCK_MONOTONIC);
    number_.fetch_add(1, std::memory_order_release);
  }

  std::vector<TraceLane> collect() {
    const std::lock_guard lock(mutex_);
    std::vector<TraceLane> all;
    for (const std::unique_ptr<Lane>& lane : lanes_) {
      const std::lock_guard lane_lock(lane->mutex);
      if (lane->recording != number() || lane->events.empty()) continue;
      TraceLane& shown = all.emplace_back();
      shown.name = lane->name;
      for (OpenEvent& open : lane->events) {
        if (!open.ended) {
          open.event.duration = now(CLOCK_MONOTONIC) - open.event.start;
          open.event.cpu = {};
        }
        open.event.start -= origin_;
        shown.events.push_back(std::move(open.event));
      }
      lane->empty(0);
    }
    return all;
  }

  std::uint64_t number() const noexcept { return number_.load(std::memory_order_acquire); }

 private:
  std::mutex mutex_;
  std::vector<std::unique_ptr<Lane>> lanes_;
  std::atomic<std::uint64_t> number_ = 0;  // of the recording
  std::chrono::nanoseconds origin_{};      // when the recording began
};

/// The lane of a thread, given back when the thread ends.
class LaneHolder {
 public:
  LaneHolder() = default;
  LaneHolder(const LaneHolder&) = delete;
  LaneHolder& operator=(const LaneHolder&) = delete;
  ~LaneHolder() {
    if (lane_ != nullptr) Recorder::instance().leave_lane(*lane_);
  }

  Lane& get(const char* name) {
    if (lane_ == nullptr) lane_ = &Recorder::instance().take_lane(name);
    return *lane_;
  }

 private:
  Lane* lane_ = nullptr;
};

thread_local const char* thread_name = "thread";
PerThread<LaneHolder> thread_lanes;

}  // namespace

void name_trace_thread(const char* name) noexcept {
  thread_name = name;
}

void TraceSpan::begin(const char* name, std::string_view detail) {
  Lane& lane = thread_lanes.get().get(thread_name);
  OpenEvent open;
  open.event.name = name;
  open.event.detail = detail;
  // In this order: a span of a recording does not begin before it.
  const std::uint64_t recording = Recorder::instance().number();
  open.event.start = now(CLOCK_MONOTONIC);
  open.event.cpu = now(CLOCK_THREAD_CPUTIME_ID);

  const std::lock_guard lock(lane.mutex);
  if (lane.recording != recording) lane.empty(recording);
  lane.events.push_back(std::move(open));
  event_ = lane.events.size() - 1;
  emptied_ = lane.emptied;
  lane_ = &lane;
}

void TraceSpan::end() noexcept {
  const std::chrono::nanoseconds time = now(CLOCK_MONOTONIC);
  Lane& lane = *static_cast<Lane*>(lane_);
  const std::lock_guard lock(lane.mutex);
  if (lane.emptied != emptied_) return;  // it was collected meanwhile
  OpenEvent& open = lane.events[event_];
  open.event.duration = time - open.event.start;
  open.event.cpu = now(CLOCK_THREAD_CPUTIME_ID) - open.event.cpu;
  open.event.bytes = bytes_;
  open.ended = true;
}

TraceRecording::TraceRecording() {
  Recorder::instance().start();
  trace_state::recording.store(true, std::memory_order_release);
}

TraceRecording::~TraceRecording() {
  trace_state::recording.store(false, std::memory_order_release);
}

std::vector<TraceLane> TraceRecording::stop() {
  trace_state::recording.store(false, std::memory_order_release);
  return Recorder::instance().collect();
}

}  // namespace strake::base
