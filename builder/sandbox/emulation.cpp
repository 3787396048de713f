#include "builder/sandbox/emulation.h"

#include <elf.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/personality.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <sstream>

#include "builder/sandbox/child_process.h"
#include "builder/sandbox/mount.h"
#include "layers/base/error.h"
#include "layers/base/fd.h"
#include "layers/base/files.h"

namespace strake::sandbox {
namespace {

using base::Error;
using base::ErrorCode;

constexpr const char* kHostEntries = "/proc/sys/fs/binfmt_misc";
constexpr std::size_t kMaxEntryBytes = 64 << 10;

/// What tells an architecture's programs apart in the ELF header.
struct Architecture {
  std::string_view name;       // as image configs have it
  std::string_view qemu_name;  // as qemu has it
  unsigned char elf_class, data;
  std::uint16_t machine;
};
constexpr Architecture kArchitectures[] = {
    {"amd64", "x86_64", ELFCLASS64, ELFDATA2LSB, EM_X86_64},
    {"386", "i386", ELFCLASS32, ELFDATA2LSB, EM_386},
    {"arm64", "aarch64", ELFCLASS64, ELFDATA2LSB, EM_AARCH64},
    {"arm", "arm", ELFCLASS32, ELFDATA2LSB, EM_ARM},
    {"riscv64", "riscv64", ELFCLASS64, ELFDATA2LSB, EM_RISCV},
    {"ppc64le", "ppc64le", ELFCLASS64, ELFDATA2LSB, EM_PPC64},
    {"s390x", "s390x", ELFCLASS64, ELFDATA2MSB, EM_S390},
    {"mips64le", "mips64el", ELFCLASS64, ELFDATA2LSB, EM_MIPS},
};

// The bytes of an ELF header up to e_machine: e_ident, e_type, e_machine.
constexpr std::size_t kHeaderBytes = 20;
using Header = std::array<unsigned char, kHeaderBytes>;

const Architecture* known(std::string_view name) {
  const auto found = std::find_if(std::begin(kArchitectures), std::end(kArchitectures),
                                  [&](const Architecture& a) { return a.name == name; });
  return found == std::end(kArchitectures) ? nullptr : found;
}

void put16(Header& header, std::size_t offset, unsigned char data, std::uint16_t value) {
  const auto low = static_cast<unsigned char>(value & 0xff);
  const auto high = static_cast<unsigned char>(value >> 8);
  header[offset] = data == ELFDATA2LSB ? low : high;
  header[offset + 1] = data == ELFDATA2LSB ? high : low;
}

Header header_of(const Architecture& architecture) {
  Header header{0x7f, 'E', 'L', 'F', architecture.elf_class, architecture.data, EV_CURRENT};
  put16(header, 16, architecture.data, ET_EXEC);
  put16(header, 18, architecture.data, architecture.machine);
  return header;
}

/// All bytes count but the OS ABI, and the bit of e_type in which ET_EXEC and ET_DYN differ.
Header mask_of(const Architecture& architecture) {
  Header mask;
  mask.fill(0xff);
  mask[EI_OSABI] = 0;
  put16(mask, 16, architecture.data, 0xfffe);
  return mask;
}

/// The kernel takes bytes as \xHH. They must be written so: a NUL would end the line.
std::string escaped(const Header& bytes) {
  constexpr char kHex[] = "0123456789abcdef";
  std::string text;
  for (const unsigned char byte : bytes) text += {'\\', 'x', kHex[byte >> 4], kHex[byte & 0xf]};
  return text;
}

std::vector<unsigned char> from_hex(std::string_view hex) {
  std::vector<unsigned char> bytes;
  for (std::size_t i = 0; i + 1 < hex.size(); i += 2)
    bytes.push_back(static_cast<unsigned char>(
        std::strtoul(std::string(hex.substr(i, 2)).c_str(), nullptr, 16)));
  return bytes;
}

bool host_serves(std::string_view architecture) {
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(kHostEntries, error)) {
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

/// Since 6.7 each user namespace may have its own binfmt_misc.
bool own_instances_work() {
  static const bool works =
      run_probe(
          [](const void*) {
            return sys_make_filesystem("binfmt_misc", kNoSuid | kNoDevices | kNoExec) >= 0 ? 0 : 1;
          },
          nullptr, CLONE_NEWUSER | CLONE_NEWNS) == 0;
  return works;
}

bool runs_32_bit_arm() {
  return run_probe([](const void*) { return ::personality(PER_LINUX32) < 0 ? 1 : 0; }, nullptr,
                   0) == 0;
}

Error cannot_run(std::string_view architecture, const std::string& why) {
  return Error(ErrorCode::unsupported, "cannot run " + std::string(architecture) +
                                           " programs on this " +
                                           std::string(native_architecture()) + " machine: " + why);
}

}  // namespace

Emulation find_emulation(std::string_view architecture) {
  Emulation emulation;
  if (runs_natively(architecture)) return emulation;
  if (known(architecture) == nullptr) throw cannot_run(architecture, "unknown architecture");
  if (host_serves(architecture)) {
    emulation.kind = Emulation::Kind::host_registered;
    return emulation;
  }
  const char* path = std::getenv("PATH");
  emulation.interpreter = find_qemu(architecture, path == nullptr ? "" : path);
  if (emulation.interpreter.empty())
    throw cannot_run(architecture, "there is no emulator for them")
        .hint("install the package qemu-user-static");
  if (!own_instances_work())
    throw cannot_run(architecture, "the kernel has no binfmt_misc for user namespaces")
        .hint("use Linux 6.7 or later, or register " + emulation.interpreter +
              " with the host's binfmt_misc, flag F");
  emulation.kind = Emulation::Kind::own_instance;
  emulation.registration = *binfmt_registration(architecture, emulation.interpreter);
  return emulation;
}

std::string_view native_architecture() {
#if defined(__x86_64__)
  return "amd64";
#elif defined(__aarch64__)
  return "arm64";
#elif defined(__riscv)
  return "riscv64";
#elif defined(__powerpc64__)
  return "ppc64le";
#elif defined(__s390x__)
  return "s390x";
#else
#error "unknown processor: name it here as image configs do"
#endif
}

bool runs_natively(std::string_view architecture) {
  if (architecture.empty() || architecture == native_architecture()) return true;
  if (native_architecture() == "amd64") return architecture == "386";
  if (native_architecture() == "arm64" && architecture == "arm") return runs_32_bit_arm();
  return false;
}

std::optional<std::string> binfmt_registration(std::string_view architecture,
                                               std::string_view interpreter) {
  const Architecture* found = known(architecture);
  if (found == nullptr) return std::nullopt;
  return ":strake-" + std::string(architecture) + ":M::" + escaped(header_of(*found)) + ":" +
         escaped(mask_of(*found)) + ":" + std::string(interpreter) + ":FP";
}

bool binfmt_entry_serves(std::string_view entry, std::string_view architecture) {
  const Architecture* wanted = known(architecture);
  if (wanted == nullptr || !entry.starts_with("enabled")) return false;
  std::size_t offset = 0;
  std::vector<unsigned char> magic, mask;
  bool stays_open = false;
  std::istringstream lines{std::string(entry)};
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string key, value;
    words >> key >> value;
    if (key == "flags:") stays_open = value.find('F') != std::string::npos;
    if (key == "offset") offset = std::strtoul(value.c_str(), nullptr, 10);
    if (key == "magic") magic = from_hex(value);
    if (key == "mask") mask = from_hex(value);
  }
  const Header header = header_of(*wanted);
  if (!stays_open || offset != 0 || magic.empty()) return false;
  mask.resize(magic.size(), 0xff);
  for (std::size_t i = 0; i < magic.size(); ++i) {
    const unsigned char byte = i < header.size() ? header[i] : 0;
    if (((byte ^ magic[i]) & mask[i]) != 0) return false;
  }
  return true;
}

std::string find_qemu(std::string_view architecture, std::string_view path) {
  const Architecture* wanted = known(architecture);
  if (wanted == nullptr) return "";
  for (const char* suffix : {"-static", ""}) {
    const std::string name = "qemu-" + std::string(wanted->qemu_name) + suffix;
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

}  // namespace strake::sandbox
