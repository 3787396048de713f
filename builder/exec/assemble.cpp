#include "builder/exec/assemble.h"

#include <ctime>

#include "layers/base/trace.h"
#include "layers/layer_store.h"

namespace strake::builder {
namespace {

using Clock = std::chrono::system_clock;

constexpr const char* kHistoryComment = "buildkit.dockerfile.v0";

/// Creation times of the history entries that the build adds, in their order.
std::vector<Clock::time_point> history_times(const plan::BuildPlan& plan,
                                             const std::vector<StepResult>& results) {
  std::vector<Clock::time_point> times(plan.history.size());
  std::optional<Clock::time_point> later;  // of the nearest layer behind
  for (std::size_t i = plan.history.size(); i-- > 0;) {
    if (const auto step = plan.history[i].step)
      later = results[static_cast<std::size_t>(*step)].created;
    if (later) times[i] = *later;
  }
  for (std::size_t i = 1; i < times.size(); ++i)
    if (times[i] == Clock::time_point()) times[i] = times[i - 1];
  return times;
}

}  // namespace

std::string rfc3339(Clock::time_point time) {
  const std::time_t seconds = Clock::to_time_t(time);
  std::tm utc;
  ::gmtime_r(&seconds, &utc);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &utc);
  return text;
}

AssembledImage assemble(const plan::BuildPlan& plan, const std::vector<StepResult>& results,
                        std::optional<std::int64_t> source_date_epoch, Machine& machine) {
  const base::TraceSpan span("assemble");
  AssembledImage image;
  image.config = plan.config;
  const StepResult result =
      plan.result ? results[static_cast<std::size_t>(*plan.result)] : StepResult();
  image.config.diff_ids = result.stack;
  for (const base::DiffId& layer : result.stack)
    image.layers.push_back(machine.layers.find(layer).value_or(oci::Layer{layer, 0}));

  std::vector<Clock::time_point> times = history_times(plan, results);
  if (source_date_epoch)
    for (Clock::time_point& time : times)
      time = std::min(time, Clock::time_point(std::chrono::seconds(*source_date_epoch)));
  for (std::size_t i = 0; i < plan.history.size(); ++i) {
    const plan::HistoryEntry& entry = plan.history[i];
    const bool has_layer = entry.step && results[static_cast<std::size_t>(*entry.step)].layer;
    image.config.history.push_back({.created = rfc3339(times[i]),
                                    .created_by = entry.created_by,
                                    .comment = kHistoryComment,
                                    .empty_layer = !has_layer});
  }
  if (!image.config.history.empty()) image.config.created = image.config.history.back().created;
  image.created = times.empty() ? Clock::time_point() : times.back();
  image.config_json = oci::to_json(image.config);
  image.config_blob = {std::string(oci::media_type::kOciConfig),
                       base::Digest::of(image.config_json), image.config_json.size()};
  return image;
}

}  // namespace strake::builder
