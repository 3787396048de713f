#include "builder/dockerfile/parser.h"

#include <string>
#include <utility>

#include "builder/dockerfile/instruction_parser.h"
#include "builder/dockerfile/statement.h"
#include "builder/dockerfile/words.h"

namespace strake::dockerfile {

namespace {

using base::Error;
using base::ErrorCode;

/// The order that makes instructions a Dockerfile: ARGs, then stages that each begin with FROM.
class OrderCheck {
 public:
  explicit OrderCheck(const Limits& limits) : limits_(limits) {}

  void add(const Instruction& instruction) {
    if (++instructions_ > limits_.instructions)
      throw too_many("instructions", limits_.instructions, instruction);
    if (std::holds_alternative<From>(instruction.operation)) {
      if (++stages_ > limits_.stages) throw too_many("stages", limits_.stages, instruction);
    } else if (stages_ == 0 && !std::holds_alternative<Arg>(instruction.operation)) {
      throw Error(ErrorCode::invalid_input,
                  "no build stage for " + instruction.name + ": only ARG can stand before FROM")
          .at(instruction.where)
          .hint("start the file with \"FROM <image>\"");
    }
  }

  void finish(const base::SourceRange& end) const {
    if (instructions_ == 0)
      throw Error(ErrorCode::invalid_input, "file with no instructions").at(end);
    if (stages_ == 0)
      throw Error(ErrorCode::invalid_input, "the Dockerfile contains no stages to build")
          .at(end)
          .hint("add \"FROM <image>\"");
  }

 private:
  static Error too_many(std::string_view what, std::size_t limit, const Instruction& instruction) {
    return Error(ErrorCode::invalid_input,
                 "more than " + std::to_string(limit) + " " + std::string(what))
        .at(instruction.where);
  }

  const Limits& limits_;
  std::size_t instructions_ = 0;
  std::size_t stages_ = 0;
};

bool is_allowed_trigger(const std::string& name) {
  return name != "ONBUILD" && name != "FROM" && name != "MAINTAINER";
}

}  // namespace

Dockerfile parse(const SourceFile& source, const Limits& limits) {
  if (source.text().size() > limits.file_bytes)
    throw Error(ErrorCode::invalid_input, "the Dockerfile " + base::quoted(source.path().native()) +
                                              " has " + std::to_string(source.text().size()) +
                                              " bytes, at most " +
                                              std::to_string(limits.file_bytes) + " are allowed");
  const DirectiveBlock block = read_directives(source);
  StatementReader reader(source.text(), block.directives.escape, block.lines,
                         [&source](int first, int last) { return source.range(first, last); });
  Dockerfile file;
  OrderCheck order(limits);
  while (std::optional<Statement> statement = reader.next()) {
    file.instructions.push_back(parse_instruction(std::move(*statement), block.directives.escape));
    order.add(file.instructions.back());
  }
  order.finish(source.range(reader.lines_read()));
  file.directives = block.directives;
  file.warnings = reader.take_warnings();
  return file;
}

Instruction parse_trigger(std::string_view text, const base::SourceRange& where, char escape) {
  StatementReader reader(text, escape, 0, [&where](int, int) { return where; });
  std::optional<Statement> statement = reader.next();
  if (!statement)
    throw Error(ErrorCode::invalid_input, "the ONBUILD trigger " + excerpt(text) + " is empty")
        .at(where);
  if (!is_allowed_trigger(statement->name))
    throw Error(ErrorCode::invalid_input, statement->name + " is not allowed as an ONBUILD trigger")
        .at(where);
  Instruction instruction = parse_instruction(std::move(*statement), escape);
  if (reader.next())
    throw Error(ErrorCode::invalid_input,
                "the ONBUILD trigger " + excerpt(text) + " is more than one instruction")
        .at(where);
  return instruction;
}

}  // namespace strake::dockerfile
