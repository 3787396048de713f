#include "builder/dockerfile/duration.h"
#include "builder/dockerfile/file_mode.h"
#include "builder/dockerfile/ports.h"
#include "builder/dockerfile/signal.h"
#include "tests/dockerfile/support.h"

namespace strake::dockerfile {
namespace {

using testing::ElementsAre;

TEST(Duration, IsASumOfNumbersWithUnits) {
  using namespace std::chrono_literals;
  EXPECT_EQ(parse_duration("0"), 0ns);
  EXPECT_EQ(parse_duration("1h2m3s4ms5us6ns"), 1h + 2min + 3s + 4ms + 5us + 6ns);
  EXPECT_EQ(parse_duration("1.5h"), 90min);
  EXPECT_EQ(parse_duration(".5s"), 500ms);
  EXPECT_EQ(parse_duration("1.s"), 1s);
  EXPECT_EQ(parse_duration("-2µs"), -2us);
  EXPECT_EQ(parse_duration("+0.000000001s"), 1ns);
  EXPECT_EQ(parse_duration("9223372036854775807ns").count(), 9223372036854775807);
}

TEST(Duration, RefusesAnythingElse) {
  for (const char* text : {"", "1", "s", ".s", "1x", "1s2", "--1s", "1 s", "9223372036854775808ns",
                           "2562048h", "1e3s", "-"})
    EXPECT_THROW(parse_duration(text), base::Error) << text;
}

// Rule 64: a signal is a name, with or without SIG, or a number.
TEST(Signal, IsANameOrANumber) {
  EXPECT_EQ(parse_signal("9"), 9);
  EXPECT_EQ(parse_signal("sigterm"), 15);
  EXPECT_EQ(parse_signal("USR1"), 10);
  EXPECT_EQ(parse_signal("SIGRTMIN+3"), 37);
  EXPECT_EQ(parse_signal("RTMAX-14"), 50);
  EXPECT_EQ(parse_signal("RTMIN"), 34);
}

TEST(Signal, RefusesUnknownOnes) {
  for (const char* text :
       {"", "0", "-9", "65", "SIG", "SIGFOO", "RTMIN+31", "RTMIN+", "9x", "SIG\n"})
    EXPECT_THROW(parse_signal(text), base::Error) << text;
}

// Rule 63: ports have ranges and a protocol in lower case.
TEST(Ports, AreNumbersRangesAndProtocols) {
  EXPECT_EQ(parse_port_range("80"), (PortRange{80, 80}));
  EXPECT_EQ(parse_port_range("8000-8002/udp"), (PortRange{8000, 8002, "udp"}));
  const PortRange loud = parse_port_range("80/TCP");
  EXPECT_EQ(loud.protocol, "tcp");
  EXPECT_TRUE(loud.protocol_in_upper_case);
  EXPECT_EQ(parse_port_range("80/").protocol, "tcp");
}

TEST(Ports, DropAHostPart) {
  for (const char* word : {"8080:80", "127.0.0.1:8080:80", "[::1]:8080:80", "127.0.0.1::80"}) {
    const PortRange range = parse_port_range(word);
    EXPECT_EQ(range.first, 80) << word;
    EXPECT_TRUE(range.has_host_part) << word;
  }
}

TEST(Ports, AreExpandedOnceInOrder) {
  const std::string words[] = {"443", "80-82/udp", "443/TCP", "81/udp", "81"};
  EXPECT_THAT(parse_exposed_ports(words),
              ElementsAre("443/tcp", "80/udp", "81/udp", "82/udp", "81/tcp"));
}

TEST(Ports, RefuseAnythingElse) {
  for (const char* word : {"", "abc", "65536", "-1", "80/foo", "90-80", "1-2-3", "x:80", "80\n"})
    EXPECT_THROW(parse_port_range(word), base::Error) << word;
  const std::vector<std::string> many(1000, "0-65535");
  EXPECT_THROW(parse_exposed_ports(many), base::Error);
}

// Rule 40: octal up to 07777, with setuid, setgid and sticky bits.
TEST(FileMode, IsOctal) {
  const FileModeChange mode = FileModeChange::parse("4755");
  EXPECT_TRUE(mode.absolute());
  EXPECT_EQ(mode.apply(0600, false), 04755U);
  EXPECT_EQ(FileModeChange::parse("07777").apply(0, true), 07777U);
  EXPECT_EQ(FileModeChange::parse("0").apply(0777, true), 0U);
}

// Rule 40: symbolic as in chmod(1) with a umask of 0.
TEST(FileMode, IsSymbolic) {
  const auto apply = [](const char* text, std::uint32_t mode, bool is_directory = false) {
    return FileModeChange::parse(text).apply(mode, is_directory);
  };
  EXPECT_EQ(apply("u+x", 0644), 0744U);
  EXPECT_EQ(apply("go-rw", 0666), 0600U);
  EXPECT_EQ(apply("a=r", 0777), 0444U);
  EXPECT_EQ(apply("+w", 0444), 0666U) << "no umask";
  EXPECT_EQ(apply("u=rwX,go=rX", 0600), 0644U);
  EXPECT_EQ(apply("u=rwX,go=rX", 0700), 0755U);
  EXPECT_EQ(apply("u=rwX,go=rX", 0600, true), 0755U);
  EXPECT_EQ(apply("u+s,g+s,+t", 0755), 07755U);
  EXPECT_EQ(apply("o+s", 0755), 0755U);
  EXPECT_EQ(apply("g=u,o=g", 0640), 0666U);
  EXPECT_EQ(apply("u=rw,u+x-w", 0), 0500U);
  EXPECT_EQ(apply("a=rx", 01777), 01555U) << "the sticky bit is nobody's";
  EXPECT_EQ(apply("u=", 0755), 0055U);
}

TEST(FileMode, RefusesAnythingElse) {
  for (const char* text :
       {"", "frob", "9999", "10000", "-1", "u", "+q", "u+x,", "u+ug", "0x1", "a"})
    EXPECT_THROW(FileModeChange::parse(text), base::Error) << text;
}

}  // namespace
}  // namespace strake::dockerfile
