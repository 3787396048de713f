#include "builder/sandbox/cgroup.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <iterator>
#include <memory>
#include <set>
#include <sstream>

#include "layers/base/error.h"
#include "layers/base/files.h"
#include "layers/base/log.h"

namespace strake::sandbox {
namespace {

namespace fs = std::filesystem;
using base::Error;
using base::ErrorCode;
using base::FileDescriptor;

constexpr std::string_view kPrefix = "strake-";
constexpr const char* kLeaf = "strake-builder";  // not locked: removed once nobody is in it
constexpr int kMovingRounds = 20;                // new processes may come meanwhile
constexpr std::size_t kMaxBytes = 1 << 20;
constexpr int kRemovalTries = 200;
constexpr timespec kRemovalPause{0, 5'000'000};

constexpr const char* kDelegate =
    "start strake in a control group of its own: systemd-run --scope -p Delegate=yes strake ... "
    "(with --user if you are not root; version 1 of control groups is for root only)";

std::string content(const fs::path& file) {
  try {
    return base::read_file(file, kMaxBytes).value_or("");
  } catch (const Error&) {
    return "";  // unreadable is as good as absent
  }
}

std::set<std::string> words_of(const fs::path& file) {
  std::istringstream stream(content(file));
  return {std::istream_iterator<std::string>(stream), std::istream_iterator<std::string>()};
}

std::string joined(const std::set<std::string>& words, std::string_view before) {
  std::string text;
  for (const std::string& word : words)
    text += (text.empty() ? "" : " ") + std::string(before) + word;
  return text;
}

std::set<std::string> controllers_of(const std::vector<LimitFile>& files) {
  std::set<std::string> controllers;
  for (const LimitFile& file : files) controllers.insert(file.controller);
  return controllers;
}

/// 0 or errno. Never creates a file: in a control group the kernel has made them all.
int write_value(const fs::path& path, std::string_view value) {
  const FileDescriptor file(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (!file) return errno;
  ssize_t written;
  while ((written = ::write(file.get(), value.data(), value.size())) < 0 && errno == EINTR) {
  }
  return written < 0 ? errno : 0;
}

Error unsupported(const std::string& why) {
  return Error(ErrorCode::unsupported, "cannot limit the resources of steps: " + why);
}

void set_limit(const fs::path& group, const LimitFile& limit) {
  const int error = write_value(group / limit.name, limit.value);
  if (error == 0) return;
  // The kernel refuses to create the file that is not there.
  const bool absent =
      error == ENOENT || (error == EACCES && ::access((group / limit.name).c_str(), F_OK) != 0);
  if (absent && limit.optional) return;
  if (absent) throw unsupported("this kernel has no " + limit.name);
  if (error == EINVAL || error == ERANGE || error == EACCES || error == ENOSPC)
    throw Error(ErrorCode::invalid_input, "the kernel does not take " + base::quoted(limit.value) +
                                              " as " + limit.name + " of a step");
  throw base::system_error(error, "set " + limit.name + " of", group.native());
}

/// Removes groups that nobody holds: those of builders that were killed.
void sweep(const fs::path& parent) {
  const std::unique_ptr<DIR, int (*)(DIR*)> directory(::opendir(parent.c_str()), ::closedir);
  if (!directory) return;
  while (const dirent* entry = ::readdir(directory.get())) {
    if (!std::string_view(entry->d_name).starts_with(kPrefix)) continue;
    const FileDescriptor group(::openat(::dirfd(directory.get()), entry->d_name,
                                        O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (group && ::flock(group.get(), LOCK_EX | LOCK_NB) == 0)
      ::unlinkat(::dirfd(directory.get()), entry->d_name, AT_REMOVEDIR);
  }
}

/// A new group of version 1 has no processors and no memory nodes: nothing could run in it.
void inherit_cpuset(const fs::path& group) {
  for (const char* name : {"cpuset.cpus", "cpuset.mems"}) {
    std::string value = content(group.parent_path() / name);
    while (value.ends_with('\n')) value.pop_back();
    set_limit(group, {"cpuset", name, value});
  }
}

/// Whether nothing of what is asked for is limited in the group itself.
bool is_unlimited(const fs::path& group) {
  for (const char* name : {"memory.max", "memory.high", "memory.swap.max", "pids.max", "cpu.max"}) {
    const std::string value = content(group / name);
    if (!value.empty() && !value.starts_with("max")) return false;
  }
  return true;
}

bool contains_all(const std::set<std::string>& all, const std::set<std::string>& wanted) {
  return std::ranges::includes(all, wanted);
}

/// Moves all processes of a group into a child of it: only a group without any can hand its
/// controllers on. Done where there is nobody else to be disturbed: in a group of the builder
/// alone, or the topmost that a container has. False if that is not so, or does not work.
bool move_into_leaf(const fs::path& own) {
  const bool topmost = content(own.parent_path() / "cgroup.procs").empty();
  const fs::path leaf = own / kLeaf;
  for (int round = 0; round < kMovingRounds; ++round) {
    const std::set<std::string> processes = words_of(own / "cgroup.procs");
    if (processes.empty()) return true;
    if (!topmost && processes != std::set{std::to_string(::getpid())}) return false;
    if (::mkdir(leaf.c_str(), 0755) != 0 && errno != EEXIST) return false;
    for (const std::string& process : processes) write_value(leaf / "cgroup.procs", process);
  }
  return false;
}

/// The directory that a group with these controllers can be made in. A group that has processes of
/// its own (and the builder is one) can have no children with controllers, but the root of the
/// hierarchy. Then the place beside it will do, if there is no limit that the step would escape.
fs::path unified_parent(const fs::path& group, const std::set<std::string>& wanted) {
  // A builder before us may have moved the shell that started us.
  const fs::path own = group.filename() == kLeaf ? group.parent_path() : group;
  if (!contains_all(words_of(own / "cgroup.controllers"), wanted))
    throw unsupported("the controllers " + joined(wanted, "") + " are not available in " +
                      own.native())
        .hint(kDelegate);
  const fs::path control = own / "cgroup.subtree_control";
  // The kernel takes some controllers (pids) all the same, but then no process into the children.
  // Only the root of all has no type.
  const bool occupied =
      ::access((own / "cgroup.type").c_str(), F_OK) == 0 && !content(own / "cgroup.procs").empty();
  int error = EBUSY;
  const auto hand_on = [&] {
    if (contains_all(words_of(control), wanted)) return true;
    error = write_value(control, joined(wanted, "+"));
    return error == 0;
  };
  if (!occupied && hand_on()) return own;
  const fs::path beside = own.parent_path();
  if (is_unlimited(own) && contains_all(words_of(beside / "cgroup.subtree_control"), wanted) &&
      ::access((beside / "cgroup.procs").c_str(), W_OK) == 0)
    return beside;
  if (error == EBUSY && move_into_leaf(own) && hand_on()) return own;
  throw unsupported(error == EBUSY ? own.native() + " has processes of its own"
                                   : "control groups are not delegated to this user")
      .note(base::system_error(error, "write", control.native()).what())
      .hint(kDelegate);
}

std::uint64_t count_in(const fs::path& file, std::string_view key) {
  std::istringstream lines(content(file));
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with(key) || line.size() <= key.size() || line[key.size()] != ' ') continue;
    std::uint64_t count = 0;
    std::from_chars(line.data() + key.size() + 1, line.data() + line.size(), count);
    return count;
  }
  return 0;
}

}  // namespace

/// Another builder's sweep() may come between making and locking, rarely: then once more.
Cgroup::Group::Group(const fs::path& parent) {
  while (!directory_) {
    path_ = parent / (std::string(kPrefix) + base::random_name());
    if (::mkdir(path_.c_str(), 0755) != 0) {
      const int error = errno;
      if (error == EACCES || error == EPERM || error == EROFS)
        throw unsupported("control groups are not delegated to this user")
            .note(base::system_error(error, "create", path_.native()).what())
            .hint(kDelegate);
      throw base::system_error(error, "create control group", path_.native());
    }
    FileDescriptor made(::open(path_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (made && ::flock(made.get(), LOCK_EX | LOCK_NB) == 0 && ::access(path_.c_str(), F_OK) == 0)
      directory_ = std::move(made);
    else
      ::rmdir(path_.c_str());
  }
}

/// A process that was reaped a moment ago may still count for a few milliseconds.
Cgroup::Group::~Group() {
  if (!directory_) return;
  int tries = kRemovalTries;
  while (::rmdir(path_.c_str()) != 0 && errno == EBUSY && --tries > 0)
    ::nanosleep(&kRemovalPause, nullptr);
  if (tries == 0)
    base::log_warning("the control group " + base::quoted(path_.native()) + " is in use and stays");
}

FileDescriptor Cgroup::Group::open_entry() const {
  FileDescriptor entry(::openat(directory_.get(), "cgroup.procs", O_WRONLY | O_CLOEXEC));
  if (!entry) throw base::system_error(errno, "open cgroup.procs of", path_.native());
  return entry;
}

Cgroup::Cgroup(const ResourceLimits& limits, const CgroupPlaces& places) {
  if (!limits.any()) return;
  const std::vector<LimitFile> files = limit_files(limits, CgroupVersion::one);
  const std::set<std::string> wanted = controllers_of(files);
  const bool separate = std::ranges::all_of(
      wanted, [&](const std::string& name) { return places.separate_of(name) != nullptr; });
  if (separate)
    make_separate(files, places);
  else if (places.unified)
    make_unified(limit_files(limits, CgroupVersion::two), *places.unified);
  else
    throw unsupported("no control groups with " + joined(wanted, "") + " are mounted here")
        .hint("mount them at /sys/fs/cgroup");
  for (const Group& group : groups_)
    entries_.push_back(files_.emplace_back(group.open_entry()).get());
}

void Cgroup::make_separate(const std::vector<LimitFile>& files, const CgroupPlaces& places) {
  for (const std::string& controller : controllers_of(files)) {
    const fs::path& parent = *places.separate_of(controller);
    const fs::path group = add(parent);
    if (controller == "cpuset") inherit_cpuset(group);
    for (const LimitFile& file : files)
      if (file.controller == controller) set_limit(group, file);
    if (controller == "memory") memory_counts_ = group / "memory.oom_control";
    if (controller == "pids") process_counts_ = group / "pids.events";
  }
}

void Cgroup::make_unified(const std::vector<LimitFile>& files, const fs::path& own) {
  const std::set<std::string> wanted = controllers_of(files);
  const fs::path group = add(unified_parent(own, wanted));
  for (const LimitFile& file : files) set_limit(group, file);
  if (wanted.contains("memory")) memory_counts_ = group / "memory.events";
  if (wanted.contains("pids")) process_counts_ = group / "pids.events";
}

const fs::path& Cgroup::add(const fs::path& parent) {
  sweep(parent);
  return groups_.emplace_back(parent).path();
}

std::uint64_t Cgroup::memory_kills() const {
  return memory_counts_.empty() ? 0 : count_in(memory_counts_, "oom_kill");
}

std::uint64_t Cgroup::refused_processes() const {
  return process_counts_.empty() ? 0 : count_in(process_counts_, "max");
}

}  // namespace strake::sandbox
