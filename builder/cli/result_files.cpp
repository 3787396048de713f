#include "builder/cli/result_files.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <nlohmann/json.hpp>

#include "layers/base/error.h"
#include "layers/base/fd.h"
#include "layers/base/files.h"
#include "layers/oci/json.h"

namespace strake::cli {
namespace {

std::string_view kind_of(mode_t mode) {
  if (S_ISLNK(mode)) return "a symbolic link";
  if (S_ISDIR(mode)) return "a directory";
  if (S_ISFIFO(mode)) return "a FIFO";
  if (S_ISSOCK(mode)) return "a socket";
  return "a device";
}

void require_replaceable(const std::filesystem::path& file) {
  struct stat status {};
  if (lstat(file.c_str(), &status) != 0) {
    if (errno == ENOENT) return;
    throw base::system_error(errno, "write", file.native());
  }
  if (S_ISREG(status.st_mode)) return;
  throw base::Error(base::ErrorCode::invalid_input, "cannot write " + base::quoted(file.native()) +
                                                        ": it is " +
                                                        std::string(kind_of(status.st_mode)))
      .hint("name a regular file, or - for stdout");
}

}  // namespace

base::Digest image_id(const builder::BuildOutcome& outcome) {
  if (outcome.images.size() == 1) return outcome.images.front().config;
  if (outcome.root) return outcome.root->digest;
  if (!outcome.images.empty()) return outcome.images.front().config;
  throw base::Error(base::ErrorCode::invalid_input, "the build made no image");
}

std::string metadata_json(const builder::BuildOutcome& outcome,
                          const std::vector<std::string>& names) {
  nlohmann::ordered_json metadata = nlohmann::ordered_json::object();
  if (outcome.images.size() == 1)
    metadata["containerimage.config.digest"] = outcome.images.front().config.str();
  if (outcome.root) {
    metadata["containerimage.descriptor"] = oci::to_json(*outcome.root);
    metadata["containerimage.digest"] = outcome.root->digest.str();
  }
  std::string joined;
  for (const std::string& name : names) joined += (joined.empty() ? "" : ",") + name;
  if (!joined.empty()) metadata["image.name"] = joined;
  for (const builder::EmulatedStage& stage : outcome.emulated)
    metadata["strake.emulated"].push_back(
        {{"platform", stage.platform.str()},
         {"stage", stage.stage},
         {"emulator", stage.emulator},
         {"seconds", std::chrono::duration<double>(stage.time).count()}});
  return metadata.dump(2) + "\n";
}

void write_result_file(const std::filesystem::path& file, std::string_view content) {
  if (file == "-" || file == "/dev/stdout")
    return base::write_full(STDOUT_FILENO, base::bytes_of(content), "stdout");
  require_replaceable(file);
  const mode_t mask = umask(0);  // there is no other way to read it; the build's threads are idle
  umask(mask);
  base::write_file_atomically(file, content, 0666 & ~mask, base::Durability::none);
}

}  // namespace strake::cli
