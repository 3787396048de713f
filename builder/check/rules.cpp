#include "builder/check/rules.h"

#include <algorithm>
#include <vector>

#include "builder/check/rule_tables.h"

namespace strake::check {

std::span<const Rule> all_rules() {
  static const std::vector<Rule> kAll = [] {
    std::vector<Rule> all;
    for (std::span<const Rule> origin : {docker_rules(), strake_rules()}) {
      const std::size_t first = all.size();
      all.insert(all.end(), origin.begin(), origin.end());
      std::sort(all.begin() + static_cast<std::ptrdiff_t>(first), all.end(),
                [](const Rule& a, const Rule& b) { return a.name < b.name; });
    }
    return all;
  }();
  return kAll;
}

const Rule* find_rule(std::string_view name) {
  const std::span<const Rule> all = all_rules();
  const auto found =
      std::find_if(all.begin(), all.end(), [&](const Rule& rule) { return rule.name == name; });
  return found == all.end() ? nullptr : &*found;
}

}  // namespace strake::check
