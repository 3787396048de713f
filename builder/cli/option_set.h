#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace strake::cli {

/// The options of one verb: declared once, and with that parsed, explained in --help, and known to
/// the "did you mean". Declared variables must outlive the set.
///
/// Words are docker's: "--name value", "--name=value", "-n value", "-nvalue", flags as "--name" or
/// "--name=false", options and operands in any order, "--" ends the options. A value option given
/// twice keeps the last value.
class OptionSet {
 public:
  /// `operands` as in the usage line: "[OPTIONS] SOURCE TARGET" without the "[OPTIONS] ".
  OptionSet(std::string verb, std::string operands, std::string summary);
  ~OptionSet();
  OptionSet(OptionSet&&) noexcept;
  OptionSet& operator=(OptionSet&&) noexcept;

  /// A heading in the help for the options that follow.
  void section(std::string title);

  // `names` are "-t,--tag" or "--tag"; an empty `help` keeps an option out of the help text.
  void flag(const std::string& names, bool& value, std::string help);
  void text(const std::string& names, std::string placeholder, std::optional<std::string>& value,
            std::string help);
  void list(const std::string& names, std::string placeholder, std::vector<std::string>& value,
            std::string help);
  /// "--pull" alone gives `implied`, "--pull=missing" the word.
  void optional_text(const std::string& names, std::string placeholder, std::string implied,
                     std::optional<std::string>& value, std::string help);

  /// Options of docker that change nothing here: accepted, with a line in the debug log.
  void accept_flag(const std::string& names);
  void accept_value(const std::string& names);
  /// Options of docker that strake cannot honour: refused with `reason`, never ignored.
  void refuse(const std::string& name, std::string reason);

  /// The first operand ends the options, as in "run IMAGE ls -l": what follows belongs to it.
  void end_at_operand();

  /// Below the options in the help.
  void epilogue(std::string text);

  /// False when --help (or -h, unless that is another option) was asked for; nothing else was
  /// checked then. Throws Error(invalid_input) for anything that is not understood.
  bool parse(std::span<const std::string> arguments);

  /// Operands in their order. With `least`/`most`: throws Error(invalid_input) for another number.
  const std::vector<std::string>& operands(std::size_t least, std::size_t most) const;

  std::string help() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace strake::cli
