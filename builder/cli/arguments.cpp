#include "builder/cli/arguments.h"

#include <algorithm>
#include <array>
#include <cstdlib>

#include "builder/cli/verbs.h"
#include "layers/base/error.h"

namespace strake::cli {
namespace {

struct Verb {
  std::string_view name;
  std::string_view summary;
  Command (*parse)(VerbContext&);
  std::string_view heading = {};  // in the overview, above it and those behind it
};

constexpr std::array kVerbs = std::to_array<Verb>({
    {"build", "Build an image from a Dockerfile", parse_build},
    {"check", "Check a Dockerfile without building it", parse_check},
    {"run", "Run a command in an image", parse_run},
    {"images", "List local images", parse_images},
    {"tag", "Give an image another name", parse_tag},
    {"rmi", "Remove local images", parse_rmi},
    {"inspect", "Show everything about an image as JSON", parse_inspect},
    {"history", "Show how an image was made", parse_history},
    {"import", "Make an image of a root file system's tar", parse_import},
    {"push", "Push local images to their registries", parse_push, "Registries"},
    {"pull", "Pull images from their registries", parse_pull},
    {"copy", "Copy images between registries, layouts and archives", parse_copy},
    {"index create", "Make an index of images in registries", parse_index_create},
    {"index append", "Add images to an index", parse_index_append},
    {"index remove", "Remove images from an index", parse_index_remove},
    {"index annotate", "Annotate an index and its entries", parse_index_annotate},
    {"index inspect", "Show an index or image of a registry", parse_index_inspect},
    {"tags", "List the tags of a repository", parse_tags},
    {"digest", "Show the digest of an image in its registry", parse_digest},
    {"delete", "Delete tags and manifests in a registry", parse_delete},
    {"referrers", "List what refers to an image", parse_referrers},
    {"attach", "Attach files to an image", parse_attach},
    {"login", "Store the credentials of a registry", parse_login},
    {"logout", "Forget the credentials of a registry", parse_logout},
    {"prune", "Remove cached steps, layers and blobs that are not needed", parse_prune,
     "This machine"},
    {"doctor", "Show what this machine's kernel allows builds to do", parse_doctor},
    {"version", "Show the version", parse_version},
});

/// Docker's word pairs for the same things.
struct Alias {
  std::string_view group, word, verb;
};
constexpr std::array kAliases = std::to_array<Alias>({
    {"buildx", "build", "build"},
    {"buildx", "b", "build"},
    {"buildx", "prune", "prune"},
    {"buildx", "version", "version"},
    {"builder", "build", "build"},
    {"builder", "prune", "prune"},
    {"image", "build", "build"},
    {"image", "push", "push"},
    {"image", "pull", "pull"},
    {"image", "ls", "images"},
    {"image", "list", "images"},
    {"image", "tag", "tag"},
    {"image", "rm", "rmi"},
    {"image", "remove", "rmi"},
    {"image", "inspect", "inspect"},
    {"image", "history", "history"},
    {"image", "import", "import"},
    {"image", "prune", "prune"},
    {"system", "prune", "prune"},
    {"container", "run", "run"},
    {"index", "create", "index create"},
    {"index", "append", "index append"},
    {"index", "add", "index append"},
    {"index", "remove", "index remove"},
    {"index", "rm", "index remove"},
    {"index", "annotate", "index annotate"},
    {"index", "inspect", "index inspect"},
    {"imagetools", "create", "index create"},
    {"imagetools", "inspect", "index inspect"},
    {"manifest", "create", "index create"},
    {"manifest", "add", "index append"},
    {"manifest", "remove", "index remove"},
    {"manifest", "inspect", "index inspect"},
});

std::string overview() {
  std::string text =
      "Usage: strake [OPTIONS] VERB ...\n\n"
      "Builds container images from Dockerfiles. No daemon, no set-up.\n\nVerbs:\n";
  for (const Verb& verb : kVerbs) {
    if (!verb.heading.empty()) text += "\n" + std::string(verb.heading) + ":\n";
    text += "  " + std::string(verb.name) + std::string(16 - verb.name.size(), ' ') +
            std::string(verb.summary) + "\n";
  }
  text +=
      "\nOptions:\n"
      "      --root DIRECTORY          Where images and the cache are kept (STRAKE_ROOT)\n"
      "  -v, --verbose                 Say more\n"
      "      --debug                   Say everything\n"
      "      --version                 Show the version\n"
      "  -h, --help                    Show this help, or that of a verb\n"
      "\nExit status: 0 success, 1 the build failed or a check found something, 2 usage, 3 wrong "
      "or\n"
      "missing input (Dockerfile, context, name), 4 registry or permissions, 5 not supported by "
      "this\n"
      "machine, 6 store or disk, 128+n stopped by signal n. \"strake run\" passes on the "
      "command's.\n"
      "\nDocker's words work too: \"strake buildx build\", \"strake image ls\", \"strake builder "
      "prune\".\n";
  return text;
}

const Verb* find_verb(std::string_view name) {
  const auto* found = std::find_if(kVerbs.begin(), kVerbs.end(),
                                   [&](const Verb& verb) { return verb.name == name; });
  return found == kVerbs.end() ? nullptr : found;
}

base::Error unknown_verb(const std::string& word) {
  std::vector<std::string> known;
  for (const Verb& verb : kVerbs) known.emplace_back(verb.name);
  base::Error error(base::ErrorCode::invalid_input, "unknown verb " + base::quoted(word));
  if (const std::string near = base::nearest(word, known); !near.empty())
    error.set_hint("did you mean \"strake " + near + "\"?");
  else
    error.set_hint("run \"strake help\" to see what there is");
  return error;
}

/// The verb at the start of `words`, which are consumed: "build", "image ls".
const Verb& take_verb(std::vector<std::string>& words) {
  // "buildx imagetools create" has a group in a group.
  if (words.size() > 1 && words[0] == "buildx" && words[1] == "imagetools")
    words.erase(words.begin());
  const std::string first = words.front();
  words.erase(words.begin());
  if (const Verb* verb = find_verb(first)) return *verb;
  const bool group = std::any_of(kAliases.begin(), kAliases.end(),
                                 [&](const Alias& alias) { return alias.group == first; });
  if (!group) throw unknown_verb(first);
  const std::string second = words.empty() ? "" : words.front();
  for (const Alias& alias : kAliases) {
    if (alias.group != first || alias.word != second) continue;
    words.erase(words.begin());
    return *find_verb(alias.verb);
  }
  throw unknown_verb(second.empty() ? first : first + " " + second);
}

/// Options in front of the verb, moved behind it: they mean the same there.
struct Leading {
  std::vector<std::string> options;
  std::size_t words = 0;  // how many of the arguments they are
  bool help = false, version = false;
};

Leading leading_options(std::span<const std::string> arguments) {
  static constexpr std::array<std::string_view, 3> kWithValue{"--root", "--log-level", "-l"};
  Leading leading;
  for (; leading.words < arguments.size(); ++leading.words) {
    const std::string& word = arguments[leading.words];
    if (!word.starts_with('-')) break;
    if (word == "--help" || word == "-h")
      leading.help = true;
    else if (word == "--version")
      leading.version = true;
    else
      leading.options.push_back(word);
    if (std::find(kWithValue.begin(), kWithValue.end(), word) == kWithValue.end()) continue;
    if (++leading.words == arguments.size())
      throw base::Error(base::ErrorCode::invalid_input,
                        "flag " + base::quoted(word) + " needs a value");
    leading.options.push_back(arguments[leading.words]);
  }
  return leading;
}

Invocation parse_verb(const Verb& verb, std::span<const std::string> words,
                      const Environment& environment) {
  Invocation invocation;
  VerbContext context(words, environment, invocation.common);
  invocation.command = verb.parse(context);
  return invocation;
}

Invocation show(Command command) {
  return {.common = {}, .command = std::move(command)};
}

}  // namespace

Environment process_environment() {
  return [](const std::string& name) -> std::optional<std::string> {
    const char* value = std::getenv(name.c_str());
    if (value == nullptr) return std::nullopt;
    return value;
  };
}

Invocation parse_arguments(std::span<const std::string> arguments, const Environment& environment) {
  const Leading leading = leading_options(arguments);
  if (leading.version) return show(VersionCommand{});
  std::vector<std::string> words(arguments.begin() + static_cast<std::ptrdiff_t>(leading.words),
                                 arguments.end());
  if (words.empty()) {
    // "docker -v" is "docker --version".
    if (leading.options == std::vector<std::string>{"-v"}) return show(VersionCommand{});
    if (!leading.options.empty() && !leading.help)
      throw base::Error(base::ErrorCode::invalid_input, "there is no verb after the options")
          .hint("run \"strake help\" to see what there is");
    return show(HelpCommand{overview()});
  }
  if (words.front() == "help") {
    words.erase(words.begin());
    if (words.empty()) return show(HelpCommand{overview()});
    const Verb& verb = take_verb(words);
    return parse_verb(verb, std::vector<std::string>{"--help"}, environment);
  }
  const Verb& verb = take_verb(words);
  words.insert(words.begin(), leading.options.begin(), leading.options.end());
  if (leading.help) words.insert(words.begin(), "--help");
  return parse_verb(verb, words, environment);
}

bool asks_for_run(std::span<const std::string> arguments) {
  try {
    std::vector<std::string> words(arguments.begin(), arguments.end());
    words.erase(words.begin(),
                words.begin() + static_cast<std::ptrdiff_t>(leading_options(arguments).words));
    return !words.empty() && take_verb(words).parse == parse_run;
  } catch (const base::Error&) {
    return false;
  }
}

}  // namespace strake::cli
