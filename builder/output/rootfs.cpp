#include <fcntl.h>

#include <filesystem>
#include <system_error>

#include "builder/exec/tree_copy.h"
#include "builder/output/output_file.h"
#include "builder/output/outputs.h"
#include "layers/archive/tar_writer.h"
#include "layers/base/error.h"
#include "layers/base/files.h"
#include "layers/layer_store.h"
#include "layers/snapshot/diff.h"
#include "layers/snapshot/root_tree.h"

namespace strake::builder {
namespace {

std::string directory_name(const oci::Platform& platform) {
  std::string name = platform.str();
  for (char& c : name)
    if (c == '/') c = '_';
  return name;
}

/// The merged files of an image as a tar.
void write_files(const AssembledImage& image, base::ByteSink& to, Machine& machine,
                 LayerFetcher& fetcher) {
  fetcher.ensure_trees(image.config.diff_ids);
  const layers::RootTree stack(machine.store, machine.layers, image.config.diff_ids,
                               layers::Writable::no);
  const base::FileDescriptor root = stack.root().open("", O_RDONLY | O_DIRECTORY);
  layers::TarWriter tar(to);
  layers::write_tree_as_tar(root.get(), tar,
                            {.xattrs = machine.store.xattr_namespace(), .overlay_form = false});
  tar.finish();
}

/// The same into a directory of the user.
void unpack_files(const AssembledImage& image, const std::filesystem::path& directory,
                  Machine& machine, LayerFetcher& fetcher) {
  std::error_code error;
  std::filesystem::create_directories(directory, error);
  if (error) throw base::system_error(error.value(), "create", directory.string());
  const base::FileDescriptor root(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!root) throw base::system_error(errno, "open", directory.string());
  unpack_stream([&](base::ByteSink& sink) { write_files(image, sink, machine, fetcher); },
                root.get(), machine.store);
}

}  // namespace

void write_rootfs(const OutputSpec& output, std::span<const AssembledImage> images,
                  Machine& machine, LayerFetcher& fetcher) {
  if (output.kind == OutputSpec::Kind::local) {
    for (const AssembledImage& image : images) {
      std::filesystem::path directory = output.dest;
      if (images.size() > 1) directory /= directory_name(image.config.platform);
      unpack_files(image, directory, machine, fetcher);
    }
    return;
  }
  if (images.size() > 1)
    throw base::Error(base::ErrorCode::invalid_input,
                      "a tar of files cannot hold more than one platform")
        .hint("use type=local, or build for one platform");
  OutputFile file(output.dest);
  write_files(images.front(), file, machine, fetcher);
  file.commit();
}

}  // namespace strake::builder
