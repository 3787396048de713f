#include "builder/cli/option_set.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <map>

#include "layers/base/error.h"
#include "layers/base/log.h"

namespace strake::cli {
namespace {

constexpr std::size_t kHelpColumn = 32;

struct HelpRow {
  std::string left;  // "" is a heading
  std::string text;
};

bool is_flag_like(const std::string& word) {
  return word.size() > 1 && word[0] == '-';
}

/// "--tag" of "--tag=a".
std::string flag_name(const std::string& word) {
  return word.substr(0, word.find('='));
}

/// "-t,--tag" and "NAME" as "-t, --tag NAME", long-only options indented to match.
std::string help_left(const std::string& names, const std::string& value) {
  const std::size_t comma = names.find(',');
  std::string left = comma == std::string::npos
                         ? (names.starts_with("--") ? "    " + names : names)
                         : names.substr(0, comma) + ", " + names.substr(comma + 1);
  return value.empty() ? left : left + value;
}

}  // namespace

struct OptionSet::State {
  State(std::string verb_name, std::string operand_names, std::string summary_text)
      : verb(std::move(verb_name)),
        operand_usage(std::move(operand_names)),
        summary(std::move(summary_text)) {}

  std::string verb, operand_usage, summary, epilogue;
  CLI::App app;
  std::vector<HelpRow> rows;
  std::vector<std::string> long_names;              // for "did you mean"
  std::vector<std::string> value_names;             // options that take a value: "--tag", "-t"
  std::map<std::string, std::string> refused;       // name → reason
  std::map<std::string, std::string> long_of_flag;  // "-q" → "--quiet"
  std::vector<std::string> operands;
  bool ends_at_operand = false;

  void add_row(const std::string& names, const std::string& value, std::string text) {
    for (const std::string& name : CLI::detail::split(names, ','))
      if (name.starts_with("--") && !text.empty()) long_names.push_back(name);
    if (!text.empty()) rows.push_back({help_left(names, value), std::move(text)});
  }

  /// An option with a value; `take` gets all values it was given.
  void add_value_option(const std::string& names, CLI::callback_t take) {
    for (const std::string& name : CLI::detail::split(names, ',')) value_names.push_back(name);
    app.add_option(names, std::move(take))
        ->expected(1, CLI::detail::expected_max_vector_size)
        ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
        ->allow_extra_args(false);
  }

  void add_flag(const std::string& names, std::function<void(const std::string&)> take) {
    if (const std::size_t comma = names.find(','); comma != std::string::npos)
      long_of_flag[names.substr(0, comma)] = names.substr(comma + 1);
    flags.emplace_back(app.add_flag(names), std::move(take));
  }

  bool takes_value(const std::string& name) const {
    return std::find(value_names.begin(), value_names.end(), name) != value_names.end();
  }
  bool waits_for_value(const std::string& word) const;
  std::size_t count_options(std::span<const std::string> arguments) const;
  std::vector<std::string> normalised(std::span<const std::string> arguments) const;
  void collect_operands();
  base::Error usage_error(std::string message) const;

  std::vector<std::pair<const CLI::Option*, std::function<void(const std::string&)>>> flags;
};

/// Whether the next word is the value of this one: "--env", "-e", "-ite".
bool OptionSet::State::waits_for_value(const std::string& word) const {
  if (!is_flag_like(word) || word.find('=') != std::string::npos) return false;
  if (word.starts_with("--")) return takes_value(word);
  for (std::size_t i = 1; i < word.size(); ++i)
    if (takes_value(std::string("-") + word[i])) return i + 1 == word.size();
  return false;
}

/// How many words come before the first operand.
std::size_t OptionSet::State::count_options(std::span<const std::string> arguments) const {
  std::size_t count = 0;
  while (count < arguments.size() && is_flag_like(arguments[count]) && arguments[count] != "--")
    count += waits_for_value(arguments[count]) ? 2 : 1;
  return std::min(count, arguments.size());
}

/// The arguments in a form that CLI11 reads as pflag would: "--name=value" and "-n=value" of value
/// options become two words, so that an empty value stays one; "-q=false" becomes "--quiet=false".
std::vector<std::string> OptionSet::State::normalised(
    std::span<const std::string> arguments) const {
  std::vector<std::string> words;
  const std::size_t options = ends_at_operand ? count_options(arguments) : arguments.size();
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    const std::string& word = arguments[i];
    if (i == options && word != "--") words.emplace_back("--");
    if (word == "--" || i >= options) {
      words.insert(words.end(), arguments.begin() + static_cast<std::ptrdiff_t>(i),
                   arguments.end());
      break;
    }
    const std::string name = flag_name(word);
    if (!is_flag_like(word) || !takes_value(name)) {
      const auto flag = name.size() < word.size() ? long_of_flag.find(name) : long_of_flag.end();
      words.push_back(flag == long_of_flag.end() ? word : flag->second + word.substr(name.size()));
      continue;
    }
    words.push_back(name);
    if (name.size() < word.size())
      words.push_back(word.substr(name.size() + 1));
    else if (i + 1 < arguments.size())
      words.push_back(arguments[++i]);  // whatever it looks like
    else
      throw usage_error("flag " + base::quoted(name) + " needs a value");
  }
  return words;
}

base::Error OptionSet::State::usage_error(std::string message) const {
  return base::Error(base::ErrorCode::invalid_input, std::move(message))
      .hint("run \"strake " + verb + " --help\" to see what it takes");
}

/// What CLI11 did not recognise: operands, and flags that do not exist.
void OptionSet::State::collect_operands() {
  bool only_operands = false;
  for (const std::string& word : app.remaining()) {
    if (word == "--" && !only_operands) {
      only_operands = true;
    } else if (!only_operands && is_flag_like(word)) {
      const std::string name = flag_name(word);
      if (const auto reason = refused.find(name); reason != refused.end())
        throw base::Error(base::ErrorCode::invalid_input,
                          "flag " + base::quoted(name) + " is not supported: " + reason->second);
      base::Error error =
          usage_error("unknown flag " + base::quoted(name) + " for \"strake " + verb + "\"");
      if (const std::string near = base::nearest(name, long_names); !near.empty())
        throw base::Error(error.code(), error.what())
            .hint("did you mean " + base::quoted(near) + "?");
      throw error;
    } else {
      operands.push_back(word);
    }
  }
}

OptionSet::OptionSet(std::string verb, std::string operands, std::string summary)
    : state_(std::make_unique<State>(std::move(verb), std::move(operands), std::move(summary))) {
  state_->app.set_help_flag();
  state_->app.allow_extras();
}
OptionSet::~OptionSet() = default;
OptionSet::OptionSet(OptionSet&&) noexcept = default;
OptionSet& OptionSet::operator=(OptionSet&&) noexcept = default;

void OptionSet::section(std::string title) {
  state_->rows.push_back({"", std::move(title)});
}

void OptionSet::flag(const std::string& names, bool& value, std::string help) {
  state_->add_row(names, "", std::move(help));
  state_->add_flag(names, [state = state_.get(), names, &value](const std::string& word) {
    if (word != "true" && word != "false" && word != "1" && word != "0")
      throw state->usage_error("flag " + base::quoted(names.substr(names.rfind(',') + 1)) +
                               " is either true or false, not " + base::quoted(word));
    value = word == "true" || word == "1";
  });
}

void OptionSet::text(const std::string& names, std::string placeholder,
                     std::optional<std::string>& value, std::string help) {
  state_->add_row(names, " " + placeholder, std::move(help));
  state_->add_value_option(names, [&value](const CLI::results_t& values) {
    value = values.back();
    return true;
  });
}

void OptionSet::list(const std::string& names, std::string placeholder,
                     std::vector<std::string>& value, std::string help) {
  state_->add_row(names, " " + placeholder, std::move(help));
  state_->add_value_option(names, [&value](const CLI::results_t& values) {
    value = values;
    return true;
  });
}

void OptionSet::optional_text(const std::string& names, std::string placeholder,
                              std::string implied, std::optional<std::string>& value,
                              std::string help) {
  state_->add_row(names, "[=" + placeholder + "]", std::move(help));
  state_->add_flag(names, [&value, implied = std::move(implied)](const std::string& word) {
    value = word == "true" ? implied : word;
  });
}

void OptionSet::accept_flag(const std::string& names) {
  state_->add_flag(names, [names](const std::string&) {
    base::log_debug("flag " + names + " changes nothing here");
  });
}

void OptionSet::accept_value(const std::string& names) {
  state_->add_value_option(names, [names](const CLI::results_t&) {
    base::log_debug("flag " + names + " changes nothing here");
    return true;
  });
}

void OptionSet::refuse(const std::string& name, std::string reason) {
  state_->refused.emplace(name, std::move(reason));
}

void OptionSet::end_at_operand() {
  state_->ends_at_operand = true;
}

void OptionSet::epilogue(std::string text) {
  state_->epilogue = std::move(text);
}

bool OptionSet::parse(std::span<const std::string> arguments) {
  auto end = std::find(arguments.begin(), arguments.end(), "--");
  if (state_->ends_at_operand)
    end = std::min(
        end, arguments.begin() + static_cast<std::ptrdiff_t>(state_->count_options(arguments)));
  const bool short_help = !state_->takes_value("-h");
  const bool help = std::any_of(arguments.begin(), end, [&](const std::string& word) {
    return word == "--help" || (short_help && word == "-h");
  });
  if (help) return false;
  std::vector<std::string> words = state_->normalised(arguments);
  std::reverse(words.begin(), words.end());  // CLI11 takes them from the back
  try {
    state_->app.parse(words);
  } catch (const CLI::ParseError& error) {
    throw state_->usage_error(error.what());
  }
  for (const auto& [option, take] : state_->flags)
    if (option->count() > 0) take(option->results().back());
  state_->collect_operands();
  return true;
}

const std::vector<std::string>& OptionSet::operands(std::size_t least, std::size_t most) const {
  const std::vector<std::string>& given = state_->operands;
  if (given.size() < least)
    throw state_->usage_error("\"strake " + state_->verb + "\" needs " + state_->operand_usage +
                              (given.empty() ? "" : ", got only " + base::quoted(given.back())));
  if (given.size() > most)
    throw state_->usage_error("\"strake " + state_->verb + "\" does not know what to do with " +
                              base::quoted(given[most]));
  return given;
}

std::string OptionSet::help() const {
  std::string out = "Usage: strake " + state_->verb + " [OPTIONS]";
  if (!state_->operand_usage.empty()) out += " " + state_->operand_usage;
  out += "\n\n" + state_->summary + "\n";
  if (!state_->rows.empty() && !state_->rows.front().left.empty()) out += "\n";
  for (const HelpRow& row : state_->rows) {
    if (row.left.empty()) {
      out += "\n" + row.text + ":\n";
      continue;
    }
    std::string line = "  " + row.left;
    line += line.size() + 2 > kHelpColumn ? "\n" + std::string(kHelpColumn, ' ')
                                          : std::string(kHelpColumn - line.size(), ' ');
    out += line + row.text + "\n";
  }
  if (!state_->epilogue.empty()) out += "\n" + state_->epilogue + "\n";
  return out;
}

}  // namespace strake::cli
