#include "builder/sandbox/id_map.h"

#include <algorithm>
#include <charconv>
#include <limits>
#include <mutex>
#include <optional>

#include "layers/base/files.h"

namespace strake::sandbox {
namespace {

constexpr std::uint64_t kMostIds = std::numeric_limits<std::uint32_t>::max();

/// Takes the part before `separator` off the front of `text`.
std::string_view cut(std::string_view& text, char separator) {
  const std::size_t end = std::min(text.find(separator), text.size());
  const std::string_view part = text.substr(0, end);
  text.remove_prefix(std::min(end + 1, text.size()));
  return part;
}

bool parse_number(std::string_view text, std::uint32_t& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size();
}

std::vector<std::string_view> words_of(std::string_view line) {
  std::vector<std::string_view> words;
  while (!line.empty())
    if (const std::string_view word = cut(line, ' '); !word.empty()) words.push_back(word);
  return words;
}

/// Guards the two maps below: they are the process's, and change with its namespace.
std::mutex g_mutex;
std::optional<IdMap> g_users, g_groups;

const IdMap& own_map(std::optional<IdMap>& map, const char* file) {
  const std::lock_guard lock(g_mutex);
  if (!map) {
    map = parse_id_map(base::read_file(file).value_or(""));
    // A kernel without user namespaces has no such file; all ids are its own.
    if (map->empty()) map = {{0, 0, static_cast<std::uint32_t>(kMostIds)}};
  }
  return *map;
}

}  // namespace

IdMap parse_id_map(std::string_view text) {
  IdMap map;
  while (!text.empty()) {
    const std::vector<std::string_view> words = words_of(cut(text, '\n'));
    IdExtent extent;
    if (words.size() == 3 && parse_number(words[0], extent.inside) &&
        parse_number(words[1], extent.outside) && parse_number(words[2], extent.count))
      map.push_back(extent);
  }
  return map;
}

std::string to_text(const IdMap& map) {
  std::string text;
  for (const IdExtent& extent : map)
    text += std::to_string(extent.inside) + " " + std::to_string(extent.outside) + " " +
            std::to_string(extent.count) + "\n";
  return text;
}

IdMap identity_of(const IdMap& own) {
  IdMap map = own;
  for (IdExtent& extent : map) extent.outside = extent.inside;
  return map;
}

bool has_id(const IdMap& map, std::uint32_t inside) {
  return std::ranges::any_of(map, [inside](const IdExtent& extent) {
    return inside >= extent.inside && inside - extent.inside < extent.count;
  });
}

std::uint64_t count_ids(const IdMap& map) {
  std::uint64_t count = 0;
  for (const IdExtent& extent : map) count += extent.count;
  return count;
}

std::vector<IdRange> subordinate_ids(std::string_view text, std::string_view name,
                                     std::uint32_t uid) {
  std::vector<IdRange> ranges;
  const std::string number = std::to_string(uid);
  while (!text.empty()) {
    std::string_view line = cut(text, '\n');
    const std::string_view owner = cut(line, ':');
    const std::string_view first = cut(line, ':');
    IdRange range;
    if (owner.empty() || (owner != name && owner != number)) continue;
    if (parse_number(first, range.first) && parse_number(line, range.count) && range.count != 0 &&
        std::uint64_t{range.first} + range.count <= kMostIds)
      ranges.push_back(range);
  }
  return ranges;
}

IdMap map_below_root(std::uint32_t own, const std::vector<IdRange>& ranges) {
  IdMap map{{0, own, 1}};
  std::uint64_t next = 1;
  for (const IdRange& range : ranges) {
    const std::uint64_t count = std::min<std::uint64_t>(range.count, kMostIds - next);
    if (count == 0) break;
    map.push_back(
        {static_cast<std::uint32_t>(next), range.first, static_cast<std::uint32_t>(count)});
    next += count;
  }
  return map;
}

const IdMap& own_user_map() {
  return own_map(g_users, "/proc/self/uid_map");
}

const IdMap& own_group_map() {
  return own_map(g_groups, "/proc/self/gid_map");
}

bool is_first_user_namespace() {
  return count_ids(own_user_map()) == kMostIds;
}

void forget_own_maps() noexcept {
  const std::lock_guard lock(g_mutex);
  g_users.reset();
  g_groups.reset();
}

}  // namespace strake::sandbox
