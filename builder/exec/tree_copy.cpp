#include "builder/exec/tree_copy.h"

#include <sys/stat.h>

#include <cerrno>
#include <exception>
#include <thread>
#include <vector>

#include "layers/archive/tar_writer.h"
#include "layers/base/error.h"
#include "layers/base/fd.h"
#include "layers/base/recorded_owner.h"
#include "layers/base/rooted_directory.h"
#include "layers/snapshot/apply.h"
#include "layers/snapshot/diff.h"

namespace strake::builder {

void unpack_stream(const std::function<void(base::ByteSink&)>& pack, int to,
                   const layers::Store& store) {
  base::Pipe pipe = base::make_pipe();
  std::exception_ptr error;
  {
    std::jthread packer([&] {
      try {
        const base::FileDescriptor end = std::move(pipe.write_end);
        base::FdSink sink(end.get(), "pipe");
        pack(sink);
      } catch (...) {  // the edge of a thread: thrown again below
        error = std::current_exception();
      }
    });
    try {
      base::FileSource tar(std::move(pipe.read_end), "pipe");
      layers::apply_layer(tar, to, {.xattrs = store.xattr_namespace(), .overlay_form = false});
      std::vector<std::byte> rest(4096);
      while (tar.read(rest) > 0) continue;  // padding, so that the packer is not cut off
    } catch (const base::Error&) {
      pipe.read_end.reset();
      packer.join();
      if (error != nullptr) std::rethrow_exception(error);  // the cause; ours is what followed
      throw;
    }
  }
  if (error != nullptr) std::rethrow_exception(error);
}

void copy_tree(int from, int to, const layers::Store& store) {
  unpack_stream(
      [&](base::ByteSink& sink) {
        layers::TarWriter tar(sink);
        layers::write_tree_as_tar(from, tar,
                                  {.xattrs = store.xattr_namespace(), .overlay_form = false});
        tar.finish();
      },
      to, store);
  struct ::stat status;
  if (::fstat(from, &status) != 0) throw base::system_error(errno, "look at", "source directory");
  int error = 0;
  if (store.xattr_namespace() == layers::XattrNamespace::user) {
    if (const auto owner =
            base::read_recorded_owner(base::DescriptorPath(from).c_str(), status.st_mode))
      base::apply_recorded_owner(*owner, status);
    error = base::give_or_record_owner(to, status.st_mode, status.st_uid, status.st_gid);
  } else if (::fchown(to, status.st_uid, status.st_gid) != 0) {
    error = errno;
  }
  if (error == 0 && ::fchmod(to, status.st_mode & 07777) != 0) error = errno;
  if (error != 0) throw base::system_error(error, "set owner and mode of", "copied directory");
}

}  // namespace strake::builder
