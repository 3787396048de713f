#include "builder/cli/emulation_summary.h"

#include <map>

#include "builder/cli/terminal_text.h"
#include "layers/base/error.h"

namespace strake::cli {
namespace {

using std::chrono::milliseconds;
constexpr milliseconds kWorthAHint = std::chrono::seconds(3);

std::string line_of(const builder::EmulatedStage& stage) {
  return "emulated: " + format_seconds(std::chrono::duration<double>(stage.time).count()) + " of " +
         stage.platform.str() + " in stage " + base::quoted(stage.stage) + " (" + stage.emulator +
         ")";
}

std::string hint_for(const std::string& stage) {
  return "hint: the image has only copies of files of stage " + base::quoted(stage) +
         ": with \"FROM --platform=$BUILDPLATFORM\" it is built without emulation, if its tools "
         "can build for $TARGETPLATFORM";
}

}  // namespace

std::vector<std::string> emulation_summary(std::span<const builder::EmulatedStage> stages) {
  std::vector<std::string> lines, hints;
  std::map<std::string, milliseconds> avoidable;  // by the stage to change, of all platforms
  for (const builder::EmulatedStage& stage : stages) {
    lines.push_back(line_of(stage));
    if (stage.in_image) continue;
    milliseconds& sum = avoidable[stage.first_stage];
    const bool told = sum >= kWorthAHint;
    sum += stage.time;
    if (!told && sum >= kWorthAHint) hints.push_back(hint_for(stage.first_stage));
  }
  lines.insert(lines.end(), hints.begin(), hints.end());
  return lines;
}

}  // namespace strake::cli
