#pragma once

#include <sys/types.h>

#include <mutex>
#include <string>
#include <thread>

#include "layers/base/fd.h"

namespace strake::sandbox {

/// A file whose content is never on a disk, where no file system in memory can be mounted: a FIFO
/// that is served by the builder, with the whole content for each reader after the other. What is
/// left of it after the death of the builder is an empty name.
///
/// It cannot be mapped or read backwards, and two readers that open it in the same instant share
/// the content.
class SecretPipe {
 public:
  /// Makes the FIFO `name` in the directory `parent`. Throws Error(system).
  SecretPipe(base::FileDescriptor parent, std::string name, std::string content, mode_t mode,
             uid_t uid, gid_t gid);
  /// When nobody reads any more. The name stays.
  ~SecretPipe();
  SecretPipe(const SecretPipe&) = delete;
  SecretPipe& operator=(const SecretPipe&) = delete;

 private:
  base::FileDescriptor make(const std::string& name) const;
  void serve(const std::stop_token& stop);
  void replace();

  base::FileDescriptor parent_;
  std::string name_;
  std::string content_;
  mode_t mode_;
  uid_t uid_;
  gid_t gid_;
  std::mutex mutex_;
  base::FileDescriptor pipe_;  // O_PATH: the one that is waited at; guarded by mutex_
  std::jthread server_;
};

}  // namespace strake::sandbox
