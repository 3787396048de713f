#include "builder/cli/go_template.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <vector>

#include "builder/cli/output_spec.h"
#include "layers/base/error.h"

namespace strake::cli {
namespace {

using Json = nlohmann::ordered_json;

base::Error invalid(std::string message) {
  return base::Error(base::ErrorCode::invalid_input, "format: " + std::move(message));
}

/// As Go's fmt prints it: [a b], map[k:v].
std::string go_text(const Json& value) {
  if (value.is_string()) return value.get<std::string>();
  if (value.is_null()) return "<no value>";
  if (value.is_array()) {
    std::string out;
    for (const Json& element : value) out += (out.empty() ? "" : " ") + go_text(element);
    return "[" + out + "]";
  }
  if (value.is_object()) {
    std::vector<std::string> entries;
    for (const auto& [key, element] : value.items())
      entries.push_back(key + ":" + go_text(element));
    std::sort(entries.begin(), entries.end());
    std::string out;
    for (const std::string& entry : entries) out += (out.empty() ? "" : " ") + entry;
    return "map[" + out + "]";
  }
  return value.dump();
}

/// The words of an action; a string literal keeps its opening quote, so that it is not a name.
std::vector<std::string> split_words(std::string_view action) {
  std::vector<std::string> words;
  std::size_t at = 0;
  while (true) {
    at = action.find_first_not_of(" \t", at);
    if (at == std::string_view::npos) return words;
    const char first = action[at];
    if (first == '"' || first == '`') {
      const std::size_t end = action.find(first, at + 1);
      if (end == std::string_view::npos)
        throw invalid("a quote in " + base::quoted(action) + " does not end");
      words.push_back("\"" + std::string(action.substr(at + 1, end - at - 1)));
      at = end + 1;
    } else if (first == '|') {
      words.emplace_back("|");
      ++at;
    } else {
      const std::size_t end = std::min(action.find_first_of(" \t|", at), action.size());
      words.emplace_back(action.substr(at, end - at));
      at = end;
    }
  }
}

const Json& member(const Json& value, const std::string& name, const std::string& path) {
  if (value.is_object()) {
    const auto found = value.find(name);
    if (found != value.end()) return *found;
    std::vector<std::string> known;
    for (const auto& entry : value.items()) known.push_back(entry.key());
    base::Error error = invalid("there is no field " + base::quoted(path));
    if (const std::string near = base::nearest(name, known); !near.empty())
      error.set_hint("did you mean " + base::quoted(near) + "?");
    throw error;
  }
  throw invalid("there is no field " + base::quoted(path));
}

Json evaluate_path(const std::string& path, const Json& root) {
  const Json* value = &root;
  std::size_t at = 1;
  while (at < path.size()) {
    const std::size_t end = std::min(path.find('.', at), path.size());
    value = &member(*value, path.substr(at, end - at), path.substr(0, end));
    at = end + 1;
  }
  return *value;
}

Json evaluate_operand(const std::string& word, const Json& root) {
  if (word.starts_with('"')) return word.substr(1);
  if (word.starts_with('.')) return evaluate_path(word, root);
  return parse_number(word, 0, 1'000'000'000, "format: " + base::quoted(word));
}

Json index_of(const std::vector<Json>& arguments) {
  if (arguments.size() < 2) throw invalid("\"index\" needs a value and a key");
  Json value = arguments[0];
  for (std::size_t i = 1; i < arguments.size(); ++i) {
    const Json& key = arguments[i];
    if (value.is_object() && key.is_string()) {
      const auto found = value.find(key.get<std::string>());
      // Go: a key that a map does not have is the zero value.
      value = found == value.end() ? Json("") : Json(*found);
    } else if (value.is_array() && key.is_number() && key.get<std::size_t>() < value.size()) {
      value = Json(value[key.get<std::size_t>()]);
    } else {
      throw invalid("there is no element " + base::quoted(go_text(key)));
    }
  }
  return value;
}

Json join_of(const std::vector<Json>& arguments) {
  if (arguments.size() != 2 || !arguments[0].is_array())
    throw invalid("\"join\" needs a list and a separator");
  std::string out;
  bool first = true;
  for (const Json& element : arguments[0]) {
    if (!first) out += go_text(arguments[1]);
    out += go_text(element);
    first = false;
  }
  return out;
}

std::string with_case(const Json& value, int (*change)(int)) {
  std::string text = go_text(value);
  for (char& c : text)
    if (static_cast<unsigned char>(c) < 0x80)
      c = static_cast<char>(change(static_cast<unsigned char>(c)));
  return text;
}

Json call(const std::string& name, const std::vector<Json>& arguments) {
  if (name == "index") return index_of(arguments);
  if (name == "join") return join_of(arguments);
  static const std::vector<std::string> kUnary{"json", "len", "upper", "lower", "println"};
  if (std::find(kUnary.begin(), kUnary.end(), name) == kUnary.end())
    throw invalid("function " + base::quoted(name) + " is not supported")
        .hint("use json, join, index, len, upper, lower or println");
  if (arguments.size() != 1) throw invalid(base::quoted(name) + " needs one value");
  const Json& value = arguments[0];
  if (name == "json") return value.dump();
  if (name == "len") return value.is_string() ? value.get<std::string>().size() : value.size();
  if (name == "upper") return with_case(value, [](int c) { return std::toupper(c); });
  if (name == "lower") return with_case(value, [](int c) { return std::tolower(c); });
  return go_text(value) + "\n";
}

/// One command of a pipeline; `piped` is what the one before it gave.
Json run_command(std::span<const std::string> words, const Json* piped, const Json& root) {
  if (words.empty()) throw invalid("an action is empty");
  const std::string& head = words[0];
  const bool operand = head[0] == '.' || head[0] == '"' || (head[0] >= '0' && head[0] <= '9');
  if (operand) {
    if (words.size() > 1 || piped != nullptr)
      throw invalid(base::quoted(head) + " is not a function");
    return evaluate_operand(head, root);
  }
  std::vector<Json> arguments;
  for (const std::string& word : words.subspan(1))
    arguments.push_back(evaluate_operand(word, root));
  if (piped != nullptr) arguments.push_back(*piped);
  return call(head, arguments);
}

std::string run_action(std::string_view action, const Json& root) {
  const std::vector<std::string> words = split_words(action);
  Json value;
  bool first = true;
  auto begin = words.begin();
  while (true) {
    const auto end = std::find(begin, words.end(), "|");
    value = run_command({begin, end}, first ? nullptr : &value, root);
    first = false;
    if (end == words.end()) return go_text(value);
    begin = end + 1;
  }
}

std::string unescaped(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char next = i + 1 < text.size() ? text[i + 1] : '\0';
    if (text[i] == '\\' && (next == 'n' || next == 't')) {
      out += next == 'n' ? '\n' : '\t';
      ++i;
    } else {
      out += text[i];
    }
  }
  return out;
}

}  // namespace

std::string render_template(std::string_view text, const Json& value) {
  std::string out;
  while (true) {
    const std::size_t open = text.find("{{");
    out += unescaped(text.substr(0, open));
    if (open == std::string_view::npos) return out;
    const std::size_t close = text.find("}}", open);
    if (close == std::string_view::npos) throw invalid("an action does not end with \"}}\"");
    out += run_action(text.substr(open + 2, close - open - 2), value);
    text.remove_prefix(close + 2);
  }
}

}  // namespace strake::cli
