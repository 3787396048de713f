#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <variant>
#include <vector>

#include "builder/check/image_names.h"
#include "builder/check/invocation.h"
#include "builder/check/scope.h"
#include "builder/dockerfile/instruction.h"
#include "builder/plan/stage_graph.h"

namespace strake::check {

/// A RUN, read.
struct RunFacts {
  const dockerfile::Instruction* instruction = nullptr;
  std::vector<Invocation> commands;  // of the script, and of scripts given to "sh -c" in it
  bool understood = true;            // false: the script is no shell's, or does not parse
  bool has_script = false;           // it is a here-document, which may set options of its own
  std::string text;
  std::vector<dockerfile::Mount> mounts;
  std::set<std::string, std::less<>> variables;  // in its environment, as far as known
  std::optional<std::string> workdir, user;      // before it; empty: the base image decides
  bool has_pipefail = false;                     // by SHELL

  /// A mount (cache, tmpfs, bind) is on `path`, or on a directory above it.
  bool has_mount_over(std::string_view path) const;
};

/// A COPY or ADD, its words expanded.
struct TransferFacts {
  const dockerfile::Instruction* instruction = nullptr;
  bool from_context = true;
  bool is_add = false;
  std::vector<std::string> sources;
  std::string destination;
  bool has_inline_files = false;
  std::optional<std::string> workdir;
  bool has_workdir = false;

  /// Absolute; empty when the base image's WORKDIR decides.
  std::optional<std::string> absolute_destination() const;
};

/// What one stage does.
struct StageFacts {
  const plan::Stage* stage = nullptr;
  const dockerfile::Instruction* from = nullptr;
  const StageFacts* base = nullptr;  // a stage; else `image` or scratch
  std::optional<NamedImage> image;   // of this stage's own FROM
  std::string image_text;            // as expanded; "scratch"
  std::vector<std::variant<RunFacts, TransferFacts>> steps;
  std::vector<const dockerfile::Instruction*> instructions;  // no triggers
  std::optional<std::string> user;  // at the end; empty: the base image decides
  const dockerfile::Instruction* user_instruction = nullptr;
  const dockerfile::Instruction* cmd = nullptr;  // the last ones of this stage
  const dockerfile::Instruction* entrypoint = nullptr;
  bool is_result = false;  // the image is made of this stage
  bool in_image = false;   // its layers are in the image

  /// The stage at the bottom, whose base is no stage.
  const StageFacts& bottom() const;
};

/// Collects the facts of a stage while its instructions are walked.
class FactsCollector {
 public:
  explicit FactsCollector(StageFacts& facts) : facts_(facts) {}

  /// `scope` is as it is before `instruction`. Throws Error(invalid_input) for a word that cannot
  /// be expanded.
  void add(const dockerfile::Instruction& instruction, const Scope& scope);

 private:
  void add_run(const dockerfile::Instruction& instruction, const dockerfile::Run& run,
               const Scope& scope);
  void add_transfer(const dockerfile::Instruction& instruction,
                    const dockerfile::Transfer& transfer, bool from_context, bool is_add,
                    const Scope& scope);

  StageFacts& facts_;
};

}  // namespace strake::check
