#include "builder/cli/check_output.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "builder/cli/terminal_text.h"

namespace strake::cli {
namespace {

using check::CheckReport;
using check::Finding;
using check::Origin;
using check::Rule;
using check::Severity;
using nlohmann::ordered_json;

constexpr int kContextLines = 2;  // before and behind the lines of a finding
constexpr std::string_view kRuler = "--------------------";

std::string counted(std::size_t number, std::string_view noun) {
  return std::to_string(number) + " " + std::string(noun) + (number == 1 ? "" : "s");
}

std::string_view description(const Finding& finding) {
  const Rule* rule = check::find_rule(finding.rule);
  return rule != nullptr ? rule->description : "";
}

std::string_view level(Severity severity) {
  return severity == Severity::error ? "error" : "warning";
}

std::vector<int> lines_of(const base::SourceRange& where) {
  std::vector<int> lines;
  for (int line = where.first_line; line <= where.last_line; ++line) lines.push_back(line);
  return lines;
}

/// The instruction between two rulers, its lines marked.
std::string excerpt(const base::SourceRange& where, const Palette& palette) {
  if (!where.text || where.first_line < 1) return "";
  const int first = std::max(1, where.first_line - kContextLines);
  const std::vector<std::string> lines =
      source_lines(*where.text, first, where.last_line + kContextLines);
  std::string out = palette.dim(kRuler) + "\n";
  for (std::size_t i = 0; i < lines.size(); ++i) {
    const int number = first + static_cast<int>(i);
    const bool marked = number >= where.first_line && number <= where.last_line;
    const std::string digits = std::to_string(number);
    const std::string gutter =
        std::string(4 - std::min<std::size_t>(4, digits.size()), ' ') + digits;
    out += palette.dim(gutter + " | ") + (marked ? palette.red(">>> ") : "    ") + lines[i] + "\n";
  }
  return out + palette.dim(kRuler) + "\n";
}

std::string headline(const Finding& finding, const Palette& palette) {
  const bool is_error = finding.severity == Severity::error;
  const std::string word = is_error ? palette.red("ERROR:") : palette.yellow("WARNING:");
  return word + " " + palette.bold(finding.rule) + "\n" + printable(finding.detail) + "\n\n";
}

/// All that was found at one place, then the place.
std::string paragraphs(std::span<const Finding> of_one_place, const Palette& palette) {
  std::string out;
  for (const Finding& finding : of_one_place) out += headline(finding, palette);
  const base::SourceRange& where = of_one_place.front().where;
  return out + printable(where.file.string()) + ":" + std::to_string(where.first_line) + "\n" +
         excerpt(where, palette) + "\n";
}

std::string indented(std::string_view text) {
  std::string out;
  while (true) {
    const std::size_t end = text.find('\n');
    out += "    " + std::string(text.substr(0, end)) + "\n";
    if (end == std::string_view::npos) return out;
    text.remove_prefix(end + 1);
  }
}

/// Breaks at spaces; lines that are there stay.
std::string wrapped(std::string_view text, std::size_t columns) {
  std::string out;
  std::size_t column = 0;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find_first_of(" \n"), text.size());
    if (column > 0 && column + 1 + end > columns) {
      out += '\n';
      column = 0;
    }
    if (column > 0) out += ' ';
    out += text.substr(0, end);
    column += end + (column > 0 ? 1 : 0);
    if (end < text.size() && text[end] == '\n') {
      out += '\n';
      column = 0;
    }
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return out + "\n";
}

ordered_json error_json(const std::optional<base::Error>& error) {
  if (!error) return nullptr;
  ordered_json out = {{"message", error->what()}};
  if (error->location()) out["lines"] = lines_of(*error->location());
  return out;
}

std::string in_markdown(const Rule& rule) {
  const auto block = [](std::string_view text) {
    return "```dockerfile\n" + std::string(text) + "\n```\n";
  };
  return std::string(rule.explanation) + "\n\nInstead of\n" + block(rule.bad) + "\nwrite\n" +
         block(rule.good);
}

ordered_json rule_sarif(const Rule& rule) {
  return {{"id", rule.name},
          {"name", rule.name},
          {"shortDescription", {{"text", rule.description}}},
          {"fullDescription", {{"text", rule.explanation}}},
          {"help",
           {{"text", std::string(rule.explanation) + "\n\nInstead of:\n" + indented(rule.bad) +
                         "\nWrite:\n" + indented(rule.good)},
            {"markdown", in_markdown(rule)}}},
          {"defaultConfiguration", {{"level", "warning"}, {"enabled", !rule.experimental}}},
          {"properties", {{"tags", {rule.origin == Origin::docker ? "docker" : "strake"}}}}};
}

ordered_json region(const base::SourceRange& where) {
  return {{"startLine", std::max(1, where.first_line)},
          {"endLine", std::max({1, where.first_line, where.last_line})}};
}

/// Unreserved characters and slashes stay (RFC 3986).
std::string uri_of(std::string_view path) {
  constexpr std::string_view kDigits = "0123456789ABCDEF";
  std::string out;
  for (const char c : path) {
    const auto byte = static_cast<unsigned char>(c);
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       std::string_view("-._~/").find(c) != std::string_view::npos;
    if (plain)
      out += c;
    else
      out += {'%', kDigits[byte >> 4], kDigits[byte & 15]};
  }
  return out;
}

ordered_json location_sarif(const base::SourceRange& where, const std::string& uri) {
  return {{"physicalLocation",
           {{"artifactLocation", {{"uri", uri}, {"uriBaseId", "%SRCROOT%"}}},
            {"region", region(where)}}}};
}

ordered_json invocation_sarif(const CheckReport& report, const std::string& uri) {
  ordered_json out = {{"executionSuccessful", !report.error}};
  if (!report.error) return out;
  ordered_json notification = {{"level", "error"}, {"message", {{"text", report.error->what()}}}};
  if (report.error->location())
    notification["locations"] = {location_sarif(*report.error->location(), uri)};
  out["toolExecutionNotifications"] = ordered_json::array({std::move(notification)});
  return out;
}

/// Foreign bytes that are no UTF-8 are replaced, so that a result always comes.
std::string dump(const ordered_json& json) {
  return json.dump(2, ' ', false, ordered_json::error_handler_t::replace) + "\n";
}

}  // namespace

std::string check_text(const CheckReport& report, Colour colour) {
  const Palette palette(colour == Colour::yes);
  std::string out;
  std::size_t errors = 0;
  for (auto first = report.findings.begin(); first != report.findings.end();) {
    const auto next = std::find_if(first, report.findings.end(), [&](const Finding& finding) {
      return !(finding.where == first->where);
    });
    out += paragraphs({first, next}, palette);
    errors += static_cast<std::size_t>(std::count_if(
        first, next, [](const Finding& finding) { return finding.severity == Severity::error; }));
    first = next;
  }
  if (report.error) return out;
  if (report.findings.empty()) return "Check complete, no warnings found.\n";
  const std::size_t warnings = report.findings.size() - errors;
  std::string found = errors > 0 ? counted(errors, "error") : "";
  if (warnings > 0) found += (found.empty() ? "" : " and ") + counted(warnings, "warning");
  const bool one = report.findings.size() == 1;
  return out +
         palette.bold("Check complete, " + found + (one ? " has" : " have") + " been found!") +
         " \"strake check --explain RULE\" tells why.\n";
}

std::string check_json(const CheckReport& report, const std::string& file) {
  ordered_json findings = ordered_json::array();
  for (const Finding& finding : report.findings) {
    const Rule* rule = check::find_rule(finding.rule);
    const bool of_docker = rule != nullptr && rule->origin == Origin::docker;
    findings.push_back({{"rule", finding.rule},
                        {"severity", level(finding.severity)},
                        {"detail", finding.detail},
                        {"description", description(finding)},
                        {"origin", of_docker ? "docker" : "strake"},
                        {"file", file},
                        {"lines", lines_of(finding.where)}});
  }
  ordered_json out;
  out["file"] = file;
  out["findings"] = std::move(findings);
  out["error"] = error_json(report.error);
  return dump(out);
}

std::string check_sarif(const CheckReport& report, const std::string& path) {
  const std::string uri = uri_of(path);
  ordered_json rules = ordered_json::array();
  const std::span<const Rule> all = check::all_rules();
  for (const Rule& rule : all) rules.push_back(rule_sarif(rule));
  ordered_json results = ordered_json::array();
  for (const Finding& finding : report.findings) {
    const Rule* rule = check::find_rule(finding.rule);
    results.push_back({{"ruleId", finding.rule},
                       {"ruleIndex", rule - all.data()},
                       {"level", level(finding.severity)},
                       {"message", {{"text", finding.detail}}},
                       {"locations", {location_sarif(finding.where, uri)}}});
  }
  ordered_json run;
  run["tool"]["driver"] = {{"name", "strake"},
                           {"semanticVersion", STRAKE_VERSION},
                           {"version", STRAKE_VERSION},
                           {"rules", std::move(rules)}};
  run["invocations"] = ordered_json::array({invocation_sarif(report, uri)});
  run["columnKind"] = "unicodeCodePoints";
  run["results"] = std::move(results);
  ordered_json out;
  out["$schema"] = "https://json.schemastore.org/sarif-2.1.0.json";
  out["version"] = "2.1.0";
  out["runs"] = ordered_json::array({std::move(run)});
  return dump(out);
}

std::string explain_rule(const Rule& rule, Colour colour) {
  constexpr std::size_t kColumns = 80;
  const Palette palette(colour == Colour::yes);
  std::string origin = rule.origin == Origin::docker ? "a build check of docker's" : "strake's own";
  if (rule.experimental) origin += ", off unless \"# check=experimental=\" names it";
  return palette.bold(rule.name) + " (" + origin + ")\n" + wrapped(rule.description, kColumns) +
         "\n" + wrapped(rule.explanation, kColumns) + "\nInstead of\n\n" + indented(rule.bad) +
         "\nwrite\n\n" + indented(rule.good) +
         "\nTo leave it out: \"# check=skip=" + std::string(rule.name) +
         "\" in the first line of the file, or above\nthe instruction.\n";
}

std::string list_rules(Colour colour) {
  const Palette palette(colour == Colour::yes);
  std::size_t width = 0;
  for (const Rule& rule : check::all_rules()) width = std::max(width, rule.name.size());
  std::string out;
  for (const Origin origin : {Origin::docker, Origin::strake}) {
    out += origin == Origin::docker ? "Docker's build checks:\n" : "\nstrake's own:\n";
    for (const Rule& rule : check::all_rules()) {
      if (rule.origin != origin) continue;
      const std::string_view text = rule.description.substr(0, rule.description.find(". "));
      out += "  " + palette.bold(rule.name) + std::string(width - rule.name.size() + 2, ' ') +
             std::string(text) + (rule.experimental ? " (experimental)" : "") + "\n";
    }
  }
  return out;
}

}  // namespace strake::cli
