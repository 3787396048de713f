#include "builder/sandbox/architectures.h"

#include <elf.h>

#include <algorithm>

namespace strake::sandbox {
namespace {

using namespace std::string_view_literals;

constexpr Architecture kArchitectures[] = {
    {"amd64", "qemu-x86_64", ELFCLASS64, ELFDATA2LSB, EM_X86_64, 0,
     "\x31\xff\xb8\x3c\x00\x00\x00\x0f\x05"sv},  // xor edi,edi; mov eax,60; syscall
    {"arm64", "qemu-aarch64", ELFCLASS64, ELFDATA2LSB, EM_AARCH64, 0,
     "\x00\x00\x80\xd2\xa8\x0b\x80\xd2\x01\x00\x00\xd4"sv},  // mov x0,0; mov x8,93; svc 0
    {"arm", "qemu-arm", ELFCLASS32, ELFDATA2LSB, EM_ARM, EF_ARM_EABI_VER5,
     "\x00\x00\xa0\xe3\x01\x70\xa0\xe3\x00\x00\x00\xef"sv},  // mov r0,0; mov r7,1; svc 0
    {"386", "qemu-i386", ELFCLASS32, ELFDATA2LSB, EM_386, 0,
     "\x31\xdb\xb8\x01\x00\x00\x00\xcd\x80"sv},  // xor ebx,ebx; mov eax,1; int 0x80
    {"riscv64", "qemu-riscv64", ELFCLASS64, ELFDATA2LSB, EM_RISCV, 0,
     "\x13\x05\x00\x00\x93\x08\xd0\x05\x73\x00\x00\x00"sv},            // li a0,0; li a7,93; ecall
    {"ppc64le", "qemu-ppc64le", ELFCLASS64, ELFDATA2LSB, EM_PPC64, 2,  // ABI version 2
     "\x01\x00\x00\x38\x00\x00\x60\x38\x02\x00\x00\x44"sv},            // li r0,1; li r3,0; sc
    {"s390x", "qemu-s390x", ELFCLASS64, ELFDATA2MSB, EM_S390, 0,
     "\xa7\x29\x00\x00\x0a\x01"sv},  // lghi r2,0; svc 1
    {"mips64le", "qemu-mips64el", ELFCLASS64, ELFDATA2LSB, EM_MIPS, EF_MIPS_ARCH_64R2,
     "\xc2\x13\x02\x24\x25\x20\x00\x00\x0c\x00\x00\x00"sv},  // li v0,5058; move a0,zero; syscall
    {"loong64", "qemu-loongarch64", ELFCLASS64, ELFDATA2LSB, EM_LOONGARCH, 0x43,  // LP64D
     "\x04\x00\x15\x00\x0b\x74\x81\x03\x00\x00\x2b\x00"sv},  // move a0,zero; li a7,93; syscall 0
};

/// Writes numbers as the architecture has them in memory.
class ElfWriter {
 public:
  explicit ElfWriter(const Architecture& architecture) : architecture_(architecture) {}

  bool wide() const { return architecture_.elf_class == ELFCLASS64; }
  void half(std::uint64_t value) { put(value, 2); }
  void word(std::uint64_t value) { put(value, 4); }
  void address(std::uint64_t value) { put(value, wide() ? 8 : 4); }
  void raw(std::string_view bytes) { bytes_ += bytes; }
  std::string take() { return std::move(bytes_); }

 private:
  void put(std::uint64_t value, int size) {
    for (int i = 0; i < size; ++i) {
      const int place = architecture_.data == ELFDATA2LSB ? i : size - 1 - i;
      bytes_ += static_cast<char>(value >> (8 * place) & 0xff);
    }
  }

  const Architecture& architecture_;
  std::string bytes_;
};

}  // namespace

std::span<const Architecture> architectures() noexcept {
  return kArchitectures;
}

const Architecture* find_architecture(std::string_view name) noexcept {
  const auto found = std::find_if(std::begin(kArchitectures), std::end(kArchitectures),
                                  [&](const Architecture& a) { return a.name == name; });
  return found == std::end(kArchitectures) ? nullptr : found;
}

std::string_view native_architecture() noexcept {
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
#elif defined(__loongarch64)
  return "loong64";
#else
#error "unknown processor: name it here as image configs do"
#endif
}

std::string smallest_program(const Architecture& architecture) {
  constexpr std::uint64_t kBase = 0x400000, kAlignment = 0x10000;
  ElfWriter elf(architecture);
  const std::uint64_t header_bytes = elf.wide() ? sizeof(Elf64_Ehdr) : sizeof(Elf32_Ehdr);
  const std::uint64_t segment_bytes = elf.wide() ? sizeof(Elf64_Phdr) : sizeof(Elf32_Phdr);
  // The code is aligned for processors that need it.
  const std::uint64_t start = (header_bytes + segment_bytes + 15) / 16 * 16;
  const std::uint64_t size_bytes = start + architecture.exit.size();

  const char ident[EI_NIDENT] = {0x7f,
                                 'E',
                                 'L',
                                 'F',
                                 static_cast<char>(architecture.elf_class),
                                 static_cast<char>(architecture.data),
                                 EV_CURRENT};
  elf.raw({ident, sizeof ident});
  elf.half(ET_EXEC);
  elf.half(architecture.machine);
  elf.word(EV_CURRENT);
  elf.address(kBase + start);  // e_entry
  elf.address(header_bytes);   // e_phoff
  elf.address(0);              // e_shoff
  elf.word(architecture.flags);
  elf.half(header_bytes);
  elf.half(segment_bytes);
  elf.half(1);                              // e_phnum
  for (int i = 0; i < 3; ++i) elf.half(0);  // no sections
  elf.word(PT_LOAD);
  if (elf.wide()) elf.word(PF_R | PF_X);
  elf.address(0);  // p_offset
  elf.address(kBase);
  elf.address(kBase);
  elf.address(size_bytes);
  elf.address(size_bytes);
  if (!elf.wide()) elf.word(PF_R | PF_X);
  elf.address(kAlignment);
  elf.raw(std::string(start - header_bytes - segment_bytes, '\0'));
  elf.raw(architecture.exit);
  return elf.take();
}

}  // namespace strake::sandbox
