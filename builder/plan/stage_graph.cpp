#include "builder/plan/stage_graph.h"

#include <algorithm>
#include <charconv>
#include <functional>
#include <tuple>
#include <utility>

#include "builder/dockerfile/expansion.h"
#include "builder/dockerfile/parser.h"
#include "builder/plan/platform_args.h"
#include "layers/base/error.h"

namespace strake::plan {
namespace {

using base::Error;
using base::ErrorCode;
using dockerfile::Instruction;

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return out;
}

std::optional<std::size_t> parse_number(std::string_view text) {
  std::size_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || text.empty()) return std::nullopt;
  return value;
}

/// An image's name in its full form, "" for what is none.
std::string full_name(const std::string& name) {
  try {
    return oci::parse_reference(name).str();
  } catch (const Error&) {
    return "";
  }
}

class GraphBuilder {
 public:
  GraphBuilder(const dockerfile::Dockerfile& file, const PlanOptions& options,
               const ResolvedImages& images)
      : file_(file), options_(options), images_(images) {}

  StageGraph build() {
    graph_.escape = file_.directives.escape;
    collect_stages();
    graph_.target = find_target();
    evaluate_global_args();
    for (Stage& stage : graph_.stages) resolve_base(stage);
    for (Stage& stage : graph_.stages) {
      insert_triggers(stage);
      resolve_sources(stage);
    }
    mark_needed(graph_.target);
    return std::move(graph_);
  }

 private:
  void collect_stages() {
    for (const Instruction& instruction : file_.instructions) {
      if (const auto* from = std::get_if<dockerfile::From>(&instruction.operation)) {
        Stage stage;
        stage.number = graph_.stages.size();
        stage.name = from->name;
        stage.where = instruction.where;
        graph_.stages.push_back(std::move(stage));
        from_.push_back(from);
      } else if (graph_.stages.empty()) {
        global_.push_back(&instruction);
      } else {
        graph_.stages.back().instructions.push_back(instruction);
      }
    }
    if (graph_.stages.empty())
      throw Error(ErrorCode::invalid_input, "the Dockerfile has no stage to build")
          .hint("start a stage with a FROM instruction");
  }

  std::size_t find_target() const {
    if (options_.target.empty()) return graph_.stages.size() - 1;
    if (const auto stage = find_stage(options_.target)) return *stage;
    if (const auto number = parse_number(options_.target); number && *number < graph_.stages.size())
      return *number;
    Error error(ErrorCode::invalid_input,
                "no stage " + base::quoted(options_.target) + " in the Dockerfile");
    const std::string near = base::nearest(options_.target, stage_names());
    if (!near.empty()) error.set_hint("did you mean " + base::quoted(near) + "?");
    throw error;
  }

  void evaluate_global_args() {
    const Stage& target = graph_.stages[graph_.target];
    global_values_ = platform_args(options_.build_platform, options_.target_platform, target.name);
    for (auto& [name, value] : global_values_)
      if (const auto given = options_.build_args.find(name); given != options_.build_args.end())
        value = given->second;
    graph_.global_args = global_values_;
    for (const Instruction* instruction : global_) {
      const auto* arg = std::get_if<dockerfile::Arg>(&instruction->operation);
      if (arg == nullptr) continue;
      for (const auto& declaration : arg->declarations) {
        const auto given = options_.build_args.find(declaration.name);
        if (given != options_.build_args.end()) {
          global_values_[declaration.name] = given->second;
        } else if (declaration.default_value) {
          global_values_[declaration.name] = expand(*declaration.default_value, instruction->where);
        }
      }
    }
    graph_.global_args = global_values_;
  }

  std::string expand(std::string_view word, const base::SourceRange& where) const {
    try {
      return dockerfile::expand_word(
                 word,
                 [this](std::string_view name) -> std::optional<std::string_view> {
                   const auto found = global_values_.find(std::string(name));
                   if (found == global_values_.end()) return std::nullopt;
                   return found->second;
                 },
                 {.escape = file_.directives.escape})
          .text;
    } catch (Error& error) {
      error.set_location(where);
      throw;
    }
  }

  /// The last stage before `before` that has this name.
  std::optional<std::size_t> find_stage(std::string_view name, std::size_t before) const {
    const std::string wanted = lower(name);
    for (std::size_t i = std::min(before, graph_.stages.size()); i-- > 0;)
      if (!graph_.stages[i].name.empty() && graph_.stages[i].name == wanted) return i;
    return std::nullopt;
  }
  std::optional<std::size_t> find_stage(std::string_view name) const {
    return find_stage(name, graph_.stages.size());
  }

  std::vector<std::string> stage_names() const {
    std::vector<std::string> names;
    for (const Stage& stage : graph_.stages)
      if (!stage.name.empty()) names.push_back(stage.name);
    return names;
  }

  void resolve_base(Stage& stage) {
    const dockerfile::From& from = *from_[stage.number];
    stage.platform = options_.target_platform;
    if (from.platform) stage.platform = parse_platform_flag(*from.platform, stage.where);
    if (const auto context = stage.name.empty() ? std::nullopt : find_context(stage, stage.name)) {
      // A named context stands in for the whole stage of its name.
      stage.base = *context;
      stage.instructions.clear();
      take_platform(stage);
      return;
    }
    const std::string word = expand(from.image, stage.where);
    if (word.empty())
      throw Error(ErrorCode::invalid_input, "the base name " + base::quoted(from.image) +
                                                " is empty once its variables are expanded")
          .at(stage.where)
          .hint("give the ARG a default, or pass it with --build-arg");
    if (const auto earlier = find_stage(word, stage.number)) {
      stage.base = StageBase{*earlier};
    } else if (const auto context = find_context(stage, word)) {
      stage.base = *context;
    } else if (word == "scratch") {
      stage.base = ScratchBase{};
    } else {
      stage.base = ImageRequest{parse_image(word, stage.where), stage.platform};
    }
    take_platform(stage);
  }

  /// A stage is of the platform of the stage it grows from, whichever it was named by.
  void take_platform(Stage& stage) const {
    if (const auto* base = std::get_if<StageBase>(&stage.base))
      stage.platform = graph_.stages[base->stage].platform;
  }

  /// What the named context `name` gives, if there is one. Image names match in any spelling.
  std::optional<Base> find_context(const Stage& stage, const std::string& name) const {
    for (const auto& [key, context] : options_.contexts) {
      const std::size_t mark = key.find("::");
      if (mark != std::string::npos && key.substr(mark + 2) != stage.platform.str()) continue;
      // A context for one platform sorts behind the one for all, and wins.
      const bool again = mark == std::string::npos &&
                         options_.contexts.contains(key + "::" + stage.platform.str());
      if (again || !same_name(key.substr(0, mark), name)) continue;
      return base_of(stage, key, context);
    }
    return std::nullopt;
  }

  static bool same_name(const std::string& context, const std::string& name) {
    if (context == lower(name)) return true;
    const std::string full = full_name(context);
    return !full.empty() && full == full_name(name);
  }

  Base base_of(const Stage& stage, const std::string& key, const NamedContext& context) const {
    if (const auto* image = std::get_if<oci::Reference>(&context))
      return ImageRequest{*image, stage.platform};
    if (std::holds_alternative<EmptyContext>(context)) return ScratchBase{};
    const auto* target = std::get_if<StageContext>(&context);
    if (target == nullptr) return ContextBase{key};
    if (const auto earlier = find_stage(target->stage, stage.number)) return StageBase{*earlier};
    throw Error(ErrorCode::invalid_input,
                "the build context " + base::quoted(key) + " stands for the stage " +
                    base::quoted(target->stage) + ", which does not come before this one")
        .at(stage.where);
  }

  oci::Platform parse_platform_flag(const std::string& flag, const base::SourceRange& where) const {
    const std::string text = expand(flag, where);
    try {
      if (text.empty())
        throw Error(ErrorCode::invalid_input, "the platform " + base::quoted(flag) +
                                                  " is empty once its variables are expanded");
      return oci::parse_platform(text);
    } catch (Error& error) {
      error.set_location(where);
      throw;
    }
  }

  oci::Reference parse_image(const std::string& word, const base::SourceRange& where) const {
    try {
      return oci::parse_reference(word);
    } catch (Error& error) {
      error.set_location(where);
      const std::string near = base::nearest(word, stage_names());
      if (!near.empty()) error.set_hint("did you mean the stage " + base::quoted(near) + "?");
      throw;
    }
  }

  /// ONBUILD triggers of the base come before the stage's own instructions. Those of a base that is
  /// a stage are in that stage's text, those of an image in its config.
  void insert_triggers(Stage& stage) {
    std::vector<Instruction> triggers;
    const auto add = [&](const std::string& text, char escape = '\\') {
      triggers.push_back(dockerfile::parse_trigger(text, stage.where, escape));
    };
    if (const auto* base = std::get_if<StageBase>(&stage.base)) {
      for (const Instruction& instruction : graph_.stages[base->stage].instructions)
        if (const auto* onbuild = std::get_if<dockerfile::Onbuild>(&instruction.operation))
          add(onbuild->text, file_.directives.escape);
    } else if (const auto* request = std::get_if<ImageRequest>(&stage.base)) {
      const auto resolved = images_.find(*request);
      stage.base_known = resolved != images_.end();
      if (stage.base_known)
        for (const std::string& text : resolved->second.config.config.on_build) add(text);
    }
    stage.instructions.insert(stage.instructions.begin(), std::make_move_iterator(triggers.begin()),
                              std::make_move_iterator(triggers.end()));
  }

  void resolve_sources(Stage& stage) {
    for (std::size_t i = 0; i < stage.instructions.size(); ++i) {
      const Instruction& instruction = stage.instructions[i];
      const auto add = [&](std::size_t mount, const std::string& from) {
        if (!from.empty())
          stage.sources.emplace(SourcePlace{i, mount}, find_source(stage, from, instruction.where));
      };
      if (const auto* copy = std::get_if<dockerfile::Copy>(&instruction.operation))
        add(0, copy->from);
      if (const auto* run = std::get_if<dockerfile::Run>(&instruction.operation))
        for (std::size_t m = 0; m < run->mounts.size(); ++m) add(m, run->mounts[m].from);
    }
  }

  Base find_source(const Stage& stage, const std::string& name,
                   const base::SourceRange& where) const {
    if (name.find('$') != std::string::npos)
      throw Error(ErrorCode::invalid_input,
                  "--from=" + name + " holds a variable, which --from does not expand")
          .at(where)
          .hint("name a stage \"FROM " + name + " AS source\" and copy from that");
    std::optional<std::size_t> found = find_stage(name);
    if (const auto number = parse_number(name)) {
      if (*number >= graph_.stages.size())
        throw Error(ErrorCode::invalid_input, "there is no stage number " + name).at(where);
      found = number;
    }
    if (found && *found < stage.number) return StageBase{*found};
    if (const auto context = find_context(stage, name)) return *context;
    if (found) {
      // A name may be used again: the last one before this stage is meant, if there is one.
      if (const auto earlier = find_stage(name, stage.number); earlier && !parse_number(name))
        return StageBase{*earlier};
      throw Error(
          ErrorCode::invalid_input,
          "cannot copy from stage " + base::quoted(name) +
              (*found == stage.number ? ": it is this very stage" : ": it comes after this one"))
          .at(where)
          .hint("move the stage above its first use");
    }
    if (name == "scratch") return ScratchBase{};
    return ImageRequest{parse_image(name, where), stage.platform};
  }

  void mark_needed(std::size_t target) {
    std::vector<std::size_t> todo = {target};
    const auto need = [&](const Base& base) {
      if (const auto* stage = std::get_if<StageBase>(&base)) todo.push_back(stage->stage);
    };
    while (!todo.empty()) {
      Stage& stage = graph_.stages[todo.back()];
      todo.pop_back();
      if (std::exchange(stage.needed, true)) continue;
      need(stage.base);
      for (const auto& [place, source] : stage.sources) need(source);
    }
  }

  const dockerfile::Dockerfile& file_;
  const PlanOptions& options_;
  const ResolvedImages& images_;
  StageGraph graph_;
  std::vector<const dockerfile::From*> from_;  // one a stage
  std::vector<const Instruction*> global_;     // before the first FROM
  std::map<std::string, std::string> global_values_;
};

}  // namespace

bool ImageRequest::operator<(const ImageRequest& other) const {
  return std::tie(image, platform) < std::tie(other.image, other.platform);
}

std::string Stage::shown_name() const {
  return name.empty() ? "stage-" + std::to_string(number) : name;
}

std::map<ImageRequest, base::SourceRange> StageGraph::required_images() const {
  std::map<ImageRequest, base::SourceRange> requests;
  const auto add = [&](const Base& base, const base::SourceRange& where) {
    if (const auto* image = std::get_if<ImageRequest>(&base)) requests.emplace(*image, where);
  };
  for (const Stage& stage : stages) {
    if (!stage.needed) continue;
    add(stage.base, stage.where);
    for (const auto& [place, source] : stage.sources)
      add(source, stage.instructions[place.instruction].where);
  }
  return requests;
}

StageGraph make_graph(const dockerfile::Dockerfile& file, const PlanOptions& options,
                      const ResolvedImages& images) {
  return GraphBuilder(file, options, images).build();
}

}  // namespace strake::plan
