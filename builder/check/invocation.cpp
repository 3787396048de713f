#include "builder/check/invocation.h"

#include <algorithm>
#include <array>
#include <span>
#include <utility>

namespace strake::check {
namespace {

/// A program that runs the rest of its line, and which of its options have a value behind them.
struct Wrapper {
  std::string_view name;
  std::string_view options_with_value;  // short ones
  int operands = 0;                     // before the command: "timeout 30 apt-get"
  bool changes_user = false;
};

constexpr auto kWrappers = std::to_array<Wrapper>({
    {"sudo", "ugpChrtCD"},
    {"env", "uCS"},
    {"command", ""},
    {"builtin", ""},
    {"exec", "a"},
    {"nohup", ""},
    {"time", "fo"},
    {"nice", "n"},
    {"ionice", "cn"},
    {"eatmydata", ""},
    {"timeout", "sk", 1},
    {"gosu", "", 1, true},
    {"su-exec", "", 1, true},
});

const Wrapper* find_wrapper(std::string_view program) {
  const auto* found = std::find_if(kWrappers.begin(), kWrappers.end(),
                                   [&](const Wrapper& w) { return w.name == program; });
  return found == kWrappers.end() ? nullptr : found;
}

std::string base_name(const ShellWord& word) {
  if (!word.literal) return "";
  return word.text.substr(word.text.rfind('/') + 1);
}

bool is_option(const ShellWord& word) {
  return word.text.size() > 1 && word.text[0] == '-';
}

bool is_assignment(const ShellWord& word) {
  const std::size_t equals = word.text.find('=');
  return equals != std::string::npos && equals > 0 && word.text[0] != '-';
}

/// Takes a wrapper's own words off the front of `words`.
void skip_wrapper(const Wrapper& wrapper, std::span<const ShellWord>& words,
                  Invocation& invocation) {
  words = words.subspan(1);
  while (!words.empty() && (is_option(words[0]) || is_assignment(words[0]))) {
    const std::string& text = words[0].text;
    if (!is_option(words[0])) invocation.variables.push_back(text);
    if (text == "--user" || text.starts_with("--user=") || text == "-u")
      invocation.as_other_user |= wrapper.name == "sudo";
    const bool has_value =
        text.size() == 2 && wrapper.options_with_value.find(text[1]) != std::string_view::npos;
    words =
        words.subspan(text == "--" ? 1 : std::min<std::size_t>(has_value ? 2 : 1, words.size()));
    if (text == "--") break;
  }
  words = words.subspan(
      std::min<std::size_t>(static_cast<std::size_t>(wrapper.operands), words.size()));
  invocation.by_sudo |= wrapper.name == "sudo";
  invocation.as_other_user |= wrapper.changes_user;
}

}  // namespace

bool Invocation::has(std::string_view value) const {
  return std::any_of(arguments.begin(), arguments.end(),
                     [&](const ShellWord& word) { return word.is(value); });
}

bool Invocation::has_short(char option) const {
  return std::any_of(arguments.begin(), arguments.end(), [&](const ShellWord& word) {
    const std::string& text = word.text;
    return text.size() > 1 && text[0] == '-' && text[1] != '-' &&
           text.substr(0, text.find('=')).find(option, 1) != std::string::npos;
  });
}

std::string Invocation::verb() const {
  for (const ShellWord& word : arguments)
    if (!is_option(word)) return word.literal ? word.text : "";
  return "";
}

std::vector<ShellWord> Invocation::operands(
    const std::vector<std::string_view>& with_values) const {
  std::vector<ShellWord> operands;
  bool seen_verb = false;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    const ShellWord& word = arguments[i];
    if (is_option(word)) {
      if (std::find(with_values.begin(), with_values.end(), word.text) != with_values.end()) ++i;
    } else if (std::exchange(seen_verb, true)) {
      operands.push_back(word);
    }
  }
  return operands;
}

bool Invocation::all_literal() const {
  return std::all_of(arguments.begin(), arguments.end(),
                     [](const ShellWord& word) { return word.literal; });
}

bool Invocation::may_hide_options() const {
  return std::any_of(arguments.begin(), arguments.end(),
                     [](const ShellWord& word) { return !word.literal && !word.quoted; });
}

std::optional<Invocation> invocation_of(const ShellCommand& command) {
  Invocation invocation;
  for (const ShellWord& word : command.assignments) invocation.variables.push_back(word.text);
  std::span<const ShellWord> words = command.words;
  while (!words.empty()) {
    const Wrapper* wrapper = find_wrapper(base_name(words[0]));
    if (wrapper == nullptr) break;
    skip_wrapper(*wrapper, words, invocation);
  }
  if (words.empty()) return std::nullopt;
  invocation.program = base_name(words[0]);
  invocation.path = words[0].text;
  invocation.arguments.assign(words.begin() + 1, words.end());
  invocation.redirections = command.redirections;
  invocation.next = command.next;
  invocation.piped_into = command.piped_into;
  invocation.depth = command.depth;
  return invocation;
}

bool is_shell(std::string_view program) {
  constexpr auto kShells =
      std::to_array<std::string_view>({"sh", "bash", "dash", "ash", "zsh", "ksh"});
  return std::find(kShells.begin(), kShells.end(), program) != kShells.end();
}

std::optional<std::string> inner_script(const Invocation& invocation) {
  if (!is_shell(invocation.program)) return std::nullopt;
  for (std::size_t i = 0; i + 1 < invocation.arguments.size(); ++i) {
    const ShellWord& option = invocation.arguments[i];
    if (!is_option(option)) return std::nullopt;
    if (option.text[1] == '-' || option.text.back() != 'c') continue;
    // Within double quotes variables stand as written, so the text can be read all the same.
    return invocation.arguments[i + 1].text;
  }
  return std::nullopt;
}

}  // namespace strake::check
