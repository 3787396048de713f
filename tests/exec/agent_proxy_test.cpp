#include "builder/exec/agent_proxy.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <atomic>
#include <chrono>
#include <list>
#include <optional>
#include <thread>

#include "layers/base/error.h"
#include "tests/exec/exec_support.h"

namespace strake::builder {
namespace {

using base::FileDescriptor;
using std::chrono::steady_clock;

constexpr int kPatienceMs = 10'000;

sockaddr_un address_of(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof address.sun_path - 1);
  return address;
}

FileDescriptor unix_socket() {
  return FileDescriptor(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
}

bool readable(int fd, int milliseconds = kPatienceMs) {
  pollfd polled{fd, POLLIN, 0};
  return ::poll(&polled, 1, milliseconds) == 1;
}

/// Reads exactly `size` bytes, fewer at the end of the connection.
std::string receive(int fd, std::size_t size) {
  std::string text(size, '\0');
  std::size_t done = 0;
  while (done < size && readable(fd)) {
    const ssize_t count = ::read(fd, text.data() + done, size - done);
    if (count <= 0) break;
    done += static_cast<std::size_t>(count);
  }
  text.resize(done);
  return text;
}

void send_text(int fd, const std::string& text) {
  EXPECT_EQ(::send(fd, text.data(), text.size(), MSG_NOSIGNAL), static_cast<ssize_t>(text.size()));
}

/// The listening end of an agent: what it does with its connections is up to the test.
class Agent {
 public:
  explicit Agent(std::filesystem::path path) : path_(std::move(path)) {
    const sockaddr_un address = address_of(path_);
    EXPECT_EQ(::bind(listener_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address),
              0);
    EXPECT_EQ(::listen(listener_.get(), 128), 0);
  }
  /// The next connection on which something comes, or which stays open for a moment: the proxy
  /// makes one without use, to see that there is an agent.
  FileDescriptor accept() {
    while (readable(listener_.get())) {
      FileDescriptor connection(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
      char byte = 0;
      if (!readable(connection.get(), 20) || ::recv(connection.get(), &byte, 1, MSG_PEEK) > 0)
        return connection;
    }
    return {};
  }
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
  FileDescriptor listener_ = unix_socket();
};

class AgentProxies : public testing::Test {
 protected:
  AgentProxies() { proxy_.emplace(agent_.path(), store_, 0600, ::geteuid(), ::getegid()); }

  FileDescriptor connect() {
    FileDescriptor client = unix_socket();
    const sockaddr_un address = address_of("/proc/self/fd/" + std::to_string(proxy_->fd()));
    EXPECT_EQ(::connect(client.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address),
              0);
    return client;
  }
  /// Sends until nobody takes any more.
  static void flood(int fd) {
    const std::string much(1 << 16, 'x');
    pollfd polled{fd, POLLOUT, 0};
    while (::poll(&polled, 1, 200) == 1)
      if (::send(fd, much.data(), much.size(), MSG_NOSIGNAL | MSG_DONTWAIT) < 0 && errno != EAGAIN)
        break;
  }
  /// Ends the step; the proxy must not wait for anybody.
  void end() {
    const auto start = steady_clock::now();
    proxy_.reset();
    EXPECT_LT(steady_clock::now() - start, std::chrono::seconds(2));
  }

  base::TempDirectory directory_{testing::TempDir(), "strake-agent-"};
  layers::Store store_ = layers::Store::open(directory_.path() / "store");
  Agent agent_{directory_.path() / "agent"};
  std::optional<AgentProxy> proxy_;
};

TEST_F(AgentProxies, BytesPassBothWays) {
  const FileDescriptor client = connect();
  send_text(client.get(), "request");
  const FileDescriptor served = agent_.accept();
  EXPECT_EQ(receive(served.get(), 7), "request");
  send_text(served.get(), "answer");
  EXPECT_EQ(receive(client.get(), 6), "answer");
}

TEST_F(AgentProxies, MoreThanABufferPassesUnchanged) {
  std::string big(3 << 20, '\0');
  for (std::size_t i = 0; i < big.size(); ++i) big[i] = static_cast<char>(i * 7 + i / 251);
  const FileDescriptor client = connect();
  const std::jthread sender([&] { send_text(client.get(), big); });
  const FileDescriptor served = agent_.accept();
  EXPECT_TRUE(receive(served.get(), big.size()) == big);
}

TEST_F(AgentProxies, TheEndOfOneSideIsToldToTheOther) {
  const FileDescriptor client = connect();
  send_text(client.get(), "last");
  ::shutdown(client.get(), SHUT_WR);
  FileDescriptor served = agent_.accept();
  EXPECT_EQ(receive(served.get(), 100), "last");  // and then the end
  send_text(served.get(), "answer");
  served.reset();
  EXPECT_EQ(receive(client.get(), 100), "answer");
}

TEST_F(AgentProxies, SeveralConnectionsDoNotMixUp) {
  std::list<FileDescriptor> clients, served;
  for (int i = 0; i < 10; ++i) {
    clients.push_back(connect());
    send_text(clients.back().get(), std::to_string(i));
    served.push_back(agent_.accept());
  }
  for (const FileDescriptor& connection : served)
    send_text(connection.get(), receive(connection.get(), 1) + "!");
  int i = 0;
  for (const FileDescriptor& client : clients)
    EXPECT_EQ(receive(client.get(), 2), std::to_string(i++) + "!");
}

TEST_F(AgentProxies, ConnectionsBeyondTheLimitWaitForOthersToEnd) {
  std::list<FileDescriptor> idle;
  for (int i = 0; i < 64; ++i) {
    idle.push_back(connect());
    send_text(idle.back().get(), "i");
  }
  const FileDescriptor late = connect();
  send_text(late.get(), "late");
  std::list<FileDescriptor> served;
  for (int i = 0; i < 64; ++i) {
    served.push_back(agent_.accept());
    EXPECT_EQ(receive(served.back().get(), 1), "i");
  }
  idle.pop_front();
  served.pop_front();
  const FileDescriptor last = agent_.accept();
  EXPECT_EQ(receive(last.get(), 4), "late");
}

// E08: nothing that the step left behind may hold up its end.
TEST_F(AgentProxies, AnAgentThatDoesNotReadHoldsUpNobody) {
  const FileDescriptor stuck = connect();
  send_text(stuck.get(), "x");
  const FileDescriptor ignored = agent_.accept();
  flood(stuck.get());
  const FileDescriptor other = connect();
  send_text(other.get(), "o");
  const FileDescriptor served = agent_.accept();
  EXPECT_EQ(receive(served.get(), 1), "o");
  end();
}

TEST_F(AgentProxies, AClientThatDoesNotReadHoldsUpNobody) {
  const FileDescriptor stuck = connect();
  send_text(stuck.get(), "x");
  const FileDescriptor answering = agent_.accept();
  flood(answering.get());
  const FileDescriptor other = connect();
  send_text(other.get(), "o");
  const FileDescriptor served = agent_.accept();
  EXPECT_EQ(receive(served.get(), 1), "o");
  end();
}

TEST_F(AgentProxies, NothingIsServedAfterTheStep) {
  const FileDescriptor client = connect();
  send_text(client.get(), "x");
  const FileDescriptor served = agent_.accept();
  const FileDescriptor kept(::fcntl(proxy_->fd(), F_DUPFD_CLOEXEC, 3));
  end();
  EXPECT_EQ(receive(client.get(), 1), "");
  EXPECT_EQ(receive(served.get(), 2), "x");
  const FileDescriptor late = unix_socket();
  const sockaddr_un address = address_of("/proc/self/fd/" + std::to_string(kept.get()));
  EXPECT_NE(::connect(late.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
}

TEST_F(AgentProxies, HasTheOwnerAndModeAskedFor) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root: another owner";
  const AgentProxy proxy(agent_.path(), store_, 0640, 1000, 1001);
  struct ::stat status;
  ASSERT_EQ(::fstat(proxy.fd(), &status), 0);
  EXPECT_EQ(status.st_mode, S_IFSOCK | 0640U);
  EXPECT_EQ(status.st_uid, 1000U);
  EXPECT_EQ(status.st_gid, 1001U);
}

TEST_F(AgentProxies, AnAgentThatIsNotThereIsNamed) {
  const std::string nowhere = (directory_.path() / "nowhere").native();
  try {
    const AgentProxy proxy(nowhere, store_, 0600, 0, 0);
    FAIL() << "no error";
  } catch (const base::Error& error) {
    EXPECT_NE(std::string(error.what()).find(nowhere), std::string::npos) << error.what();
    EXPECT_NE(error.hint(), "");
  }
}

}  // namespace
}  // namespace strake::builder
