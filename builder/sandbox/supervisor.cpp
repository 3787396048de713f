#include "builder/sandbox/supervisor.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "layers/base/error.h"
#include "layers/base/trace.h"

namespace strake::sandbox {
namespace {

using Clock = std::chrono::steady_clock;

constexpr long kLongestWait = 3'600'000;  // milliseconds; poll takes no more than an int

/// Wakes a poll when a stop is requested from another thread.
class Wakeup {
 public:
  Wakeup() : event_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
    if (!event_) throw base::system_error(errno, "create", "event descriptor");
  }
  int fd() const noexcept { return event_.get(); }
  void ring() const noexcept {
    const std::uint64_t one = 1;
    [[maybe_unused]] const ssize_t written = ::write(event_.get(), &one, sizeof one);
  }
  void clear() const noexcept {
    std::uint64_t count;
    [[maybe_unused]] const ssize_t got = ::read(event_.get(), &count, sizeof count);
  }

 private:
  base::FileDescriptor event_;
};

/// The escalation from SIGTERM to SIGKILL.
class Stopper {
 public:
  Stopper(const ChildProcess& init, const StopPolicy& policy) : init_(init), policy_(policy) {}

  bool stopped() const noexcept { return asked_; }
  bool timed_out() const noexcept { return stopping_ && !asked_; }

  void advance() {
    if (!stopping_ && (policy_.polite.stop_requested() || is_over())) {
      stopping_ = true;
      asked_ = policy_.polite.stop_requested();
      init_.signal(SIGTERM);  // init passes it on
      // What shells at a terminal listen to: they ignore the other.
      if (policy_.at_terminal) init_.signal(SIGHUP);
      deadline_ = Clock::now() + policy_.grace;
    }
    if (stopping_ && !killed_ && (policy_.urgent.stop_requested() || Clock::now() >= deadline_)) {
      init_.kill();  // and with init the rest
      killed_ = true;
    }
  }

  /// Milliseconds for poll; -1 without a deadline.
  int patience() const {
    if (killed_ || (!stopping_ && !has_timeout())) return -1;
    const auto left =
        std::chrono::ceil<std::chrono::milliseconds>(deadline_ - Clock::now()).count();
    return static_cast<int>(std::clamp<long>(left, 0, kLongestWait));
  }

 private:
  bool has_timeout() const noexcept { return policy_.timeout.count() > 0; }
  bool is_over() const noexcept { return has_timeout() && Clock::now() >= deadline_; }

  const ChildProcess& init_;
  const StopPolicy& policy_;
  Clock::time_point deadline_ = Clock::now() + policy_.timeout;  // then of the grace
  bool stopping_ = false;
  bool asked_ = false;  // from outside
  bool killed_ = false;
};

std::vector<StatusRecord> read_records(int status) {
  std::vector<StatusRecord> records;
  StatusRecord record;
  while (::read(status, &record, sizeof record) == static_cast<ssize_t>(sizeof record))
    records.push_back(record);
  return records;
}

void make_nonblocking(int fd) {
  if (::fcntl(fd, F_SETFL, O_NONBLOCK) != 0) throw base::system_error(errno, "set up", "pipe");
}

}  // namespace

Outcome supervise(ChildProcess init, base::FileDescriptor status,
                  std::span<const std::unique_ptr<Flow>> flows, const StopPolicy& policy) {
  const base::TraceSpan span("command");
  make_nonblocking(status.get());
  Wakeup wakeup;
  const std::stop_callback on_polite(policy.polite, [&] { wakeup.ring(); });
  const std::stop_callback on_urgent(policy.urgent, [&] { wakeup.ring(); });
  Stopper stopper(init, policy);

  // Our own first, then one for each flow.
  std::vector<pollfd> events{{init.pidfd(), POLLIN, 0}, {wakeup.fd(), POLLIN, 0}};
  const std::size_t own = events.size();
  events.resize(own + flows.size());
  while ((events[0].revents & POLLIN) == 0) {
    stopper.advance();
    for (std::size_t i = 0; i < flows.size(); ++i) events[own + i] = flows[i]->awaited();
    if (::poll(events.data(), events.size(), stopper.patience()) < 0) {
      if (errno != EINTR) throw base::system_error(errno, "wait for", "the step");
      continue;
    }
    if (events[1].revents != 0) wakeup.clear();
    for (std::size_t i = 0; i < flows.size(); ++i)
      if (events[own + i].revents != 0) flows[i]->advance(init);
  }
  for (const std::unique_ptr<Flow>& flow : flows) flow->finish();
  init.wait();
  return {read_records(status.get()), stopper.stopped(), stopper.timed_out()};
}

}  // namespace strake::sandbox
