#pragma once

#include <sys/stat.h>

#include <list>
#include <map>
#include <string>
#include <vector>

#include "builder/sandbox/sandbox.h"
#include "builder/sandbox/secret_pipe.h"
#include "layers/base/fd.h"
#include "layers/base/rooted_directory.h"

namespace strake::sandbox {

/// What a step without mounts finds in its root besides the image: put there before it, taken out
/// after it, so that no layer has any of it.
///
///     /dev                     made anew, with the usual nodes where mknod is allowed
///     /proc, /sys              empty
///     resolv.conf, hosts, ...  written; what the step writes to them itself stays
///     binds that are movable   the source itself, moved in and back by rename
///     file systems in memory   empty directories
///     files in memory          files, or, when they are secret, pipes
///
/// What is in the way is moved aside, into the directory that the root is in, and back.
class ChrootPlaces {
 public:
  /// `root` is the directory (O_PATH) that becomes the root; the directory around it is the
  /// builder's own. Throws Error(unsupported) for a mount that needs mounting, naming it, and
  /// Error(invalid_input) for a target that cannot be.
  ChrootPlaces(const Spec& spec, int root);
  ~ChrootPlaces() { restore(); }
  ChrootPlaces(const ChrootPlaces&) = delete;
  ChrootPlaces& operator=(const ChrootPlaces&) = delete;

  /// To be called when no process of the step lives any more. Logs what cannot be undone.
  void restore() noexcept;
  /// See ExitStatus::touched.
  const std::vector<std::string>& touched() const noexcept { return touched_; }

 private:
  /// A name in a directory, which stays open: the step may move directories.
  struct Place {
    std::size_t directory;  // index into directories_
    std::string name;
    std::string path;
    std::string aside = "";            // the name there of what was in the way; "": nothing was
    bool made = false;                 // a directory on the way to another place: ours if empty
    bool yields = false;               // to what the step writes there itself
    struct ::stat placed = {};         // of what was put there
    base::FileDescriptor source = {};  // of something moved: the directory it came from,
    std::string source_name = "";      // and its name there
  };
  struct Directory {
    base::RootedDirectory itself;
    struct ::timespec before, prepared = {};  // its times
  };

  void prepare(const Spec& spec);
  void make_working_directory(const Spec& spec);
  void add_kernel_directories();
  void add_devices(int dev);
  void add_network_files(const Spec& spec);
  void add(const BindMount& mount);
  void add(const TmpfsMount& mount);
  void add(const InlineFile& file);
  void add(const DeviceNode& device);

  Place& clear_place(const std::string& target, bool is_directory);
  base::FileDescriptor add_directory(const std::string& target, mode_t mode);
  void add_file(const std::string& target, const std::string& content, const InlineFile& file);
  std::size_t directory(const std::string& path);
  void note_prepared();
  void put_back(const Place& place) const;
  void move_back(const Place& place) const;

  base::RootedDirectory root_;
  base::RootedDirectory around_;  // the directory that the root is in
  std::vector<Directory> directories_;
  std::map<std::string, std::size_t> directory_numbers_;  // by path
  std::list<Place> places_;                               // in the order they were made
  std::list<SecretPipe> secrets_;
  std::vector<std::string> touched_;
};

}  // namespace strake::sandbox
