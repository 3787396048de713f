#pragma once

#include <sys/stat.h>

#include <deque>
#include <string>
#include <string_view>
#include <vector>

#include "builder/sandbox/mount.h"
#include "builder/sandbox/mount_points.h"
#include "builder/sandbox/sandbox.h"
#include "builder/sandbox/sandbox_child.h"
#include "builder/sandbox/step_kit.h"
#include "layers/base/fd.h"

namespace strake::sandbox {

/// Everything a step sees, built as detached mounts before the child exists; the child only
/// attaches them. Mount points that the image lacks exist as long as this object, which must
/// outlive all processes of the step.
class RootAssembly {
 public:
  /// `kit` is of the kind of `spec`. Throws Error(invalid_input) if the image or a mount target
  /// makes it impossible, else Error(system).
  RootAssembly(const Spec& spec, StepKit kit);
  RootAssembly(const RootAssembly&) = delete;
  RootAssembly& operator=(const RootAssembly&) = delete;

  /// Fills in what concerns mounts. The plan points into this object.
  void describe(ChildPlan& plan) const;
  /// The root of what the step sees as /dev/pts.
  int terminals() const noexcept { return terminals_; }
  /// See ExitStatus::touched.
  const std::vector<std::string>& touched() const noexcept {
    return trees_.front().points.touched();
  }
  /// What the operation of this index mounts, for messages.
  const std::string& target_of(std::size_t operation) const { return targets_.at(operation); }

 private:
  /// A directory tree that the step's paths may lead into, and where it is.
  struct Tree {
    std::string at;  // canonical; "" is the root
    MountPoints points;
  };
  struct Place {
    Tree* tree;
    std::string path;   // canonical in the tree, "/"-led
    std::string whole;  // canonical in the step's root
  };

  void make_working_directory(const Spec& spec);
  void plan_devices(StepKit& kit);
  void plan_network_files(const Spec& spec);
  void plan(const BindMount& mount);
  void plan(const TmpfsMount& mount);
  void plan(const InlineFile& mount);
  void plan(const DeviceNode& mount);

  Place find(std::string_view path);
  Place find_target(std::string_view target);
  int kernel_directory(const std::string& path);
  void add_scratch_file(const std::string& name, std::string_view content, mode_t mode,
                        uid_t uid = 0, gid_t gid = 0);
  int attach(DetachedMount mount, base::FileDescriptor target, std::string shown);
  void attach_copy(int source_fd, const std::string& name, std::uint64_t attributes,
                   base::FileDescriptor target, std::string shown);
  std::string make_node(const struct ::stat& node);
  void add_operation(AttachOperation operation, std::string shown);
  void enter_tree(std::string at, int mount_fd);
  int keep(base::FileDescriptor fd);

  DetachedMount root_;
  DetachedMount scratch_;  // masks and the step's small files
  DetachedMount nodes_;    // device nodes that differ from the host's
  DetachedMount sys_;
  std::deque<Tree> trees_;  // the root first, then as mounted; addresses stay
  std::deque<std::string> names_;
  std::vector<base::FileDescriptor> kept_;
  std::vector<AttachOperation> operations_;
  std::vector<std::string> targets_;
  int proc_target_ = -1, sys_target_ = -1, mqueue_target_ = -1;
  int terminals_ = -1;
};

}  // namespace strake::sandbox
