#include "builder/cli/output_spec.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <map>

#include "layers/base/error.h"

namespace strake::cli {
namespace {

using builder::OutputSpec;
using Kind = OutputSpec::Kind;
using Fields = std::map<std::string, std::string>;

base::Error invalid(std::string message) {
  return base::Error(base::ErrorCode::invalid_input, std::move(message));
}

constexpr std::array<std::pair<std::string_view, Kind>, 6> kKinds{{{"image", Kind::image},
                                                                   {"registry", Kind::registry},
                                                                   {"oci", Kind::oci},
                                                                   {"docker", Kind::docker},
                                                                   {"tar", Kind::tar},
                                                                   {"local", Kind::local}}};

// Fields of docker's that strake understands. Others change the result in ways it does not offer.
const std::vector<std::string> kFields{"type",           "dest",
                                       "name",           "push",
                                       "push-by-digest", "tar",
                                       "compression",    "compression-level",
                                       "oci-mediatypes", "rewrite-timestamp"};

Kind parse_kind(const std::string& word) {
  for (const auto& [name, kind] : kKinds)
    if (word == name) return kind;
  throw invalid("output type " + base::quoted(word) + " is not known")
      .hint("use image, registry, oci, docker, tar or local");
}

Fields parse_fields(std::string_view text) {
  Fields fields;
  for (const std::string& field : split_csv(text)) {
    const std::size_t equals = field.find('=');
    std::string name = field.substr(0, equals);
    std::transform(name.begin(), name.end(), name.begin(),
                   [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
    if (equals == std::string::npos)
      throw invalid("output " + base::quoted(text) + ": " + base::quoted(field) +
                    " is not of the form name=value");
    if (std::find(kFields.begin(), kFields.end(), name) == kFields.end()) {
      base::Error error = invalid("output field " + base::quoted(name) + " is not supported");
      if (const std::string near = base::nearest(name, kFields); !near.empty())
        error.set_hint("did you mean " + base::quoted(near) + "?");
      throw error;
    }
    if (name == "dest" || name == "name" || !fields.contains(name))
      fields[name] = field.substr(equals + 1);
    else
      throw invalid("output field " + base::quoted(name) + " is given twice");
  }
  return fields;
}

std::string value_of(const Fields& fields, const std::string& name) {
  const auto found = fields.find(name);
  return found == fields.end() ? "" : found->second;
}

bool flag_of(const Fields& fields, const std::string& name, bool otherwise) {
  const auto found = fields.find(name);
  if (found == fields.end()) return otherwise;
  if (found->second == "true" || found->second == "1") return true;
  if (found->second == "false" || found->second == "0") return false;
  throw invalid("output field " + base::quoted(name) + " is either true or false, not " +
                base::quoted(found->second));
}

std::vector<oci::Reference> names_of(const Fields& fields) {
  std::vector<oci::Reference> names;
  const std::string text = value_of(fields, "name");
  if (text.empty()) return names;
  for (const std::string& name : split_csv(text)) names.push_back(oci::parse_reference(name));
  return names;
}

/// What goes to a file or to stdout.
void set_destination(OutputSpec& output, const Fields& fields) {
  output.dest = value_of(fields, "dest");
  output.directory = !flag_of(fields, "tar", true);
  if (output.directory && output.kind != Kind::oci)
    throw invalid("output field \"tar=false\" belongs to type=oci");
  const bool needs_path = output.kind == Kind::local || output.directory;
  if (needs_path && (output.dest.empty() || output.dest == "-"))
    throw invalid("output of type local, or with tar=false, needs a directory")
        .hint("add dest=DIRECTORY");
  if (output.kind == Kind::docker && output.dest.empty())
    throw invalid("output type=docker needs a file: there is no docker daemon to load it into")
        .hint("add dest=FILE, or dest=- and pipe it into \"docker load\"");
  if (output.dest.empty()) output.dest = "-";
}

void set_names(OutputSpec& output, const Fields& fields) {
  if (!value_of(fields, "dest").empty())
    throw invalid("output of type image or registry takes no dest").hint("use type=oci for a file");
  output.names = names_of(fields);
  output.push_by_digest = flag_of(fields, "push-by-digest", false);
}

/// Promises of docker's fields that strake keeps always, so that only the other value is a problem.
void check_promises(const Fields& fields) {
  if (!flag_of(fields, "oci-mediatypes", true))
    throw invalid("output field \"oci-mediatypes=false\" is not supported: images are OCI images")
        .hint("use type=docker for an archive in docker's format");
  if (!flag_of(fields, "rewrite-timestamp", true))
    throw invalid(
        "output field \"rewrite-timestamp=false\" is not supported: with "
        "SOURCE_DATE_EPOCH set, timestamps are always clamped");
}

}  // namespace

std::vector<std::string> split_csv(std::string_view text) {
  std::vector<std::string> fields(1);
  bool quoted = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (quoted && c == '"' && i + 1 < text.size() && text[i + 1] == '"') {
      fields.back() += c;
      ++i;
    } else if (c == '"' && (quoted || fields.back().empty())) {
      quoted = !quoted;
    } else if (c == ',' && !quoted) {
      fields.emplace_back();
    } else {
      fields.back() += c;
    }
  }
  if (quoted) throw invalid("a quote in " + base::quoted(text) + " does not end");
  return fields;
}

long parse_number(std::string_view text, long least, long most, std::string_view subject) {
  long number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size() || number < least || number > most)
    throw invalid(std::string(subject) + " must be a number from " + std::to_string(least) +
                  " to " + std::to_string(most) + ", not " + base::quoted(text));
  return number;
}

oci::Compression parse_compression(std::string_view word) {
  if (word == "gzip") return oci::Compression::gzip;
  if (word == "zstd") return oci::Compression::zstd;
  if (word == "none" || word == "uncompressed") return oci::Compression::none;
  throw invalid("compression " + base::quoted(word) + " is not supported")
      .hint("use gzip, zstd or none");
}

int parse_compression_level(std::string_view text, oci::Compression compression) {
  switch (compression) {
    case oci::Compression::gzip:
      return static_cast<int>(parse_number(text, 0, 12, "compression level of gzip"));
    case oci::Compression::zstd:
      return static_cast<int>(parse_number(text, 1, 22, "compression level of zstd"));
    case oci::Compression::none:
      break;
  }
  throw invalid("compression level " + base::quoted(text) + " makes no sense without compression");
}

ParsedOutput parse_output(std::string_view text) {
  if (text.empty())
    throw invalid("output is empty").hint("write \"-o DIRECTORY\" or \"-o type=…\"");
  ParsedOutput parsed;
  if (text == "-") {
    parsed.outputs.push_back({.kind = Kind::tar, .dest = "-"});
    return parsed;
  }
  if (text.find('=') == std::string_view::npos && text.find(',') == std::string_view::npos) {
    parsed.outputs.push_back({.kind = Kind::local, .dest = std::string(text)});
    return parsed;
  }

  const Fields fields = parse_fields(text);
  if (!fields.contains("type"))
    throw invalid("output " + base::quoted(text) + " has no type")
        .hint("begin with type=image, registry, oci, docker, tar or local");
  OutputSpec output{.kind = parse_kind(fields.at("type"))};
  check_promises(fields);
  const bool named = output.kind == Kind::image || output.kind == Kind::registry;
  if (named)
    set_names(output, fields);
  else
    set_destination(output, fields);

  const bool push = flag_of(fields, "push", output.kind == Kind::registry);
  if (push && !named) throw invalid("output field \"push\" belongs to type=image");
  parsed.outputs.push_back(output);
  if (push && output.kind == Kind::image) {
    output.kind = Kind::registry;
    parsed.outputs.push_back(output);
  }

  if (fields.contains("compression"))
    parsed.compression = parse_compression(fields.at("compression"));
  if (fields.contains("compression-level"))
    parsed.compression_level = parse_compression_level(
        fields.at("compression-level"), parsed.compression.value_or(oci::Compression::gzip));
  return parsed;
}

}  // namespace strake::cli
