#include "builder/dockerfile/instruction_parser.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include "builder/dockerfile/duration.h"
#include "builder/dockerfile/flags.h"
#include "builder/dockerfile/parser.h"
#include "builder/dockerfile/words.h"

// One function an instruction: from the text of its arguments to its struct.

namespace strake::dockerfile {

namespace {

using base::Error;
using base::ErrorCode;

struct Request {
  const Statement& statement;
  char escape;
};

[[noreturn]] void fail(std::string message) {
  throw Error(ErrorCode::invalid_input, std::move(message));
}

void require_arguments(const Request& request, bool have, std::string_view how_many) {
  if (!have) fail(request.statement.name + " requires " + std::string(how_many));
}

CommandLine parse_command_line(std::string_view text) {
  if (std::optional<std::vector<std::string>> argv = parse_exec_form(text))
    return ExecForm{std::move(*argv)};
  return ShellForm{std::string(text)};
}

/// Words in a JSON array, which may hold blanks, or between blanks.
std::vector<std::string> parse_list(std::string_view text) {
  if (std::optional<std::vector<std::string>> words = parse_exec_form(text))
    return std::move(*words);
  return split_blanks(text);
}

/// The whole rest of the line is one argument.
std::string parse_single(const Request& request) {
  FlagSet().parse(request.statement.flags);
  require_arguments(request, !request.statement.arguments.empty(), "exactly one argument");
  return request.statement.arguments;
}

bool is_stage_name(std::string_view name) {
  constexpr std::string_view kLetters = "abcdefghijklmnopqrstuvwxyz";
  constexpr std::string_view kOthers = "0123456789-_.";
  if (name.empty() || kLetters.find(name[0]) == std::string_view::npos) return false;
  return std::all_of(name.begin(), name.end(), [&](char c) {
    return kLetters.find(c) != std::string_view::npos || kOthers.find(c) != std::string_view::npos;
  });
}

Operation parse_from(const Request& request) {
  From from;
  FlagSet().text("platform", from.platform).parse(request.statement.flags);
  std::vector<std::string> words = split_blanks(request.statement.arguments);
  const bool is_named = words.size() == 3 && to_lower(words[1]) == "as";
  if (words.size() != 1 && !is_named)
    throw Error(ErrorCode::invalid_input, "FROM requires either one or three arguments")
        .hint("write \"FROM <image>\" or \"FROM <image> AS <name>\"");
  from.image = std::move(words[0]);
  if (is_named) {
    from.as_keyword = std::move(words[1]);
    from.name_as_written = std::move(words[2]);
    from.name = to_lower(from.name_as_written);
    if (!is_stage_name(from.name))
      throw Error(ErrorCode::invalid_input,
                  "invalid name for a build stage: " + excerpt(from.name_as_written))
          .hint("start the name with a letter, and use letters, digits, \"-\", \"_\" and \".\"");
  }
  return from;
}

Operation parse_run(const Request& request) {
  Run run;
  std::vector<std::string> mounts, devices;
  std::optional<std::string> network, security;
  FlagSet()
      .texts("mount", mounts)
      .texts("device", devices)
      .text("network", network)
      .text("security", security)
      .parse(request.statement.flags);
  for (const std::string& mount : mounts) run.mounts.push_back(parse_run_mount(mount));
  for (const std::string& device : devices) run.devices.push_back(parse_run_device(device));
  if (network) {
    const std::string mode = to_lower(*network);
    if (mode != "default" && mode != "none" && mode != "host")
      throw Error(ErrorCode::invalid_input, "invalid network mode " + excerpt(*network))
          .hint("use one of default, none and host");
    run.network = mode == "none"   ? Run::Network::none
                  : mode == "host" ? Run::Network::host
                                   : Run::Network::standard;
  }
  if (security) {
    const std::string mode = to_lower(*security);
    if (mode != "sandbox" && mode != "insecure")
      throw Error(ErrorCode::invalid_input, "invalid security mode " + excerpt(*security))
          .hint("use one of sandbox and insecure");
    run.security = mode == "sandbox" ? Run::Security::sandbox : Run::Security::insecure;
  }
  run.command = parse_command_line(request.statement.arguments);
  run.heredocs = request.statement.heredocs;
  return run;
}

/// Sorts the arguments of COPY and ADD into paths, here-documents and the destination.
void parse_sources_and_destination(const Request& request, Transfer& transfer) {
  const std::string& text = request.statement.arguments;
  std::optional<std::vector<std::string>> elements = parse_exec_form(text);
  const bool is_json = elements.has_value();
  std::vector<std::string> words = is_json ? std::move(*elements) : split_blanks(text);
  require_arguments(request, words.size() >= 2,
                    "at least two arguments: sources and a destination");
  transfer.destination = std::move(words.back());
  words.pop_back();
  if (is_json) {  // there, "<<" starts a file name like any other
    transfer.sources = std::move(words);
    return;
  }
  if (parse_heredoc_word(transfer.destination))
    fail(request.statement.name + " cannot have a here-document as its destination");

  auto unused = request.statement.heredocs.begin();
  const auto end = request.statement.heredocs.end();
  for (std::string& word : words) {
    const std::optional<Heredoc> announced = parse_heredoc_word(word);
    if (!announced) {
      transfer.sources.push_back(std::move(word));
      continue;
    }
    // Both are in the order of the line.
    unused = std::find_if(unused, end,
                          [&](const Heredoc& heredoc) { return heredoc.name == announced->name; });
    if (unused == end) fail("the here-document " + excerpt(word) + " has no content");
    transfer.heredocs.push_back(*unused++);
  }
}

Operation parse_copy(const Request& request) {
  Copy copy;
  std::optional<std::string> from;
  std::optional<bool> link, parents;
  FlagSet()
      .text("from", from)
      .text("chown", copy.transfer.chown)
      .text("chmod", copy.transfer.chmod)
      .boolean("link", link)
      .boolean("parents", parents)
      .texts("exclude", copy.transfer.excludes)
      .parse(request.statement.flags);
  copy.from = from.value_or("");
  copy.transfer.link = link.value_or(false);
  copy.parents = parents.value_or(false);
  parse_sources_and_destination(request, copy.transfer);
  return copy;
}

Operation parse_add(const Request& request) {
  Add add;
  std::optional<bool> link;
  FlagSet()
      .text("chown", add.transfer.chown)
      .text("chmod", add.transfer.chmod)
      .boolean("link", link)
      .texts("exclude", add.transfer.excludes)
      .text("checksum", add.checksum)
      .boolean("keep-git-dir", add.keep_git_dir)
      .boolean("unpack", add.unpack)
      .parse(request.statement.flags);
  add.transfer.link = link.value_or(false);
  parse_sources_and_destination(request, add.transfer);
  return add;
}

/// `a=b c="d e"`, or the old form `a the rest of the line`: the first word tells which.
std::pair<std::vector<KeyValue>, bool> parse_pairs(const Request& request) {
  FlagSet().parse(request.statement.flags);
  const std::string& text = request.statement.arguments;
  const std::vector<std::string> words = split_quoted_words(text, request.escape);
  require_arguments(request, !words.empty(), "at least one argument");

  std::vector<KeyValue> pairs;
  if (words[0].find('=') == std::string::npos) {
    const auto [key, value] = cut_blanks(text);
    if (!value)
      throw Error(ErrorCode::invalid_input, request.statement.name + " " + excerpt(key) +
                                                " must have two arguments: a name and a value")
          .hint("write \"" + request.statement.name + " <name>=<value>\"");
    pairs.push_back({std::string(key), std::string(*value)});
    return {std::move(pairs), true};
  }
  for (const std::string& word : words) {
    const std::size_t equals = word.find('=');
    if (equals == std::string::npos)
      throw Error(ErrorCode::invalid_input, "cannot find \"=\" in " + excerpt(word) +
                                                ", which must be of the form name=value")
          .hint("put a value that holds blanks in double quotes");
    if (equals == 0) fail(request.statement.name + " names cannot be blank");
    pairs.push_back({word.substr(0, equals), word.substr(equals + 1)});
  }
  return {std::move(pairs), false};
}

Operation parse_env(const Request& request) {
  auto [pairs, legacy] = parse_pairs(request);
  return Env{std::move(pairs), legacy};
}

Operation parse_label(const Request& request) {
  auto [pairs, legacy] = parse_pairs(request);
  return Label{std::move(pairs), legacy};
}

Operation parse_arg(const Request& request) {
  FlagSet().parse(request.statement.flags);
  Arg arg;
  for (const std::string& word : split_quoted_words(request.statement.arguments, request.escape)) {
    const std::size_t equals = word.find('=');
    if (equals == 0) fail("ARG names cannot be blank");
    Arg::Declaration declaration{word.substr(0, equals), std::nullopt};
    if (equals != std::string::npos) declaration.default_value = word.substr(equals + 1);
    arg.declarations.push_back(std::move(declaration));
  }
  require_arguments(request, !arg.declarations.empty(), "at least one argument");
  return arg;
}

Operation parse_workdir(const Request& request) {
  return Workdir{parse_single(request)};
}
Operation parse_user(const Request& request) {
  return User{parse_single(request)};
}
Operation parse_stopsignal(const Request& request) {
  return Stopsignal{parse_single(request)};
}
Operation parse_maintainer(const Request& request) {
  return Maintainer{parse_single(request)};
}

Operation parse_expose(const Request& request) {
  FlagSet().parse(request.statement.flags);
  Expose expose{split_blanks(request.statement.arguments)};
  require_arguments(request, !expose.words.empty(), "at least one argument");
  return expose;
}

Operation parse_volume(const Request& request) {
  FlagSet().parse(request.statement.flags);
  Volume volume{parse_list(request.statement.arguments)};
  require_arguments(request, !volume.paths.empty(), "at least one argument");
  for (std::string& path : volume.paths) {
    path = std::string(trim(path));
    if (path.empty()) fail("a VOLUME path cannot be an empty string");
  }
  return volume;
}

Operation parse_shell(const Request& request) {
  FlagSet().parse(request.statement.flags);
  const std::string& text = request.statement.arguments;
  require_arguments(request, !text.empty(), "at least one argument");
  std::optional<std::vector<std::string>> argv = parse_exec_form(text);
  if (!argv)
    throw Error(ErrorCode::invalid_input, "SHELL requires the arguments to be in JSON form")
        .hint(R"(write SHELL ["executable", "parameter"])");
  require_arguments(request, !argv->empty(), "at least one argument");
  return Shell{std::move(*argv)};
}

std::chrono::nanoseconds parse_interval(std::string_view flag,
                                        const std::optional<std::string>& text) {
  if (!text || text->empty()) return std::chrono::nanoseconds(0);
  try {
    const std::chrono::nanoseconds value = parse_duration(*text);
    if (value != value.zero() && value < std::chrono::milliseconds(1))
      fail("the interval " + excerpt(*text) + " is less than 1ms");
    return value;
  } catch (Error& error) {
    error.add_context("reading --" + std::string(flag));
    throw;
  }
}

int parse_retries(const std::optional<std::string>& text) {
  if (!text || text->empty()) return 0;
  std::string_view digits = *text;
  if (digits.starts_with('+') && !digits.starts_with("+-")) digits.remove_prefix(1);
  int retries = 0;
  const char* end = digits.data() + digits.size();
  const auto [stop, error] = std::from_chars(digits.data(), end, retries);
  if (error != std::errc() || stop != end)
    fail("--retries is a whole number, not " + excerpt(*text));
  if (retries < 0) fail("--retries cannot be negative (" + std::to_string(retries) + ")");
  return retries;
}

Operation parse_healthcheck(const Request& request) {
  Healthcheck check;
  std::optional<std::string> interval, timeout, start_period, start_interval, retries;
  FlagSet()
      .text("interval", interval)
      .text("timeout", timeout)
      .text("start-period", start_period)
      .text("start-interval", start_interval)
      .text("retries", retries)
      .parse(request.statement.flags);
  const auto [type_as_written, rest] = cut_blanks(request.statement.arguments);
  const std::string type = to_upper(type_as_written);
  require_arguments(request, !type.empty(), "at least one argument");
  if (type == "NONE") {
    if (rest) fail("HEALTHCHECK NONE takes no arguments");
    check.none = true;
    return check;
  }
  if (type != "CMD")
    throw Error(ErrorCode::invalid_input,
                "unknown type " + excerpt(type_as_written) + " in HEALTHCHECK")
        .hint("write \"HEALTHCHECK CMD <command>\" or \"HEALTHCHECK NONE\"");
  check.test = parse_command_line(rest.value_or(""));
  const auto* exec = std::get_if<ExecForm>(&check.test);
  if (exec != nullptr ? exec->argv.empty() : std::get<ShellForm>(check.test).text.empty())
    fail("missing command after HEALTHCHECK CMD");
  check.interval = parse_interval("interval", interval);
  check.timeout = parse_interval("timeout", timeout);
  check.start_period = parse_interval("start-period", start_period);
  check.start_interval = parse_interval("start-interval", start_interval);
  check.retries = parse_retries(retries);
  return check;
}

Operation parse_entrypoint(const Request& request) {
  FlagSet().parse(request.statement.flags);
  return Entrypoint{parse_command_line(request.statement.arguments)};
}

Operation parse_cmd(const Request& request) {
  FlagSet().parse(request.statement.flags);
  return Cmd{parse_command_line(request.statement.arguments)};
}

Operation parse_onbuild(const Request& request) {
  FlagSet().parse(request.statement.flags);
  require_arguments(request, !request.statement.arguments.empty(), "at least one argument");
  // Behind the keyword and whatever stands between; flags of the trigger are not ours to resolve.
  std::string text(trim_left(
      std::string_view(request.statement.original).substr(request.statement.keyword.size())));
  for (const Heredoc& heredoc : request.statement.heredocs)
    text += "\n" + heredoc.content + heredoc.name;
  // A trigger that cannot be parsed would fail in every image built from this one: say so now.
  parse_trigger(text, request.statement.where, request.escape);
  return Onbuild{std::move(text)};
}

using Parser = Operation (*)(const Request&);

constexpr std::pair<std::string_view, Parser> kParsers[] = {
    {"ADD", parse_add},
    {"ARG", parse_arg},
    {"CMD", parse_cmd},
    {"COPY", parse_copy},
    {"ENTRYPOINT", parse_entrypoint},
    {"ENV", parse_env},
    {"EXPOSE", parse_expose},
    {"FROM", parse_from},
    {"HEALTHCHECK", parse_healthcheck},
    {"LABEL", parse_label},
    {"MAINTAINER", parse_maintainer},
    {"ONBUILD", parse_onbuild},
    {"RUN", parse_run},
    {"SHELL", parse_shell},
    {"STOPSIGNAL", parse_stopsignal},
    {"USER", parse_user},
    {"VOLUME", parse_volume},
    {"WORKDIR", parse_workdir},
};

/// Could be meant as an instruction.
bool is_word(std::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); });
}

[[noreturn]] void fail_unknown(const Statement& statement) {
  Error error(ErrorCode::invalid_input, "unknown instruction " + excerpt(statement.keyword));
  std::vector<std::string> names;
  for (const auto& [name, parser] : kParsers) names.emplace_back(name);
  const std::string similar = base::nearest(statement.keyword, names);
  if (!similar.empty()) {
    error.set_hint("write \"" + similar + "\", if that is what you mean");
  } else if (!is_word(statement.keyword)) {
    error.set_hint("end the line before with \"\\\", if this line is part of it");
  }
  throw error;
}

}  // namespace

Instruction parse_instruction(Statement statement, char escape) {
  try {
    const auto found =
        std::find_if(std::begin(kParsers), std::end(kParsers),
                     [&](const auto& known) { return known.first == statement.name; });
    if (found == std::end(kParsers)) fail_unknown(statement);
    Operation operation = found->second(Request{statement, escape});
    return Instruction{std::move(statement.where),   std::move(statement.name),
                       std::move(statement.keyword), std::move(statement.original),
                       std::move(statement.flags),   std::move(statement.comments),
                       std::move(operation)};
  } catch (Error& error) {
    error.set_location(statement.where);
    throw;
  }
}

}  // namespace strake::dockerfile
