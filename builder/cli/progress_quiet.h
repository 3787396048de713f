#pragma once

#include <memory>
#include <mutex>
#include <string>

#include "builder/cli/progress.h"
#include "builder/cli/task_table.h"
#include "layers/base/stream.h"

namespace strake::cli {

/// Shows nothing while the build goes well: only lines of the log, warnings as a rule.
class QuietProgress final : public Display {
 public:
  explicit QuietProgress(std::unique_ptr<base::ByteSink> out) : out_(std::move(out)) {}

  builder::TaskId start(const builder::TaskInfo& info) override;
  void output(builder::TaskId id, std::span<const std::byte> bytes) override;
  void bytes(builder::TaskId, const std::string&, std::uint64_t, std::uint64_t) override {}
  void note(builder::TaskId, const std::string&) override {}
  void finish(builder::TaskId id, builder::Outcome outcome) override;
  void message(const std::string&) override {}
  void close() override {}
  void suspend() override;
  void resume() override;
  std::string report_of(builder::TaskId id) override;
  std::string failure_report() const override;
  void log_line(const std::string& line) override;

 private:
  const std::unique_ptr<base::ByteSink> out_;
  mutable std::mutex mutex_;  // guards out_ and what follows
  TaskTable tasks_;
  bool suspended_ = false;
  std::string held_;  // while suspended: lines of the log
};

}  // namespace strake::cli
