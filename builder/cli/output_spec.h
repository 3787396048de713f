#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "builder/exec/build.h"

namespace strake::cli {

/// One "-o", understood.
struct ParsedOutput {
  std::vector<builder::OutputSpec> outputs;  // two for type=image,push=true
  std::optional<oci::Compression> compression;
  std::optional<int> compression_level;
};

/// Parses docker's "type=oci,dest=image.tar,…" (fields as in CSV: quotes protect commas). A lone
/// word is a directory for the files of the image, "-" the same as a tar on stdout.
/// Throws Error(invalid_input) naming the field.
ParsedOutput parse_output(std::string_view text);

/// "gzip", "zstd", "none" (also "uncompressed"). Throws Error(invalid_input).
oci::Compression parse_compression(std::string_view word);

/// A level within what `compression` knows (gzip 0-12, zstd 1-22). Throws Error(invalid_input).
int parse_compression_level(std::string_view text, oci::Compression compression);

/// The fields of one CSV record: `a,"b,c"` gives `a` and `b,c`. Throws Error(invalid_input) for a
/// quote that does not end.
std::vector<std::string> split_csv(std::string_view text);

/// A whole decimal number in [least, most]. `subject` names it in the Error(invalid_input).
long parse_number(std::string_view text, long least, long most, std::string_view subject);

}  // namespace strake::cli
