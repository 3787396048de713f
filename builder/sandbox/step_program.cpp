#include "builder/sandbox/step_program.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <linux/memfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <span>

#include "builder/sandbox/capabilities.h"
#include "builder/sandbox/id_map.h"
#include "builder/sandbox/init/protocol.h"
#include "builder/sandbox/seccomp_profile.h"
#include "layers/base/default_path.h"
#include "layers/base/error.h"

#ifndef MFD_EXEC
#define MFD_EXEC 0x0010U
#endif

// The init executable, built by its own target (STRAKE_INIT_FILE is its path).
__asm__(
    ".pushsection .rodata\n"
    ".balign 16\n"
    "strake_init_begin:\n"
    ".incbin \"" STRAKE_INIT_FILE
    "\"\n"
    "strake_init_end:\n"
    ".popsection\n");
extern "C" const char strake_init_begin[] __attribute__((visibility("hidden")));
extern "C" const char strake_init_end[] __attribute__((visibility("hidden")));

namespace strake::sandbox {
namespace {

using base::Error;
using base::ErrorCode;
using base::FileDescriptor;

constexpr rlim_t kOpenFiles = 1024, kMostOpenFiles = 1048576;

/// -1 as an unsigned number is RLIM_INFINITY. Only root of the machine may raise a limit.
PlanLimit limit_of(const Ulimit& ulimit) {
  const int resource = ulimit_resource(ulimit.name);
  const auto soft = static_cast<std::uint64_t>(ulimit.soft);
  const auto hard = static_cast<std::uint64_t>(ulimit.hard);
  struct rlimit own {};
  ::getrlimit(static_cast<__rlimit_resource_t>(resource), &own);
  const bool may_raise =
      is_first_user_namespace() && has_capability(own_capabilities(), CAP_SYS_RESOURCE);
  if (hard > own.rlim_max && !may_raise)
    throw Error(ErrorCode::unsupported, "cannot raise the limit " + base::quoted(ulimit.name) +
                                            " of steps above strake's own, which is " +
                                            std::to_string(own.rlim_max))
        .hint("raise the hard limit of the shell that starts strake");
  return {static_cast<std::uint64_t>(resource), soft, hard};
}

/// No core dumps (they would land in the layer), and as many open files as docker allows, unless
/// the builder itself may have fewer and may not raise that.
std::vector<PlanLimit> limits_of(const Spec& spec, Supervision supervision) {
  struct rlimit own {};
  ::getrlimit(RLIMIT_NOFILE, &own);
  const rlim_t hard = std::min(kMostOpenFiles, own.rlim_max);
  std::vector<PlanLimit> limits{{RLIMIT_CORE, 0, 0},
                                {RLIMIT_NOFILE, std::min(kOpenFiles, hard), hard}};
  for (const Ulimit& ulimit : spec.ulimits) limits.push_back(limit_of(ulimit));
  if (supervision == Supervision::owners) {
    // Says who a process is: see CredentialTable.
    std::erase_if(limits, [](const PlanLimit& limit) { return limit.resource == RLIMIT_RTTIME; });
    ::getrlimit(RLIMIT_RTTIME, &own);
    limits.push_back({RLIMIT_RTTIME, own.rlim_max, own.rlim_max});
  }
  return limits;
}

std::string_view path_of(const Spec& spec) {
  for (const std::string& variable : spec.env)
    if (variable.starts_with("PATH=")) return std::string_view(variable).substr(5);
  return base::kDefaultPath;
}

/// What the command has at most. A capability that the builder lacks is not to be had.
CapabilitySet capabilities_of(const Spec& spec) {
  const CapabilitySet own = own_capabilities();
  const CapabilitySet missing = spec.capabilities.add & ~own;
  for (int capability = 0; capability < 64; ++capability)
    if (has_capability(missing, capability))
      throw Error(ErrorCode::unsupported, "cannot give steps " + capability_name(capability) +
                                              ": strake itself does not have it here");
  return spec.capabilities.of(spec.insecure ? own : step_capabilities());
}

/// Of a range of ids some may be missing.
void require_ids(const Spec& spec) {
  const auto refuse = [](const char* kind, std::uint32_t id) {
    return Error(ErrorCode::unsupported, "there is no " + std::string(kind) + " " +
                                             std::to_string(id) + " in this user namespace")
        .hint("give the user more ids in /etc/subuid and /etc/subgid, or run strake as root");
  };
  if (!has_id(own_user_map(), spec.uid)) throw refuse("user", spec.uid);
  for (const gid_t group : groups_of(spec))
    if (!has_id(own_group_map(), group)) throw refuse("group", group);
}

/// Lays out the plan's file in memory. Everything is aligned to 8 bytes.
class PlanWriter {
 public:
  PlanWriter() { bytes_.resize(sizeof(InitPlan)); }

  template <typename T>
  PlanArray array(const std::vector<T>& elements) {
    const auto bytes = std::as_bytes(std::span(elements));
    return {append(reinterpret_cast<const char*>(bytes.data()), bytes.size()), elements.size()};
  }
  PlanArray strings(const std::vector<std::string>& texts) {
    std::vector<std::uint64_t> offsets;
    for (const std::string& text : texts) offsets.push_back(string(text));
    offsets.push_back(0);
    PlanArray result = array(offsets);
    --result.count;
    return result;
  }
  std::uint64_t string(const std::string& text) { return append(text.c_str(), text.size() + 1); }

  const std::string& finish(InitPlan& plan) {
    plan.size_bytes = bytes_.size();
    std::memcpy(bytes_.data(), &plan, sizeof plan);
    return bytes_;
  }

 private:
  std::uint64_t append(const char* from, std::size_t size) {
    bytes_.resize((bytes_.size() + 7) / 8 * 8);
    const std::uint64_t offset = bytes_.size();
    bytes_.append(from, size);
    return offset;
  }
  std::string bytes_;
};

FileDescriptor memory_file(const char* name, std::string_view content, unsigned flags) {
  FileDescriptor file(::memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING | flags));
  if (!file) return file;
  base::write_full(file.get(), base::bytes_of(content), name);
  if (::fcntl(file.get(), F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) !=
      0)
    throw base::system_error(errno, "seal", name);
  return file;
}

}  // namespace

FileDescriptor make_init_program() {
  const std::string_view image(strake_init_begin,
                               static_cast<std::size_t>(strake_init_end - strake_init_begin));
  // Kernels since 6.3 want to be told that it will be executed, older ones do not know the flag.
  FileDescriptor program = memory_file("strake-init", image, MFD_EXEC);
  if (!program && errno == EINVAL) program = memory_file("strake-init", image, 0);
  if (!program) throw base::system_error(errno, "create", "init program in memory");
  return program;
}

std::vector<gid_t> groups_of(const Spec& spec) {
  std::vector<gid_t> groups{spec.gid};
  for (const gid_t group : spec.groups)
    if (std::find(groups.begin(), groups.end(), group) == groups.end()) groups.push_back(group);
  return groups;
}

FileDescriptor make_init_plan(const Spec& spec, Confinement confinement, Supervision supervision) {
  if (spec.argv.empty()) throw Error(ErrorCode::invalid_input, "no command to run");
  PlanWriter writer;
  InitPlan plan;
  plan.uid = spec.uid;
  plan.gid = spec.gid;
  plan.fixed_ids = count_ids(own_user_map()) == 1 ? 1 : 0;
  if (supervision == Supervision::owners)
    plan.uid = plan.gid = 0;  // the supervisor knows who the command believes to be
  if (plan.fixed_ids == 0) require_ids(spec);
  plan.interactive = spec.interaction ? 1 : 0;
  plan.terminal = spec.interaction && spec.interaction->terminal ? 1 : 0;
  plan.no_new_privileges = spec.no_new_privileges ? 1 : 0;
  plan.capabilities = capabilities_of(spec);
  const bool in_chroot = confinement == Confinement::chroot;
  plan.in_chroot = in_chroot ? 1 : 0;
  if (in_chroot) plan.capabilities = chroot_capabilities(plan.capabilities);
  plan.groups = writer.array(groups_of(spec));
  plan.limits = writer.array(limits_of(spec, supervision));
  if (!spec.insecure && !spec.all_system_calls)
    plan.filter = writer.array(
        seccomp_profile(plan.capabilities, in_chroot ? Neighbours::visible : Neighbours::hidden));
  if (supervision != Supervision::none)
    plan.supervised = writer.array(supervision_filter(supervision));
  plan.argv = writer.strings(spec.argv);
  plan.env = writer.strings(spec.env);
  plan.candidates = writer.strings(command_candidates(spec));
  plan.working_dir = writer.string(spec.working_dir);
  FileDescriptor file = memory_file("strake-plan", writer.finish(plan), 0);
  if (!file) throw base::system_error(errno, "create", "plan of the step in memory");
  return file;
}

std::vector<std::string> command_candidates(const Spec& spec) {
  const std::string& command = spec.argv.front();
  if (command.find('/') != std::string::npos) return {command};
  std::vector<std::string> candidates;
  std::string_view path = path_of(spec);
  while (true) {
    const std::size_t end = std::min(path.find(':'), path.size());
    // An empty entry is the working directory, as for execvp.
    candidates.push_back(end == 0 ? command : std::string(path.substr(0, end)) + "/" + command);
    if (end == path.size()) return candidates;
    path.remove_prefix(end + 1);
  }
}

}  // namespace strake::sandbox
