#include "builder/sandbox/binfmt.h"

#include <elf.h>

#include <array>
#include <cstdlib>
#include <sstream>
#include <vector>

namespace strake::sandbox {
namespace {

// The bytes of an ELF header up to e_machine: e_ident, e_type, e_machine.
constexpr std::size_t kTypeOffset = 16, kMachineOffset = 18, kHeaderBytes = 20;
using Header = std::array<unsigned char, kHeaderBytes>;

void put16(Header& header, std::size_t offset, unsigned char data, std::uint16_t value) {
  const auto low = static_cast<unsigned char>(value & 0xff);
  const auto high = static_cast<unsigned char>(value >> 8);
  header[offset] = data == ELFDATA2LSB ? low : high;
  header[offset + 1] = data == ELFDATA2LSB ? high : low;
}

Header header_of(const Architecture& architecture) {
  Header header{0x7f, 'E', 'L', 'F', architecture.elf_class, architecture.data, EV_CURRENT};
  put16(header, kTypeOffset, architecture.data, ET_EXEC);
  put16(header, kMachineOffset, architecture.data, architecture.machine);
  return header;
}

/// All bytes count but the OS ABI, and the bit of e_type in which ET_EXEC and ET_DYN differ. MIPS
/// programs without position-independent code have the ABI version 1.
Header mask_of(const Architecture& architecture) {
  Header mask;
  mask.fill(0xff);
  mask[EI_OSABI] = 0;
  if (architecture.machine == EM_MIPS) mask[EI_ABIVERSION] = 0xfe;
  put16(mask, kTypeOffset, architecture.data, 0xfffe);
  return mask;
}

/// They must be written so: a NUL would end the line, and a shorter magic matches every program.
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

}  // namespace

std::string binfmt_registration(const Architecture& architecture, std::string_view interpreter) {
  return ":strake-" + std::string(architecture.name) + ":M::" + escaped(header_of(architecture)) +
         ":" + escaped(mask_of(architecture)) + ":" + std::string(interpreter) + ":FP";
}

bool binfmt_entry_serves(std::string_view entry, const Architecture& architecture) {
  if (!entry.starts_with("enabled")) return false;
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
  const Header header = header_of(architecture);
  if (!stays_open || offset != 0 || magic.empty()) return false;
  mask.resize(magic.size(), 0xff);
  for (std::size_t i = 0; i < magic.size(); ++i) {
    const unsigned char byte = i < header.size() ? header[i] : 0;
    if (((byte ^ magic[i]) & mask[i]) != 0) return false;
  }
  return true;
}

}  // namespace strake::sandbox
