#include "builder/check/check.h"

#include <algorithm>
#include <deque>
#include <utility>

#include "builder/check/docker_rules.h"
#include "builder/check/own_rules.h"
#include "builder/check/reporter.h"
#include "builder/dockerfile/instruction_parser.h"
#include "builder/dockerfile/parser.h"
#include "builder/dockerfile/statement.h"

namespace strake::check {
namespace {

using dockerfile::Dockerfile;
using dockerfile::Instruction;

dockerfile::CheckSettings settings_of(const Dockerfile& file, const CheckOptions& options) {
  const auto given = options.build_args.find("BUILDKIT_DOCKERFILE_CHECK");
  if (given == options.build_args.end()) return file.directives.check;
  try {
    return dockerfile::parse_check_settings(given->second);
  } catch (base::Error& error) {
    error.add_context("reading the build argument BUILDKIT_DOCKERFILE_CHECK");
    throw;
  }
}

plan::PlanOptions plan_options(const CheckOptions& options) {
  plan::PlanOptions plan;
  plan.build_platform = options.build_platform;
  plan.target_platform = options.target_platform;
  plan.target = options.target;
  plan.build_args = options.build_args;
  return plan;
}

/// Walks the stages of a graph, base before user.
class StageWalk {
 public:
  StageWalk(const Dockerfile& file, const plan::StageGraph& graph, const CheckOptions& options,
            Reporter& reporter)
      : graph_(graph), options_(options), reporter_(reporter) {
    for (const Instruction& instruction : file.instructions)
      if (std::holds_alternative<dockerfile::From>(instruction.operation))
        from_.push_back(&instruction);
  }

  void run() {
    mark_image();
    for (const plan::Stage& stage : graph_.stages) {
      const bool wanted = options_.all_stages || stage.needed;
      StageFacts& facts = facts_.emplace_back();
      scopes_.push_back(first_scope(stage));
      if (!wanted) continue;
      walk(stage, facts);
      if (reporter_.rules() == RuleSet::all) check_facts(facts);
    }
  }

 private:
  /// The target and what it is built from, stage on stage.
  void mark_image() {
    in_image_.resize(graph_.stages.size());
    std::size_t at = graph_.target;
    while (true) {
      in_image_[at] = true;
      const auto* base = std::get_if<plan::StageBase>(&graph_.stages[at].base);
      if (base == nullptr) return;
      at = base->stage;
    }
  }

  Scope first_scope(const plan::Stage& stage) const {
    if (const auto* base = std::get_if<plan::StageBase>(&stage.base)) return scopes_[base->stage];
    const plan::ResolvedImage* image = image_of(stage);
    return Scope(graph_.escape, image != nullptr ? &image->config.config : nullptr);
  }

  /// The image that the stage starts from, if its configuration is known.
  const plan::ResolvedImage* image_of(const plan::Stage& stage) const {
    const auto* request = std::get_if<plan::ImageRequest>(&stage.base);
    if (request == nullptr || options_.images == nullptr) return nullptr;
    const auto found = options_.images->find(*request);
    return found != options_.images->end() ? &found->second : nullptr;
  }

  void check_platform(const StageFacts& facts) {
    const plan::Stage& stage = *facts.stage;
    const plan::ResolvedImage* image = image_of(stage);
    if (image == nullptr) return;
    if (auto finding = check_base_platform(facts.image_text, stage.platform, image->config.platform,
                                           stage.where))
      reporter_.add(finding->rule, *facts.from, std::move(finding->detail));
  }

  void describe(const plan::Stage& stage, StageFacts& facts) const {
    facts.stage = &stage;
    facts.from = from_[stage.number];
    facts.is_result = stage.number == graph_.target;
    facts.in_image = in_image_[stage.number];
    if (const auto* base = std::get_if<plan::StageBase>(&stage.base)) {
      facts.base = &facts_[base->stage];
      return;
    }
    const auto& from = std::get<dockerfile::From>(facts.from->operation);
    // As the graph sees it: the arguments before the first FROM have their values.
    facts.image_text =
        dockerfile::expand_word(from.image,
                                [this](std::string_view name) -> std::optional<std::string_view> {
                                  const auto found = graph_.global_args.find(std::string(name));
                                  if (found == graph_.global_args.end()) return std::nullopt;
                                  return found->second;
                                },
                                {.escape = graph_.escape})
            .text;
    if (!std::holds_alternative<plan::ScratchBase>(stage.base))
      facts.image = named_image(facts.image_text);
  }

  void walk(const plan::Stage& stage, StageFacts& facts) {
    describe(stage, facts);
    check_platform(facts);
    StageRules rules(options_, reporter_);
    FactsCollector collector(facts);
    Scope& scope = scopes_.back();
    for (const Instruction& instruction : stage.instructions) {
      try {
        rules.check(instruction, scope);
        // Triggers of a base are its author's business, and stand at this stage's FROM.
        if (instruction.where.first_line != stage.where.first_line &&
            reporter_.rules() == RuleSet::all)
          collector.add(instruction, scope);
        scope.apply(instruction, graph_, options_.build_args);
      } catch (base::Error& error) {
        error.set_location(instruction.where);
        throw;
      }
    }
    facts.user = scope.user();
  }

  void check_facts(const StageFacts& facts) {
    check_base_image(facts, reporter_);
    check_packages(facts, reporter_);
    check_shell_commands(facts, reporter_);
    check_layers(facts, reporter_);
    check_secrets(facts, reporter_);
    check_entrypoint(facts, reporter_);
  }

  const plan::StageGraph& graph_;
  const CheckOptions& options_;
  Reporter& reporter_;
  std::vector<const Instruction*> from_;  // one a stage
  std::vector<bool> in_image_;            // one a stage
  std::deque<StageFacts> facts_;          // one a stage; they point at each other
  std::vector<Scope> scopes_;             // at the end of each stage
};

/// Without a graph one is made here: FROM lines that it refuses are checked before.
void check_whole(const Dockerfile& file, const plan::StageGraph* graph, const CheckOptions& options,
                 Reporter& reporter) {
  check_from(file, options, reporter);
  if (graph != nullptr) return StageWalk(file, *graph, options, reporter).run();
  const plan::StageGraph own = plan::make_graph(file, plan_options(options), {});
  StageWalk(file, own, options, reporter).run();
}

CheckReport check_file(const Dockerfile& file, const plan::StageGraph* graph,
                       std::optional<base::Error> broken, const CheckOptions& options) {
  Reporter reporter(settings_of(file, options), options);
  CheckReport report;
  report.error = std::move(broken);
  try {
    check_syntax(file, !report.error, reporter);
    if (!report.error) check_whole(file, graph, options, reporter);
  } catch (base::Error& error) {
    report.error = std::move(error);
  }
  report.findings = reporter.take();
  report.must_fail =
      std::any_of(report.findings.begin(), report.findings.end(),
                  [](const Finding& finding) { return finding.severity == Severity::error; });
  return report;
}

/// The instructions before the place where `source` stops being a Dockerfile.
Dockerfile read_beginning(const dockerfile::SourceFile& source) {
  Dockerfile file;
  try {
    const dockerfile::DirectiveBlock block = dockerfile::read_directives(source);
    file.directives = block.directives;
    dockerfile::StatementReader reader(
        source.text(), block.directives.escape, block.lines,
        [&source](int first, int last) { return source.range(first, last); });
    while (std::optional<dockerfile::Statement> statement = reader.next())
      file.instructions.push_back(
          dockerfile::parse_instruction(std::move(*statement), block.directives.escape));
  } catch (const base::Error&) {
    // parse() has told.
  }
  return file;
}

}  // namespace

CheckReport check_dockerfile(const Dockerfile& file, const plan::StageGraph& graph,
                             const CheckOptions& options) {
  return check_file(file, &graph, std::nullopt, options);
}

CheckReport check_source(const dockerfile::SourceFile& source, const CheckOptions& options) {
  Dockerfile file;
  std::optional<base::Error> broken;
  try {
    file = dockerfile::parse(source);
  } catch (const base::Error& error) {
    broken = error;
    file = read_beginning(source);
  }
  return check_file(file, nullptr, std::move(broken), options);
}

base::Error violation(const std::vector<Finding>& findings) {
  std::string message = "lint violation found for rules: ";
  std::vector<std::string_view> named;
  for (const Finding& finding : findings) {
    if (finding.severity != Severity::error) continue;
    if (std::find(named.begin(), named.end(), finding.rule) != named.end()) continue;
    message += (named.empty() ? "" : ", ") + std::string(finding.rule);
    named.push_back(finding.rule);
  }
  return base::Error(base::ErrorCode::invalid_input, std::move(message))
      .hint("run \"strake check\" to see where, and \"strake check --explain RULE\" to see why");
}

}  // namespace strake::check
