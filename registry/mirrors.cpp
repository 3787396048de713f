#include "registry/mirrors.h"

#include <algorithm>

#include "layers/base/log.h"

namespace strake::registry {
namespace {

using base::Error;
using base::ErrorCode;

/// Long enough not to wait for it with every blob of an image, short enough for a restart.
constexpr std::chrono::seconds kDownTime{60};

}  // namespace

bool is_about_the_place(const Error& error) {
  switch (error.code()) {
    case ErrorCode::not_found:
    case ErrorCode::denied:
    case ErrorCode::corrupt:
    case ErrorCode::unavailable:
    case ErrorCode::unsupported:
      return true;
    default:
      return false;
  }
}

void MirrorHealth::set_down(const std::string& host) {
  const std::lock_guard lock(mutex_);
  down_until_[host] = now_() + kDownTime;
}

bool MirrorHealth::is_down(const std::string& host) const {
  const std::lock_guard lock(mutex_);
  const auto found = down_until_.find(host);
  return found != down_until_.end() && now_() < found->second;
}

PlacesToTry::PlacesToTry(std::vector<oci::Repository> places, MirrorHealth& health)
    : places_(std::move(places)), health_(health) {
  const auto last = places_.end() - 1;
  const auto is_down = [&](const oci::Repository& place) {
    if (!health_.is_down(place.host)) return false;
    failures_.push_back("mirror " + base::quoted(place.str()) + " did not answer a while ago");
    return true;
  };
  places_.erase(std::remove_if(places_.begin(), last, is_down), last);
}

bool PlacesToTry::go_on(const Error& error) {
  if (is_last() || !is_about_the_place(error)) return false;
  const std::string failure = "mirror " + base::quoted(current().str()) + ": " + error.what();
  if (error.code() == ErrorCode::unavailable) health_.set_down(current().host);
  // What a mirror lacks or refuses is everyday; what it falsifies is not.
  base::log(error.code() == ErrorCode::corrupt ? base::LogLevel::warning : base::LogLevel::debug,
            failure + "; going on with " + base::quoted(places_[current_ + 1].str()));
  failures_.push_back(failure);
  ++current_;
  return true;
}

Error PlacesToTry::explained(Error error) const {
  for (const std::string& failure : failures_) error.add_note("before it, " + failure);
  return error;
}

}  // namespace strake::registry
