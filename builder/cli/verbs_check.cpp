#include "builder/check/rules.h"
#include "builder/cli/verbs.h"
#include "layers/base/error.h"

namespace strake::cli {

CheckFormat parse_check_format(const std::string& word) {
  if (word == "text") return CheckFormat::text;
  if (word == "json") return CheckFormat::json;
  if (word == "sarif") return CheckFormat::sarif;
  throw base::Error(base::ErrorCode::invalid_input,
                    "format " + base::quoted(word) + " is not known")
      .hint("use text, json or sarif");
}

std::optional<CheckFormat> parse_call(const std::string& word) {
  const std::size_t comma = std::min(word.find(','), word.size());
  const std::string name = word.substr(0, comma);
  const std::string rest = word.substr(std::min(comma + 1, word.size()));
  if (name == "build" && rest.empty()) return std::nullopt;
  if (name == "check" || name == "lint") {
    if (rest.empty()) return CheckFormat::text;
    if (rest.starts_with("format=")) return parse_check_format(rest.substr(7));
  }
  throw base::Error(base::ErrorCode::invalid_input,
                    "method " + base::quoted(word) +
                        " is not supported: there are \"build\" and "
                        "\"check\"")
      .hint("use --call=check, or --call=check,format=json");
}

Command parse_check(VerbContext& context) {
  OptionSet options("check", "[PATH | -]",
                    "Checks a Dockerfile without building it: what docker warns about, and more.");
  CheckCommand command;
  std::optional<std::string> file, target, platform, format;
  std::vector<std::string> build_args;
  bool list = false;
  options.text("-f,--file", "FILE", file, "The Dockerfile (default: PATH/Dockerfile); - is stdin");
  options.list("--build-arg", "NAME=VALUE", build_args,
               "Value of an ARG; without \"=\" from the environment");
  options.text("--target", "STAGE", target, "Check this stage and what it needs (default: all)");
  options.text("--platform", "OS/ARCH", platform, "The platform of the build");
  options.text("--format", "FORMAT", format, "text, json or sarif (default: text)");
  options.flag("--error", command.findings_are_errors, "Call findings errors, not warnings");
  options.section("Rules");
  options.flag("--list", list, "List the rules");
  options.text("--explain", "RULE", command.explain, "Say why there is a rule, with an example");
  options.epilogue(
      "\"# check=skip=RULE,RULE\" in the first line of the Dockerfile leaves rules out, above an\n"
      "instruction for that one; \"# check=error=true\" makes findings fail a build.\n"
      "Exit status: 0 nothing found, 1 something found, 3 the Dockerfile cannot be built.");
  if (!context.parse(options)) return HelpCommand{options.help()};
  command.list = list;
  const std::vector<std::string>& operands = options.operands(0, 1);
  command.request.context = operands.empty() ? "." : operands.front();
  command.dockerfile_from_stdin = file == "-" || command.request.context == "-";
  if (file != "-") command.request.dockerfile = file.value_or("");
  if (command.dockerfile_from_stdin && !command.request.dockerfile.empty())
    throw base::Error(base::ErrorCode::invalid_input,
                      "\"-\" takes the Dockerfile from stdin: \"--file\" has no place then");
  for (const std::string& text : build_args) add_build_arg(command.request, text, context);
  command.request.target = target.value_or("");
  if (const auto given = single_platform(platform, context))
    command.request.platforms.push_back(*given);
  command.format = parse_check_format(format.value_or("text"));
  return command;
}

}  // namespace strake::cli
