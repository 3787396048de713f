#include "builder/context/named_context.h"

#include "builder/dockerfile/source_url.h"
#include "builder/dockerfile/url_parts.h"
#include "layers/base/error.h"
#include "layers/oci/reference.h"

namespace strake::builder {
namespace {

using dockerfile::classify_context;
using dockerfile::ContextKind;
using dockerfile::cut;
using dockerfile::Halves;

using base::Error;
using base::ErrorCode;

void read_value(std::string_view value, NamedContext& context) {
  const auto take = [&](std::string_view prefix, NamedContext::Kind kind) {
    if (!value.starts_with(prefix)) return false;
    context.kind = kind;
    context.value = value.substr(prefix.size());
    return true;
  };
  if (take("docker-image://", NamedContext::Kind::image) ||
      take("oci-layout://", NamedContext::Kind::oci_layout) ||
      take("target:", NamedContext::Kind::target))
    return;
  context.value = value;
  switch (classify_context(value)) {
    case ContextKind::git:
      context.kind = NamedContext::Kind::git;
      break;
    case ContextKind::http:
      context.kind = NamedContext::Kind::http;
      break;
    case ContextKind::directory:
    case ContextKind::stdin_bytes:
      context.kind = NamedContext::Kind::directory;
      break;
  }
}

}  // namespace

std::optional<std::string> context_name(std::string_view name) {
  try {
    std::string familiar = oci::parse_reference(name).familiar();
    constexpr std::string_view kLatest = ":latest";
    if (familiar.ends_with(kLatest)) familiar.resize(familiar.size() - kLatest.size());
    return familiar;
  } catch (const Error&) {
    return std::nullopt;  // the caller knows what the name was for
  }
}

NamedContext parse_named_context(std::string_view text) {
  const Halves halves = cut(text, '=');
  if (!halves.cut || halves.first.empty())
    throw Error(ErrorCode::invalid_input, "build context " + base::quoted(text) + " has no name")
        .hint("write NAME=PATH, NAME=URL or NAME=docker-image://IMAGE");
  NamedContext context;
  std::string_view name = halves.first;
  if (const std::size_t colons = name.find("::"); colons != name.npos) {
    context.platform = oci::parse_platform(name.substr(colons + 2));
    name = name.substr(0, colons);
  }
  const std::optional<std::string> normal = context_name(name);
  if (!normal)
    throw Error(ErrorCode::invalid_input,
                "build context " + base::quoted(name) + " has a name that no image could have")
        .hint("use lower-case letters, digits, \".\", \"-\", \"_\" and \"/\"");
  context.name = *normal;
  read_value(halves.second, context);
  if (context.value.empty())
    throw Error(ErrorCode::invalid_input, "build context " + base::quoted(name) + " names no place")
        .hint("write NAME=PATH, NAME=URL or NAME=docker-image://IMAGE");
  return context;
}

}  // namespace strake::builder
