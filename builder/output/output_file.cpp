#include "builder/output/output_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

#include "layers/base/error.h"
#include "layers/base/files.h"

namespace strake::builder {

OutputFile::OutputFile(const std::string& destination) {
  if (destination == "-") {
    file_ = base::FileDescriptor(::fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3));
    if (!file_) throw base::system_error(errno, "write to", "stdout");
    return;
  }
  path_ = destination;
  struct ::stat status;
  if (::lstat(path_.c_str(), &status) == 0 && S_ISDIR(status.st_mode))
    throw base::Error(base::ErrorCode::invalid_input,
                      "cannot write " + base::quoted(destination) + ": it is a directory")
        .hint("name a file in it");
  temporary_ = path_.string() + ".strake-" + base::random_name();
  file_ = base::FileDescriptor(
      ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0644));
  if (!file_) {
    const int errnum = errno;
    temporary_.clear();
    throw base::system_error(errnum, "create", destination);
  }
}

OutputFile::~OutputFile() {
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
}

void OutputFile::write(std::span<const std::byte> bytes) {
  base::write_full(file_.get(), bytes, path_.empty() ? "stdout" : path_.string());
}

void OutputFile::commit() {
  if (temporary_.empty()) return;
  if (std::rename(temporary_.c_str(), path_.c_str()) != 0)
    throw base::system_error(errno, "create", path_.string());
  temporary_.clear();
}

}  // namespace strake::builder
