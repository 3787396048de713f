#include "builder/cli/profile.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "layers/base/error.h"
#include "layers/base/log.h"

namespace strake::cli {
namespace {

using nlohmann::json;

base::FileDescriptor open_profile(const std::filesystem::path& file) {
  base::FileDescriptor out(
      ::open(file.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0666));
  struct stat status {};
  if (!out || ::fstat(out.get(), &status) != 0)
    throw base::system_error(errno, "write the profile", file.native());
  if (!S_ISREG(status.st_mode))
    throw base::Error(base::ErrorCode::invalid_input, "cannot write the profile to " +
                                                          base::quoted(file.native()) +
                                                          ": it is not a regular file");
  return out;
}

double microseconds(std::chrono::nanoseconds time) {
  return static_cast<double>(time.count()) / 1000;
}

json name_event(const char* what, std::size_t thread, json value) {
  return {{"ph", "M"}, {"pid", 1}, {"tid", thread}, {"name", what}, {"args", std::move(value)}};
}

json span_event(const base::TraceEvent& event, std::size_t thread) {
  json shown = {{"ph", "X"},
                {"pid", 1},
                {"tid", thread},
                {"cat", "strake"},
                {"name", event.name},
                {"ts", microseconds(event.start)},
                {"dur", microseconds(event.duration)},
                {"tdur", microseconds(event.cpu)}};
  if (!event.detail.empty()) shown["args"]["of"] = base::redacted(event.detail);
  if (event.bytes > 0) shown["args"]["bytes"] = event.bytes;
  return shown;
}

/// One event a line, so that the text can be cut and searched without a JSON parser.
std::string to_chrome_trace(const std::vector<base::TraceLane>& lanes) {
  std::string text = R"({"displayTimeUnit":"ms","traceEvents":[)";
  const auto add = [&](const json& event) {
    text += text.ends_with('[') ? "\n" : ",\n";
    // Names of files need not be UTF-8.
    text += event.dump(-1, ' ', false, json::error_handler_t::replace);
  };
  add(name_event("process_name", 0, {{"name", "strake"}}));
  for (std::size_t i = 0; i < lanes.size(); ++i) {
    add(name_event("thread_name", i + 1, {{"name", lanes[i].name}}));
    add(name_event("thread_sort_index", i + 1, {{"sort_index", i + 1}}));
    for (const base::TraceEvent& event : lanes[i].events) add(span_event(event, i + 1));
  }
  return text + "\n]}\n";
}

}  // namespace

Profile::Profile(std::filesystem::path file) : file_(std::move(file)), out_(open_profile(file_)) {
  base::name_trace_thread("main");
}

Profile::~Profile() {
  try {
    const std::string text = to_chrome_trace(recording_.stop());
    if (::ftruncate(out_.get(), 0) != 0)
      throw base::system_error(errno, "truncate", file_.native());
    base::write_full(out_.get(), base::bytes_of(text), file_.native());
  } catch (const base::Error& error) {
    base::log_warning("the profile was not written: " + std::string(error.what()));
  }
}

}  // namespace strake::cli
