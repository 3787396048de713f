#include "builder/check/check.h"

#include <unistd.h>

#include <filesystem>

#include "builder/cli/check_output.h"
#include "builder/cli/commands/commands.h"
#include "builder/cli/terminal_io.h"
#include "builder/context/build_context.h"
#include "builder/dockerfile/limits.h"

namespace strake::cli {
namespace {

ExitStatus explain(const std::string& name, Colour colour) {
  if (const check::Rule* rule = check::find_rule(name)) {
    print(explain_rule(*rule, colour));
    return ExitStatus::success;
  }
  std::vector<std::string> names;
  for (const check::Rule& rule : check::all_rules()) names.emplace_back(rule.name);
  base::Error error(base::ErrorCode::not_found, "there is no rule " + base::quoted(name));
  const std::string near = base::nearest(name, names);
  error.set_hint(near.empty() ? "run \"strake check --list\" to see all rules"
                              : "did you mean " + base::quoted(near) + "?");
  throw error;
}

/// A check fetches nothing: its context, of which only .dockerignore counts, is a directory, or
/// none
/// ("" or "-").
std::optional<builder::OpenedContext> open_context(const std::string& operand) {
  if (operand.empty() || operand == "-") return std::nullopt;
  if (!std::filesystem::is_directory(operand)) {
    const bool is_remote = operand.find("://") != std::string::npos || operand.starts_with("git@");
    throw base::Error(is_remote ? base::ErrorCode::unsupported : base::ErrorCode::not_found,
                      is_remote ? "a check fetches no context, such as " + base::quoted(operand)
                                : "no directory " + base::quoted(operand))
        .hint("name a local directory, or give the Dockerfile on stdin: strake check -");
  }
  return builder::OpenedContext{operand};
}

dockerfile::SourceFile read_source(const CheckCommand& command,
                                   const std::optional<builder::OpenedContext>& context) {
  if (command.dockerfile_from_stdin || !context)
    return {"-", read_stdin(dockerfile::Limits().file_bytes, "Dockerfile on stdin")};
  const dockerfile::SourceFile source =
      builder::read_dockerfile(*context, command.request.dockerfile);
  return {source.path().lexically_normal(), std::string(source.text())};  // not "./Dockerfile"
}

/// Relative to the current directory, as code hosts want it, when the file is below that.
std::string relative_path(const std::filesystem::path& file) {
  if (file == "-") return "Dockerfile";
  const std::filesystem::path relative =
      std::filesystem::absolute(file).lexically_normal().lexically_relative(
          std::filesystem::current_path());
  const bool is_below = !relative.empty() && *relative.begin() != "..";
  return is_below ? relative.string() : file.lexically_normal().string();
}

std::string formatted(const check::CheckReport& report, const std::filesystem::path& file,
                      CheckFormat format) {
  switch (format) {
    case CheckFormat::json:
      return check_json(report, file.string());
    case CheckFormat::sarif:
      return check_sarif(report, relative_path(file));
    case CheckFormat::text:
      break;
  }
  return check_text(report, colour_for(STDOUT_FILENO));
}

}  // namespace

ExitStatus run(const CheckCommand& command) {
  const Colour colour = colour_for(STDOUT_FILENO);
  if (command.list) {
    print(list_rules(colour));
    return ExitStatus::success;
  }
  if (command.explain) return explain(*command.explain, colour);

  std::optional<builder::OpenedContext> opened = open_context(command.request.context);
  const dockerfile::SourceFile source = read_source(command, opened);
  check::CheckOptions options;
  options.build_args = command.request.build_args;
  options.target = command.request.target;
  options.all_stages = options.target.empty();
  if (!command.request.platforms.empty())
    options.target_platform = command.request.platforms.front();
  options.findings_are_errors = command.findings_are_errors;
  std::optional<builder::BuildContext> context;
  if (opened) {
    context.emplace(std::move(*opened), command.dockerfile_from_stdin ? "" : source.path());
    options.ignored = &context->ignored();
  }

  const check::CheckReport report = check::check_source(source, options);
  print(formatted(report, source.path(), command.format));
  if (report.error) throw base::Error(*report.error);
  return report.findings.empty() ? ExitStatus::success : ExitStatus::findings;
}

}  // namespace strake::cli
