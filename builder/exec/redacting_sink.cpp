#include "builder/exec/redacting_sink.h"

#include <algorithm>

namespace strake::builder {
namespace {

constexpr std::string_view kReplacement = "****";

void add_lines(std::string_view secret, std::vector<std::string>& lines) {
  while (!secret.empty()) {
    std::string_view line = secret.substr(0, secret.find('\n'));
    secret.remove_prefix(std::min(secret.size(), line.size() + 1));
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.size() >= RedactingSink::kShortestRedacted) lines.emplace_back(line);
  }
}

}  // namespace

RedactingSink::RedactingSink(base::ByteSink& to, std::span<const std::string_view> secrets)
    : to_(to) {
  for (const std::string_view secret : secrets) add_lines(secret, secrets_);
  std::stable_sort(secrets_.begin(), secrets_.end(),
                   [](const auto& a, const auto& b) { return a.size() > b.size(); });
  for (const std::string& secret : secrets_) beginnings_ += secret.front();
}

void RedactingSink::write(std::span<const std::byte> bytes) {
  if (secrets_.empty()) return to_.write(bytes);
  pending_.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  pass_on(More::may_come);
}

void RedactingSink::finish() {
  pass_on(More::is_not_to_come);
}

void RedactingSink::pass_on(More more) {
  std::string out;
  std::size_t at = 0;
  while (at < pending_.size()) {
    const std::size_t next = std::min(pending_.find_first_of(beginnings_, at), pending_.size());
    out.append(pending_, at, next - at);
    at = next;
    const std::string_view rest = std::string_view(pending_).substr(at);
    const auto secret = std::find_if(secrets_.begin(), secrets_.end(), [&](const auto& candidate) {
      return rest.starts_with(candidate) ||
             (more == More::may_come && std::string_view(candidate).starts_with(rest));
    });
    if (rest.empty() || (secret != secrets_.end() && rest.size() < secret->size())) break;
    if (secret == secrets_.end()) {
      out += rest.front();
      ++at;
    } else {
      out += kReplacement;
      at += secret->size();
    }
  }
  pending_.erase(0, at);
  if (!out.empty()) to_.write(base::bytes_of(out));
}

}  // namespace strake::builder
