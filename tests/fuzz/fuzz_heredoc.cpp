// Here-documents: what follows "RUN " or "COPY ", with bodies, up to the script that comes out.

#include <cstdint>
#include <cstdlib>
#include <string>

#include "builder/dockerfile/expansion.h"
#include "builder/dockerfile/heredoc.h"
#include "builder/dockerfile/parser.h"
#include "layers/base/error.h"

namespace {

using namespace strake;
using namespace strake::dockerfile;

std::optional<std::string_view> lookup(std::string_view name) {
  if (name.size() == 1) return "value";
  return std::nullopt;
}

void check(const Heredoc& heredoc) {
  const std::string body = heredoc.body();
  if (heredoc.strip_tabs && (body.starts_with('\t') || body.find("\n\t") != std::string::npos))
    std::abort();
  if (!heredoc.strip_tabs && body != heredoc.content) std::abort();
  if (!heredoc.expand) return;
  try {
    expand_heredoc_body(body, lookup);
  } catch (const base::Error&) {
  }
}

void read(std::string_view keyword, const std::string& rest) {
  const base::SourceRange where;
  try {
    const Instruction instruction = parse_trigger(std::string(keyword) + rest, where);
    if (const auto* run = std::get_if<Run>(&instruction.operation)) {
      for (const Heredoc& heredoc : run->heredocs) check(heredoc);
      run_script(*run);
    } else if (const auto* copy = std::get_if<Copy>(&instruction.operation)) {
      if (copy->transfer.sources.empty() && copy->transfer.heredocs.empty()) std::abort();
      for (const Heredoc& heredoc : copy->transfer.heredocs) check(heredoc);
    }
  } catch (const base::Error&) {
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  read("RUN ", text);
  read("COPY ", text);
  try {
    find_heredocs(text);
  } catch (const base::Error&) {
  }
  return 0;
}
