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
}

void RedactingSink::write(std::span<const std::byte> bytes) {
  if (secrets_.empty()) return to_.write(bytes);
  pending_.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  replace_secrets();
  pass_on(pending_.size() - held_back());
}

void RedactingSink::finish() {
  pass_on(pending_.size());
}

void RedactingSink::replace_secrets() {
  for (const std::string& secret : secrets_)
    for (std::size_t at = pending_.find(secret); at != std::string::npos;
         at = pending_.find(secret, at + kReplacement.size()))
      pending_.replace(at, secret.size(), kReplacement);
}

/// The length of the longest end of what is pending that begins a secret.
std::size_t RedactingSink::held_back() const {
  std::size_t longest = 0;
  for (const std::string& secret : secrets_) {
    std::size_t size = std::min(secret.size() - 1, pending_.size());
    while (size > longest && !pending_.ends_with(std::string_view(secret).substr(0, size))) --size;
    longest = std::max(longest, size);
  }
  return longest;
}

void RedactingSink::pass_on(std::size_t size) {
  if (size == 0) return;
  to_.write(base::bytes_of(std::string_view(pending_).substr(0, size)));
  pending_.erase(0, size);
}

}  // namespace strake::builder
