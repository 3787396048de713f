#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "builder/exec/build.h"

namespace strake::cli {

/// What scripts know a built image by: the config's digest, or the index's if the image has several
/// platforms. Throws Error(invalid_input) for an outcome without an image.
base::Digest image_id(const builder::BuildOutcome& outcome);

/// The JSON of --metadata-file, keys as buildx writes them: containerimage.config.digest (one
/// platform), containerimage.digest and containerimage.descriptor (once there is a manifest), and
/// image.name, the names separated by commas. strake.emulated lists
/// the stages that had commands run by an emulator.
std::string metadata_json(const builder::BuildOutcome& outcome,
                          const std::vector<std::string>& names);

/// Writes a result where the user wants it: "-" and "/dev/stdout" are stdout, otherwise a regular
/// file appears or is replaced atomically. Throws Error(invalid_input) for anything else that is
/// there (a symlink, a FIFO, a directory): what it leads to might not be the user's.
void write_result_file(const std::filesystem::path& file, std::string_view content);

}  // namespace strake::cli
