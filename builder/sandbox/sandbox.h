#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "builder/sandbox/capabilities.h"
#include "builder/sandbox/limits.h"
#include "layers/base/fd.h"
#include "layers/base/stream.h"

namespace strake::sandbox {

/// Makes an existing file or directory of the builder visible in the step.
struct BindMount {
  /// O_PATH descriptor of the file or directory, or of a detached mount; not owned. It is bound as
  /// it is now: nothing is resolved by path again.
  int source_fd = -1;
  std::string target;
  bool read_only = false;
  bool no_exec = false;  // also no setuid; device nodes never work
  bool no_suid = false;
  bool recursive = false;  // also what is mounted below it now, under the same restrictions
  /// Nobody else uses the source while the step runs, and its file system is the root's: where
  /// nothing can be mounted it may be moved into the root, and back afterwards.
  bool movable = false;
};

/// A device of the builder's machine, under any name. Neither its owner nor its mode can be changed
/// by the step.
struct DeviceNode {
  int source_fd = -1;  // O_PATH descriptor of a character or block device; not owned
  std::string target;
  /// Where they are not those of the host's node, the step gets a node of its own.
  std::optional<mode_t> mode = {};
  std::optional<uid_t> uid = {};
  std::optional<gid_t> gid = {};
};

/// An empty file system in memory, gone after the step.
struct TmpfsMount {
  std::string target;
  std::uint64_t size_bytes = 0;  // 0: half of the memory, the kernel's default
  mode_t mode = 0755;
  bool no_exec = false;
  bool read_only = false;
};

/// A read-only file with the given content, in memory only: here-documents and secrets.
struct InlineFile {
  std::string target;
  std::string content;
  mode_t mode = 0400;  // without any x bit the mount is also noexec
  uid_t uid = 0;
  gid_t gid = 0;
  bool secret = true;  // false: where nothing can be mounted it may be written to the disk
};

/// Targets are absolute paths in the image. A target that does not exist is made (0755, root) and
/// removed again after the step. Later mounts may lie inside earlier ones.
using Mount = std::variant<BindMount, TmpfsMount, InlineFile, DeviceNode>;

enum class Network {
  host,     // the builder's own
  none,     // loopback only
  outward,  // a network of its own with a way out (pasta, slirp4netns): nobody gets in, and the
            // loopback addresses of the host are out of reach
};

/// Lines of /etc/resolv.conf. Each kind that is not empty takes the place of the host's.
struct Resolver {
  std::vector<std::string> servers, search, options;
  bool operator==(const Resolver&) const = default;
};

/// A user who takes part in a command instead of watching its output: `strake run`, the shell in a
/// failed step. No descriptor is owned; none of them gets into the step.
struct Interaction {
  int input_fd = -1;  // passed on to stdin as it comes, its end too; -1: stdin is empty
  int output_fd = 1;  // gets what is written to stdout, and to the command's terminal
  int error_fd = 2;   // gets what is written to stderr; with a terminal nothing
  /// stdin, stdout and stderr are a terminal of the step's own, the controlling one of the command:
  /// /dev/pts/0.
  bool terminal = false;
  int window_fd = -1;  // the user's terminal: the command's gets its size; -1: there is none
  /// Read end of a pipe of signal numbers, a byte each; -1: none. SIGKILL ends the step, SIGWINCH
  /// says that the size of window_fd has changed, every other signal goes to the command alone.
  int signals_fd = -1;
};

/// One command and everything it can see. Nothing is inherited from the builder.
struct Spec {
  /// O_PATH descriptor of the root of a mount, attached or detached (fsmount, open_tree); not
  /// owned. It may be moved into the step's namespace and is always restricted (nodev): use it for
  /// one run, and afterwards only to look at files or to close it.
  int rootfs_fd = -1;
  /// The upper directory when the root is an overlay, else -1; not owned. With it, directories that
  /// the kernel copied up only because a mount point was made in them are taken away again, so that
  /// a step without changes leaves the upper empty.
  int upper_fd = -1;

  std::vector<std::string> argv;  // argv[0] without "/" is looked up in env's PATH, in the image
  std::vector<std::string> env;   // "NAME=value", complete
  uid_t uid = 0;
  gid_t gid = 0;
  std::vector<gid_t> groups;      // supplementary; `gid` is always added
  std::string working_dir = "/";  // made 0755 and owned by uid:gid where it is missing; stays
  std::string hostname = "strake";
  Network network = Network::host;
  std::vector<std::pair<std::string, std::string>> extra_hosts;  // name, address
  std::optional<std::string> resolv_conf;  // content; nullopt: what the host uses
  Resolver resolver;                       // unless resolv_conf is given

  std::vector<Mount> mounts;
  int stdin_fd = -1;  // -1: /dev/null; not owned
  /// With it stdin_fd counts for nothing, and run() passes nothing to its `output`.
  std::optional<Interaction> interaction;
  /// The command cannot change the root itself; mounts in it are as they are. Mount points that
  /// were made stay: for roots that are thrown away.
  bool read_only_root = false;
  std::string architecture;  // as image configs name it ("arm64"); "": the machine's own
  /// RUN --security=insecure: every capability of the builder, no filter of system calls, nothing
  /// of /proc and /sys hidden or read-only, device nodes work, and the host's loop and fuse
  /// devices.
  bool insecure = false;
  /// Against step_capabilities(), or with `insecure` the builder's. A user other than root has none
  /// of them, as ever: for him they bound what setuid programs get.
  CapabilityChanges capabilities;
  bool no_new_privileges = false;  // setuid programs and file capabilities give nothing
  bool all_system_calls = false;   // no filter of system calls
  std::vector<Ulimit> ulimits;
  ResourceLimits resources;
  std::uint64_t shm_size_bytes = 64 << 20;
  std::chrono::milliseconds timeout{0};  // then it is stopped as if the user had; 0: none
};

/// How the command ended.
struct ExitStatus {
  int code = 0;             // its exit code; 128 + signal when a signal ended it, as shells count
  int signal = 0;           // 0: it exited by itself
  bool oom_killed = false;  // it was killed, and the kernel had run out of memory meanwhile
  bool processes_exhausted = false;  // the limit of processes was met
  bool timed_out = false;            // spec.timeout was over; code is 124, as of timeout(1)
  /// Why there was nothing to run, when code is 126 or 127 because the command could not be
  /// executed: `command "mak" not found in the image`. Else "".
  std::string explanation;
  /// What the sandbox itself touched in the root for the time of the step, as canonical paths:
  /// directories that something was put into, and what was moved away. All of them are as before,
  /// or as the step left them, but for their ctime.
  std::vector<std::string> touched;

  bool success() const noexcept { return code == 0; }
};

/// Runs one command at a time per call in an isolated root filesystem. Thread-safe.
class Sandbox {
 public:
  virtual ~Sandbox() = default;

  /// Runs `spec.argv` to its end. stdout and stderr go to `output` in the order they were written,
  /// from the calling thread; a slow sink slows the command down. When this returns or throws, no
  /// process of the step lives, nothing of it is mounted, and its mount points are removed.
  ///
  /// When `stop` is requested the step's processes get SIGTERM, ten seconds later SIGKILL, and
  /// Error(cancelled) is thrown. Throws Error(unsupported), Error(denied) or Error(system) naming
  /// the phase when the command could not be started, Error(invalid_input) for a mount target or
  /// ulimit that cannot be, and what `output` throws.
  virtual ExitStatus run(const Spec& spec, base::ByteSink& output, std::stop_token stop) = 0;

  /// The user's second Ctrl-C: steps that are being stopped are killed without further waiting,
  /// now and from now on. From any thread.
  virtual void kill_now() noexcept = 0;

  /// Throws Error(unsupported) unless images of this architecture can run here, natively or
  /// emulated. Needs no image: ask before anything is pulled.
  virtual void check_runnable(const std::string& architecture) const = 0;
};

/// The best rung of the ladder that this machine allows. Throws Error(unsupported) saying what is
/// missing when there is none.
std::unique_ptr<Sandbox> make_sandbox();

/// A detached copy of a mount from the open file or directory `fd` down, for BindMount. nullopt
/// where the kernel takes no part of a mount that is itself attached nowhere (before 6.15).
std::optional<base::FileDescriptor> clone_part(int fd);

/// Fills the directory `path` with the mount points that every step needs. An overlay that has it
/// as its lowest directory spares each step from making and removing what the image lacks: a
/// hundred microseconds to milliseconds, by file system. The image's own files cover it.
/// Idempotent.
void make_mount_point_layer(const std::filesystem::path& path);

}  // namespace strake::sandbox
