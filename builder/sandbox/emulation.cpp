#include "builder/sandbox/emulation.h"

#include <elf.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <map>
#include <mutex>
#include <sstream>

#include "builder/sandbox/binfmt.h"
#include "builder/sandbox/capabilities.h"
#include "builder/sandbox/child_process.h"
#include "builder/sandbox/probes.h"
#include "layers/base/error.h"
#include "layers/base/fd.h"
#include "layers/base/files.h"

namespace strake::sandbox {
namespace {

using base::Error;
using base::ErrorCode;

constexpr const char* kHostEntries = "/proc/sys/fs/binfmt_misc";
constexpr std::size_t kMaxEntryBytes = 64 << 10;
constexpr const char* kPackage = "qemu-user-static";

// ---- Trying ------------------------------------------------------------------------------------

/// In a root directory of its own, where no interpreter can be found by its path.
int execute_alone(const void* directory) {
  if (::chroot(static_cast<const char*>(directory)) != 0) return 1;
  char name[] = "/program";
  char* const argv[] = {name, nullptr};
  char* const env[] = {nullptr};
  ::execve(name, argv, env);
  return 1;
}

/// Whether the machine runs them as it is, by whatever means.
bool runs_already(const Architecture& architecture) {
  static std::mutex mutex;
  static std::map<std::string_view, bool> known;
  const std::lock_guard lock(mutex);
  if (const auto found = known.find(architecture.name); found != known.end()) return found->second;
  const base::TempDirectory directory(std::filesystem::temp_directory_path(), "strake-trial-");
  base::write_file_atomically(directory.path() / "program", smallest_program(architecture), 0755,
                              base::Durability::none);
  const int user = has_capability(own_capabilities(), CAP_SYS_CHROOT) ? 0 : CLONE_NEWUSER;
  const bool runs = run_probe(execute_alone, directory.path().c_str(), user) == 0;
  return known[architecture.name] = runs;
}

/// Since 6.7 each user namespace may have its own binfmt_misc.
bool own_instances_work() {
  static const bool works = run_probe(probe_binfmt, nullptr, CLONE_NEWUSER | CLONE_NEWNS) == 0;
  return works;
}

// ---- Looking -----------------------------------------------------------------------------------

bool host_serves(const Architecture& architecture) {
  std::error_code error;
  const std::filesystem::path entries = kHostEntries;
  if (!std::filesystem::exists(entries / "status", error)) return runs_already(architecture);
  for (const auto& entry : std::filesystem::directory_iterator(entries, error)) {
    const std::string name = entry.path().filename();
    if (name == "register" || name == "status") continue;
    const auto text = base::read_file(entry.path(), kMaxEntryBytes);
    if (text && binfmt_entry_serves(*text, architecture)) return true;
  }
  return false;
}

/// A dynamically linked emulator would look for its loader and libraries in the image.
bool is_static(const std::string& program) {
  const base::FileDescriptor file(::open(program.c_str(), O_RDONLY | O_CLOEXEC));
  Elf64_Ehdr header;
  if (!file || base::pread_full(file.get(), std::as_writable_bytes(std::span(&header, 1)), 0,
                                program) != sizeof header)
    return false;
  for (std::size_t i = 0; i < header.e_phnum; ++i) {
    Elf64_Phdr segment;
    if (base::pread_full(file.get(), std::as_writable_bytes(std::span(&segment, 1)),
                         header.e_phoff + i * sizeof segment, program) != sizeof segment ||
        segment.p_type == PT_INTERP)
      return false;
  }
  return true;
}

std::string search_path() {
  const char* path = std::getenv("PATH");
  return path == nullptr ? "" : path;
}

/// 64-bit processors may run the 32-bit programs of their kind, if the kernel was built so.
bool is_narrow_kind(std::string_view architecture) {
  return (native_architecture() == "amd64" && architecture == "386") ||
         (native_architecture() == "arm64" && architecture == "arm");
}

// ---- Saying ------------------------------------------------------------------------------------

Error cannot_run(std::string_view architecture, const std::string& why) {
  return Error(ErrorCode::unsupported, "cannot run " + std::string(architecture) +
                                           " programs on this " +
                                           std::string(native_architecture()) + " machine: " + why);
}

void append(std::string& list, std::string_view name) {
  if (!list.empty()) list += ", ";
  list += name;
}
void append_clause(std::string& text, const std::string& names, std::string_view how) {
  if (names.empty()) return;
  if (!text.empty()) text += "; ";
  text += names + std::string(how);
}

}  // namespace

std::string Emulation::emulator() const {
  if (kind == Kind::native) return "";
  if (kind == Kind::host_registered) return "the host's binfmt_misc";
  std::string name = std::filesystem::path(interpreter).filename();
  if (name.ends_with("-static")) name.resize(name.size() - std::string_view("-static").size());
  return name;
}

Emulation find_emulation(std::string_view architecture) {
  Emulation emulation;
  if (runs_natively(architecture)) return emulation;
  const Architecture* wanted = find_architecture(architecture);
  if (wanted == nullptr) throw cannot_run(architecture, "unknown architecture");
  if (host_serves(*wanted)) {
    emulation.kind = Emulation::Kind::host_registered;
    return emulation;
  }
  emulation.interpreter = find_qemu(*wanted, search_path());
  const std::string program = std::string(wanted->emulator) + "-static";
  if (emulation.interpreter.empty())
    throw cannot_run(architecture, "there is no " + program + " in PATH")
        .hint("install the package " + std::string(kPackage));
  if (!own_instances_work())
    throw cannot_run(architecture, "user namespaces cannot have a binfmt_misc of their own here")
        .hint("use Linux 6.7 or later and allow user namespaces, or register " +
              emulation.interpreter + " with the host's binfmt_misc, flag F");
  emulation.kind = Emulation::Kind::own_instance;
  emulation.registration = binfmt_registration(*wanted, emulation.interpreter);
  return emulation;
}

bool runs_natively(std::string_view architecture) {
  if (architecture.empty() || architecture == native_architecture()) return true;
  return is_narrow_kind(architecture) && runs_already(*find_architecture(architecture));
}

std::string find_qemu(const Architecture& architecture, std::string_view path) {
  for (const char* suffix : {"-static", ""}) {
    const std::string name = std::string(architecture.emulator) + suffix;
    std::istringstream directories{std::string(path)};
    for (std::string directory; std::getline(directories, directory, ':');) {
      const std::string program = directory + "/" + name;
      // A relative directory of PATH would be resolved again in the child.
      if (directory.starts_with('/') && ::access(program.c_str(), X_OK) == 0 && is_static(program))
        return program;
    }
  }
  return "";
}

EmulationSurvey survey_emulation() {
  std::string natively, by_host, by_us, missing;
  for (const Architecture& architecture : architectures()) {
    if (architecture.name == native_architecture()) continue;
    if (runs_natively(architecture.name))
      append(natively, architecture.name);
    else if (host_serves(architecture))
      append(by_host, architecture.name);
    else if (own_instances_work() && !find_qemu(architecture, search_path()).empty())
      append(by_us, architecture.name);
    else
      append(missing, architecture.name);
  }
  EmulationSurvey survey;
  survey.any = !by_host.empty() || !by_us.empty();
  append_clause(survey.detail, by_us, " by qemu in a binfmt_misc of our own");
  append_clause(survey.detail, by_host, " by the host's binfmt_misc");
  append_clause(survey.detail, natively, " natively");
  append_clause(survey.detail, missing, " not at all");
  if (survey.any) return survey;
  survey.knob = own_instances_work()
                    ? "install the package " + std::string(kPackage)
                    : "use Linux 6.7 or later and allow user namespaces, or register qemu with the "
                      "host's binfmt_misc, flag F";
  return survey;
}

}  // namespace strake::sandbox
