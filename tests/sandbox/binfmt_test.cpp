// What binfmt_misc is told, and what its entries mean. The entries are those that qemu installs
// (Debian 12, /usr/lib/binfmt.d).

#include "builder/sandbox/binfmt.h"

#include <gtest/gtest.h>

#include <set>

namespace strake::sandbox {
namespace {

struct QemuEntry {
  const char* architecture;
  const char* magic;
  const char* mask;
};
constexpr QemuEntry kQemuEntries[] = {
    {"arm64", "7f454c460201010000000000000000000200b700",
     "ffffffffffffff00fffffffffffffffffeffffff"},
    {"arm", "7f454c4601010100000000000000000002002800", "ffffffffffffff00fffffffffffffffffeffffff"},
    {"riscv64", "7f454c460201010000000000000000000200f300",
     "ffffffffffffff00fffffffffffffffffeffffff"},
    {"ppc64le", "7f454c4602010100000000000000000002001500",
     "fffffffffffffffcfffffffffffffffffeffff00"},
    {"s390x", "7f454c4602020100000000000000000000020016",
     "fffffffffffffffcfffffffffffffffffffeffff"},
    {"mips64le", "7f454c4602010100000000000000000002000800",
     "ffffffffffffff00fefffffffffffffffeffffff"},
    {"loong64", "7f454c4602010100000000000000000002000201",
     "fffffffffffffffc00fffffffffffffffeffffff"},
    {"386", "7f454c4601010100000000000000000002000300", "fffffffffffefe00fffffffffffffffffeffffff"},
    {"amd64", "7f454c4602010100000000000000000002003e00",
     "fffffffffffefe00fffffffffffffffffeffffff"},
};

std::string entry_text(const QemuEntry& entry, const std::string& state, const std::string& flags) {
  return state + "\ninterpreter /usr/libexec/qemu-binfmt/q\nflags: " + flags +
         "\noffset 0\nmagic " + entry.magic + "\nmask " + entry.mask + "\n";
}

TEST(Architectures, AreThoseOfQemusTable) {
  std::set<std::string_view> here{"amd64", "386"}, there;
  for (const Architecture& architecture : architectures()) here.insert(architecture.name);
  for (const QemuEntry& entry : kQemuEntries) there.insert(entry.architecture);
  EXPECT_EQ(here, there);
  EXPECT_NE(find_architecture(native_architecture()), nullptr);
  EXPECT_EQ(find_architecture("vax"), nullptr);
}

TEST(Architectures, HaveProgramsThatOnlyTheirOwnEntryServes) {
  std::set<std::string> programs;
  for (const Architecture& architecture : architectures()) {
    const std::string program = smallest_program(architecture);
    EXPECT_LT(program.size(), 200U);
    EXPECT_TRUE(program.ends_with(architecture.exit));
    EXPECT_TRUE(programs.insert(program).second) << architecture.name;
    for (const QemuEntry& entry : kQemuEntries)
      EXPECT_EQ(binfmt_entry_serves(entry_text(entry, "enabled", "POF"), architecture),
                architecture.name == entry.architecture)
          << architecture.name << " by the entry of " << entry.architecture;
  }
}

TEST(BinfmtRegistration, IsTheLineThatQemusOwnScriptWrites) {
  const std::string ident = R"(\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00)";
  const std::string ident_mask = R"(\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff)";
  EXPECT_EQ(binfmt_registration(*find_architecture("arm64"), "/usr/bin/q"),
            ":strake-arm64:M::"
            R"(\x7f\x45\x4c\x46\x02\x01)" +
                ident + R"(\x02\x00\xb7\x00)" + R"(:\xff\xff\xff\xff\xff\xff)" + ident_mask +
                R"(\xfe\xff\xff\xff)" + ":/usr/bin/q:FP");
  // Big-endian: the bit of e_type lies in its second byte.
  EXPECT_EQ(binfmt_registration(*find_architecture("s390x"), "/q"),
            ":strake-s390x:M::"
            R"(\x7f\x45\x4c\x46\x02\x02)" +
                ident + R"(\x00\x02\x00\x16)" + R"(:\xff\xff\xff\xff\xff\xff)" + ident_mask +
                R"(\xff\xfe\xff\xff)" + ":/q:FP");
}

/// D32: a magic that is too short or too broad would take native programs too. D33: with the flag
/// "C" a setuid program would lend its rights to the emulator.
// Case D32: a registration serves programs of its architecture only.
// Case D33: and no emulated set-uid program lends its rights to the emulator.
TEST(BinfmtRegistration, HasAFullMagicAndLendsNoRights) {
  std::set<std::string> lines;
  for (const Architecture& architecture : architectures()) {
    const std::string line = binfmt_registration(architecture, "/q");
    const std::string start = ":strake-" + std::string(architecture.name) + ":M::";
    ASSERT_TRUE(line.starts_with(start) && line.ends_with(":/q:FP")) << line;
    const std::string bytes = line.substr(start.size(), line.size() - start.size() - 6);
    EXPECT_EQ(bytes.size(), 20 * 4 + 1 + 20 * 4) << line;  // \xHH each
    EXPECT_EQ(bytes.find_first_not_of("\\x0123456789abcdef:"), std::string::npos) << line;
    EXPECT_EQ(bytes.substr(81 + 18 * 4), R"(\xff\xff)") << "all of e_machine counts";
    EXPECT_TRUE(lines.insert(bytes.substr(0, 80)).second) << line;
  }
}

TEST(BinfmtEntry, ServesWhatItMatchesWhileEnabledAndOpen) {
  const QemuEntry& arm64 = kQemuEntries[0];
  const Architecture& wanted = *find_architecture("arm64");
  EXPECT_TRUE(binfmt_entry_serves(entry_text(arm64, "enabled", "OCF"), wanted));
  EXPECT_FALSE(binfmt_entry_serves(entry_text(arm64, "enabled", "OCF"), *find_architecture("arm")));
  EXPECT_FALSE(binfmt_entry_serves(entry_text(arm64, "enabled", "OC"), wanted));
  EXPECT_FALSE(binfmt_entry_serves(entry_text(arm64, "disabled", "F"), wanted));
  EXPECT_FALSE(binfmt_entry_serves("", wanted));
  EXPECT_FALSE(binfmt_entry_serves("enabled\ninterpreter /q\nflags: F\nextension .exe\n", wanted));
}

}  // namespace
}  // namespace strake::sandbox
