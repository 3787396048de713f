#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>

#include "builder/sandbox/network_files.h"
#include "builder/sandbox/outward_network.h"
#include "layers/base/error.h"
#include "layers/base/fd.h"
#include "tests/sandbox/step_fixture.h"

namespace strake::sandbox {
namespace {

using base::Error;
using base::ErrorCode;
using testing::Contains;
using testing::HasSubstr;
using testing::Not;
using Kind = NetworkProgram::Kind;

/// A PATH with one of the programs, or none, as long as it lives.
class ProgramPath {
 public:
  explicit ProgramPath(const std::string& program)
      : directory_(fs::temp_directory_path(), "path-") {
    if (!program.empty())
      for (const char* place : {"/usr/bin/", "/usr/local/bin/"})
        if (fs::exists(place + program) && !available_) {
          fs::create_symlink(place + program, directory_.path() / program);
          available_ = true;
        }
    ::setenv("PATH", directory_.path().c_str(), 1);
  }
  ~ProgramPath() { ::setenv("PATH", before_.c_str(), 1); }
  bool available() const { return available_; }

 private:
  std::string before_ = std::getenv("PATH");
  base::TempDirectory directory_;
  bool available_ = false;
};

TEST(NetworkProgram, IsNamedWhenItIsMissing) {
  const ProgramPath path("");
  try {
    find_network_program();
    ADD_FAILURE() << "found one";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::unsupported);
    EXPECT_STREQ(error.what(),
                 "cannot give steps a private network: neither pasta nor slirp4netns is installed");
    EXPECT_THAT(error.hint(), HasSubstr("install the package passt or slirp4netns"));
  }
}

TEST(NetworkProgram, OpensNoWayIntoTheHost) {
  const auto pasta = network_arguments({Kind::pasta, ""}, NameServer::program, true);
  for (const char* word : {"--no-map-gw", "--tcp-ns", "--udp-ns", "--tcp-ports", "--udp-ports"})
    EXPECT_THAT(pasta, Contains(word));
  EXPECT_THAT(pasta, Contains("--dns-forward"));
  EXPECT_THAT(network_arguments({Kind::pasta, ""}, NameServer::none, true),
              Not(Contains("--dns-forward")));
  const auto slirp = network_arguments({Kind::slirp4netns, ""}, NameServer::none, false);
  EXPECT_THAT(slirp, Contains("--disable-host-loopback"));
  EXPECT_THAT(slirp, Contains("--disable-dns"));
}

TEST(ResolverFile, TakesWhatIsGivenInPlaceOfTheHosts) {
  Spec spec;
  spec.resolver.servers = {"192.0.2.7", "2001:db8::1"};
  spec.resolver.search = {"a.example", "b.example"};
  spec.resolver.options = {"ndots:3"};
  EXPECT_THAT(resolver_file(spec),
              HasSubstr("search a.example b.example\nnameserver 192.0.2.7\nnameserver 2001:db8::1\n"
                        "options ndots:3\n"));
  spec.resolver.search = {"."};
  EXPECT_THAT(resolver_file(spec), Not(HasSubstr("search")));
  spec.resolver = {};
  EXPECT_EQ(resolver_file(spec), base::read_file("/etc/resolv.conf").value_or(""));
}

/// A server on a loopback port that answers nobody: a connection is all that counts.
class Listener {
 public:
  Listener() : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    auto* generic = reinterpret_cast<sockaddr*>(&address);
    EXPECT_EQ(::bind(socket_.get(), generic, size), 0);
    EXPECT_EQ(::listen(socket_.get(), 8), 0);
    EXPECT_EQ(::getsockname(socket_.get(), generic, &size), 0);
    port_ = ntohs(address.sin_port);
  }
  std::string port() const { return std::to_string(port_); }
  /// Connections since the last call.
  int connections() const {
    int count = 0;
    while (true) {
      const base::FileDescriptor client(
          ::accept4(socket_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
      if (!client) return count;
      ++count;
    }
  }

 private:
  base::FileDescriptor socket_;
  unsigned port_ = 0;
};

class PrivateNetwork : public StepTest, public testing::WithParamInterface<const char*> {
 protected:
  void SetUp() override {
    StepTest::SetUp();
    if (IsSkipped()) return;
    path_.emplace(GetParam());
    if (!path_->available()) GTEST_SKIP() << GetParam() << " is not installed";
    if (::access("/dev/net/tun", R_OK | W_OK) != 0) GTEST_SKIP() << "needs /dev/net/tun";
    fs::create_symlink("busybox", image() / "bin/nc");
    fs::create_symlink("busybox", image() / "bin/timeout");
  }
  Spec private_shell(const std::string& script) {
    Spec step = shell(script);
    step.network = Network::outward;
    return step;
  }
  /// Network programs that are alive. pasta may be executed anew as passt.avx2.
  static int programs() {
    int count = 0;
    for (const auto& entry : fs::directory_iterator("/proc")) {
      std::string name;  // stays empty for a process that ends just now
      std::ifstream(entry.path() / "comm") >> name;
      if (name.starts_with("pas") || name.starts_with("slirp4netns")) ++count;
    }
    return count;
  }

 private:
  std::optional<ProgramPath> path_;
};

TEST_P(PrivateNetwork, HasAnAddressAndAWayOut) {
  const std::string output = run(private_shell("ip -4 addr; ip route; ls /sys/class/net")).output;
  EXPECT_THAT(output, HasSubstr("127.0.0.1/8"));
  EXPECT_THAT(output, HasSubstr("default via"));
}

TEST_P(PrivateNetwork, AsksTheProgramForNames) {
  const NetworkProgram program = find_network_program();
  EXPECT_THAT(run(private_shell("cat /etc/resolv.conf")).output,
              HasSubstr(std::string("nameserver ") + program.name_server() + "\n"));
}

TEST_P(PrivateNetwork, DoesNotReachTheHostsLoopback) {
  const Listener server;
  const std::string connect =
      "for a in $(ip route | grep -o 'via [0-9.]*' | grep -o '[0-9.]*$') "
      "127.0.0.1 10.0.2.2 10.0.2.3 169.254.1.1; do timeout 3 nc -w 2 $a " +
      server.port() + " </dev/null >/dev/null 2>&1; done; true";
  run(shell(connect));
  EXPECT_EQ(server.connections(), 1);  // with the host's network it can be reached
  run(private_shell(connect));
  // What the server sees counts: a proxy on the way may take any connection.
  EXPECT_EQ(server.connections(), 0);
}

TEST_P(PrivateNetwork, LeavesNothingBehind) {
  const int before = programs();
  run(private_shell("true"));
  EXPECT_EQ(programs(), before);
  EXPECT_EQ(run(private_shell("exit 7")).status.code, 7);
  EXPECT_EQ(programs(), before);
}

INSTANTIATE_TEST_SUITE_P(Programs, PrivateNetwork, testing::Values("pasta", "slirp4netns"),
                         [](const auto& program) { return std::string(program.param); });

}  // namespace
}  // namespace strake::sandbox
