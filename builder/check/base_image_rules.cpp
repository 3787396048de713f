#include <algorithm>
#include <array>

#include "builder/check/own_rules.h"

namespace strake::check {
namespace {

/// Versions up to `major`.`minor` of an official image get no fixes any more. `minor` -1: all of
/// that major version.
struct EndOfLife {
  std::string_view image;
  int major = 0, minor = -1;
  std::string_view since;  // of the newest of them
};

// For each image in ascending order: the first row that covers a version tells its date.
constexpr auto kEndOfLife = std::to_array<EndOfLife>({
    {"python", 2, -1, "January 2020"},  {"python", 3, 5, "September 2020"},
    {"python", 3, 6, "December 2021"},  {"python", 3, 7, "June 2023"},
    {"python", 3, 8, "October 2024"},   {"python", 3, 9, "October 2025"},
    {"node", 10, -1, "April 2021"},     {"node", 11, -1, "June 2019"},
    {"node", 12, -1, "April 2022"},     {"node", 13, -1, "June 2020"},
    {"node", 14, -1, "April 2023"},     {"node", 15, -1, "June 2021"},
    {"node", 16, -1, "September 2023"}, {"node", 17, -1, "June 2022"},
    {"node", 18, -1, "April 2025"},     {"debian", 8, -1, "June 2020"},
    {"debian", 9, -1, "June 2022"},     {"debian", 10, -1, "June 2024"},
    {"ubuntu", 14, -1, "April 2019"},   {"ubuntu", 16, -1, "April 2021"},
    {"ubuntu", 18, -1, "May 2023"},     {"alpine", 2, -1, "November 2018"},
    {"alpine", 3, 12, "May 2022"},      {"alpine", 3, 13, "November 2022"},
    {"alpine", 3, 14, "May 2023"},      {"alpine", 3, 15, "November 2023"},
    {"centos", 6, -1, "November 2020"}, {"centos", 7, -1, "June 2024"},
    {"centos", 8, -1, "December 2021"}, {"php", 7, -1, "November 2022"},
    {"ruby", 2, -1, "March 2023"},      {"golang", 1, 20, "February 2024"},
});

/// Names of releases in tags: "debian:buster", "python:3.11-buster", "ubuntu:bionic".
struct Release {
  std::string_view name, title, since;
};
constexpr auto kReleases = std::to_array<Release>({
    {"wheezy", "Debian 7", "May 2018"},
    {"jessie", "Debian 8", "June 2020"},
    {"stretch", "Debian 9", "June 2022"},
    {"buster", "Debian 10", "June 2024"},
    {"precise", "Ubuntu 12.04", "April 2017"},
    {"trusty", "Ubuntu 14.04", "April 2019"},
    {"xenial", "Ubuntu 16.04", "April 2021"},
    {"bionic", "Ubuntu 18.04", "May 2023"},
});

bool covers(const EndOfLife& row, const TagVersion& version) {
  if (version.major != row.major) return version.major < row.major;
  return row.minor == -1 || (version.minor != -1 && version.minor <= row.minor);
}

/// "buster" as a part of "3.11-slim-buster".
bool has_part(std::string_view tag, std::string_view part) {
  while (true) {
    const std::size_t end = std::min(tag.find('-'), tag.size());
    if (tag.substr(0, end) == part) return true;
    if (end == tag.size()) return false;
    tag.remove_prefix(end + 1);
  }
}

std::string end_of_life(const NamedImage& image) {
  const std::string_view name = image.official();
  const std::string tag = image.tag.value_or("");
  if (name.empty() || tag.empty()) return "";
  for (const Release& release : kReleases)
    if (has_part(tag, release.name))
      return std::string(release.title) + " gets no fixes since " + std::string(release.since);
  const TagVersion version = tag_version(tag);
  if (version.major < 0) return "";
  for (const EndOfLife& row : kEndOfLife) {
    if (row.image != name || !covers(row, version)) continue;
    std::string shown = std::string(name) + " " + std::to_string(version.major);
    if (version.minor >= 0) shown += "." + std::string(tag.substr(tag.find('.') + 1, 2));
    while (!shown.empty() && (shown.back() == '-' || shown.back() == '.')) shown.pop_back();
    return shown + " gets no fixes since " + std::string(row.since);
  }
  return "";
}

}  // namespace

void check_base_image(const StageFacts& stage, Reporter& reporter) {
  if (!stage.image) return;
  const NamedImage& image = *stage.image;
  const std::string name = base::quoted(stage.image_text);
  if (!image.has_digest && image.tag.value_or("latest") == "latest")
    reporter.add(
        "BaseImageWithoutVersion", *stage.from,
        "the base image " + name +
            (image.tag ? " is whatever \"latest\" is when it is pulled"
                       : " has no tag, so it is whatever \"latest\" is when it is pulled"));
  const std::string ended = end_of_life(image);
  if (!ended.empty())
    reporter.add("BaseImageEndOfLife", *stage.from, "the base image " + name + " is old: " + ended);
}

}  // namespace strake::check
