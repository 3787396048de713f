// The values of flags and of one-word instructions. Each reader gets the same text: they refuse
// what is not theirs at once.

#include <cstdint>
#include <cstdlib>
#include <string>

#include "builder/dockerfile/directives.h"
#include "builder/dockerfile/duration.h"
#include "builder/dockerfile/file_mode.h"
#include "builder/dockerfile/flags.h"
#include "builder/dockerfile/ports.h"
#include "builder/dockerfile/run_mount.h"
#include "builder/dockerfile/signal.h"
#include "builder/dockerfile/words.h"
#include "layers/base/error.h"
#include "layers/oci/platform.h"

namespace {

using namespace strake;
using namespace strake::dockerfile;

template <typename Reader>
void attempt(const Reader& read) {
  try {
    read();
  } catch (const base::Error&) {
  }
}

void read_mount(std::string_view text) {
  const Mount mount =
      resolve_mount(parse_run_mount(text), [](std::string_view word) { return std::string(word); });
  if (mount.type == MountType::secret && mount.target.empty() && mount.id.empty() &&
      mount.variable.empty())
    std::abort();
}

void read_mode(std::string_view text) {
  const FileModeChange change = FileModeChange::parse(text);
  for (const std::uint32_t mode : {0U, 0644U, 0755U, 07777U})
    for (const bool is_directory : {false, true})
      if (change.apply(mode, is_directory) > 07777) std::abort();
}

void read_ports(std::string_view text) {
  const PortRange range = parse_port_range(text);
  if (range.first > range.last) std::abort();
  const std::string word(text);
  if (parse_exposed_ports({&word, 1}).size() > 65536) std::abort();
}

void read_flags(std::string_view text) {
  std::optional<std::string> from;
  std::vector<std::string> excludes;
  std::optional<bool> link;
  const std::vector<std::string> flags = take_flags(text);
  FlagSet().text("from", from).texts("exclude", excludes).boolean("link", link).parse(flags);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  attempt([&] { read_mount(text); });
  attempt([&] { read_mode(text); });
  attempt([&] { read_ports(text); });
  attempt([&] { read_flags(text); });
  attempt([&] { parse_size(text); });
  attempt([&] { parse_duration(text); });
  attempt([&] { parse_signal(text); });
  attempt([&] { parse_run_device(text); });
  attempt([&] { parse_check_settings(text); });
  attempt([&] {
    const oci::Platform platform = oci::parse_platform(text);
    if (oci::parse_platform(platform.str()) != platform) std::abort();
  });
  return 0;
}
