#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace strake::sandbox {

/// A processor architecture, and what its programs look like.
struct Architecture {
  std::string_view name;      // as image configs have it
  std::string_view emulator;  // qemu's, in user mode: "qemu-aarch64"
  // In the ELF header: EI_CLASS, EI_DATA, e_machine, e_flags.
  unsigned char elf_class, data;
  std::uint16_t machine;
  std::uint32_t flags;
  std::string_view exit;  // machine code that ends a program with status 0
};

/// All that are known, the usual ones first.
std::span<const Architecture> architectures() noexcept;

/// nullptr for an unknown name.
const Architecture* find_architecture(std::string_view name) noexcept;

/// The machine's own architecture as image configs name it.
std::string_view native_architecture() noexcept;

/// An ELF program of some hundred bytes that ends with status 0 and needs nothing beside it: what
/// can be run tells more than what is said to be registered.
std::string smallest_program(const Architecture& architecture);

}  // namespace strake::sandbox
