#include "builder/check/reporter.h"

#include <algorithm>

#include "builder/check/rules.h"
#include "builder/dockerfile/words.h"

namespace strake::check {
namespace {

using dockerfile::CheckSettings;

bool names(const std::vector<std::string>& list, std::string_view rule) {
  return std::find(list.begin(), list.end(), rule) != list.end();
}

/// An experimental rule is wanted or not: that it is skipped too changes nothing, as in docker.
bool wants(const CheckSettings& settings, std::string_view rule) {
  const Rule* known = find_rule(rule);
  if (known != nullptr && known->experimental)
    return settings.experimental_all || names(settings.experimental, rule);
  return !settings.skip_all && !names(settings.skip, rule);
}

void merge(CheckSettings& into, const CheckSettings& more) {
  into.skip.insert(into.skip.end(), more.skip.begin(), more.skip.end());
  into.experimental.insert(into.experimental.end(), more.experimental.begin(),
                           more.experimental.end());
  into.skip_all |= more.skip_all;
  into.experimental_all |= more.experimental_all;
  into.warnings_are_errors |= more.warnings_are_errors;
}

/// What the comments above `about` add to `settings`.
CheckSettings with_comments(CheckSettings settings, const dockerfile::Instruction& about) {
  for (const std::string& comment : about.comments) {
    const std::size_t equals = comment.find('=');
    if (equals == std::string::npos) continue;
    const std::string_view text = comment;
    if (dockerfile::to_lower(dockerfile::trim(text.substr(0, equals))) != "check") continue;
    try {
      merge(settings, dockerfile::parse_check_settings(text.substr(equals + 1)));
    } catch (base::Error& error) {
      error.set_location(about.where);
      throw;
    }
  }
  return settings;
}

}  // namespace

void Reporter::add(std::string_view rule, const dockerfile::Instruction& about,
                   std::string detail) {
  add(rule, about, about.where, std::move(detail));
}

void Reporter::add(std::string_view rule, const dockerfile::Instruction& about,
                   const base::SourceRange& where, std::string detail) {
  if (about.comments.empty()) return add(rule, where, std::move(detail));
  add_with(with_comments(settings_, about), rule, where, std::move(detail));
}

void Reporter::add(std::string_view rule, const base::SourceRange& where, std::string detail) {
  add_with(settings_, rule, where, std::move(detail));
}

void Reporter::add_with(const CheckSettings& settings, std::string_view rule,
                        const base::SourceRange& where, std::string detail) {
  if (!wants(settings, rule)) return;
  const bool is_error = settings.warnings_are_errors || options_.findings_are_errors;
  Finding finding{rule, std::move(detail), where, is_error ? Severity::error : Severity::warning};
  findings_.push_back(std::move(finding));
}

std::vector<Finding> Reporter::take() {
  std::stable_sort(findings_.begin(), findings_.end(), [](const Finding& a, const Finding& b) {
    return a.where.first_line < b.where.first_line;
  });
  return std::move(findings_);
}

}  // namespace strake::check
