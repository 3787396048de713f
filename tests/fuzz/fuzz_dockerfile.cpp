// Dockerfiles: refused with an error at a line, or parsed and planned; nothing else.

#include <cstdint>
#include <cstdlib>
#include <string>

#include "builder/dockerfile/parser.h"
#include "builder/plan/planner.h"
#include "layers/base/error.h"

namespace {

using namespace strake;

/// An image that every name leads to. Its triggers are planned in each stage built from it.
plan::ResolvedImage answer(const plan::ImageRequest& request) {
  plan::ResolvedImage image;
  image.image = request.image;
  image.image.digest = base::Digest::of("manifest");
  image.config.platform = request.platform;
  image.config.diff_ids = {{base::Digest::of("layer")}};
  image.config.history = {{.created_by = "base"}};
  image.config.config.env = {"PATH=/bin", "V=value of V", "EMPTY="};
  image.config.config.working_dir = "/base";
  image.config.config.on_build = {"COPY --from=other /a* ${V}/", "RUN <<EOF\ntrigger\nEOF"};
  return image;
}

void plan_everything(const dockerfile::Dockerfile& file) {
  plan::PlanOptions options;
  options.build_platform = oci::parse_platform("linux/amd64");
  options.target_platform = oci::parse_platform("linux/arm64");
  options.build_args = {{"A", "build arg"}, {"HTTP_PROXY", "http://proxy"}};
  plan::ResolvedImages images;
  while (true) {
    const plan::StageGraph graph = make_graph(file, options, images);
    const std::size_t known = images.size();
    for (const auto& [request, where] : graph.required_images())
      images.emplace(request, answer(request));
    if (images.size() > known) continue;
    to_text(make_plan(graph, options, images));
    return;
  }
}

void check_places(const dockerfile::Dockerfile& file) {
  int last = 0;
  for (const dockerfile::Instruction& instruction : file.instructions) {
    if (instruction.where.first_line <= last) std::abort();
    if (instruction.where.last_line < instruction.where.first_line) std::abort();
    last = instruction.where.last_line;
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const dockerfile::SourceFile source("Dockerfile",
                                      std::string(reinterpret_cast<const char*>(data), size));
  try {
    const dockerfile::Dockerfile file = dockerfile::parse(source);
    check_places(file);
    plan_everything(file);
  } catch (const base::Error& error) {
    if (!error.location()) std::abort();
  }
  return 0;
}
