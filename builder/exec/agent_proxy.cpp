#include "builder/exec/agent_proxy.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <list>
#include <thread>
#include <vector>

#include "layers/base/error.h"
#include "layers/base/rooted_directory.h"

namespace strake::builder {
namespace {

using base::Error;
using base::ErrorCode;
using base::FileDescriptor;

constexpr std::size_t kMaxConnections = 64;

sockaddr_un address_of(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path)
    throw Error(ErrorCode::invalid_input,
                "the socket path " + base::quoted(path) + " is longer than 107 bytes");
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  return address;
}

/// By descriptor, so that the length of the path does not matter.
std::string short_name(int directory, const char* name) {
  return "/proc/self/fd/" + std::to_string(directory) + "/" + name;
}

FileDescriptor make_socket() {
  FileDescriptor socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!socket) throw base::system_error(errno, "create", "socket");
  return socket;
}

FileDescriptor connect_to(const std::string& path) {
  FileDescriptor socket = make_socket();
  const sockaddr_un address = address_of(path);
  if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    Error error = base::system_error(errno, "connect to the ssh agent at", path);
    error.set_hint("check that SSH_AUTH_SOCK, or the path given with --ssh, is a running agent's");
    throw error;
  }
  return socket;
}

/// One client with its connection to the agent.
struct Connection {
  FileDescriptor client, agent;
};

/// Passes on what is there; false at the end of either side. An agent's messages are small, and
/// each side waits for the other's answer, so that blocking writes do no harm.
bool pass_on(int from, int to) {
  std::array<std::byte, 16384> buffer;
  const ssize_t size = ::read(from, buffer.data(), buffer.size());
  if (size < 0 && errno == EINTR) return true;
  if (size <= 0) return false;
  for (ssize_t done = 0; done < size;) {
    const ssize_t sent = ::send(to, buffer.data() + done, static_cast<std::size_t>(size - done),
                                MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0) return false;
    done += sent;
  }
  return true;
}

}  // namespace

/// One thread that serves all connections of the step.
class AgentProxy::Server {
 public:
  Server(FileDescriptor listener, std::string agent)
      : listener_(std::move(listener)),
        agent_(std::move(agent)),
        wake_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
    if (!wake_) throw base::system_error(errno, "create", "eventfd");
    thread_ = std::jthread([this](const std::stop_token& stop) { serve(stop); });
  }
  ~Server() {
    thread_.request_stop();
    const std::uint64_t one = 1;
    [[maybe_unused]] const ssize_t written = ::write(wake_.get(), &one, sizeof one);
  }

 private:
  void serve(const std::stop_token& stop) {
    while (!stop.stop_requested()) {
      std::vector<pollfd> polled{{wake_.get(), POLLIN, 0}};
      const short accepting = connections_.size() < kMaxConnections ? POLLIN : 0;
      polled.push_back({listener_.get(), accepting, 0});
      for (const Connection& connection : connections_) {
        polled.push_back({connection.client.get(), POLLIN, 0});
        polled.push_back({connection.agent.get(), POLLIN, 0});
      }
      if (::poll(polled.data(), polled.size(), -1) < 0) continue;
      auto ready = polled.begin() + 2;
      for (auto connection = connections_.begin(); connection != connections_.end(); ready += 2) {
        const bool alive =
            (ready[0].revents == 0 || pass_on(connection->client.get(), connection->agent.get())) &&
            (ready[1].revents == 0 || pass_on(connection->agent.get(), connection->client.get()));
        connection = alive ? std::next(connection) : connections_.erase(connection);
      }
      if (polled[1].revents != 0) accept();
    }
  }

  void accept() {
    FileDescriptor client(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (!client) return;
    try {
      connections_.push_back({std::move(client), connect_to(agent_)});
    } catch (const Error&) {
      // The agent has ended meanwhile: the client sees its connection closed.
    }
  }

  FileDescriptor listener_;
  std::string agent_;
  FileDescriptor wake_;
  std::list<Connection> connections_;
  std::jthread thread_;  // last: joined before what it uses goes away
};

AgentProxy::AgentProxy(const std::filesystem::path& agent, const layers::Store& store, mode_t mode,
                       uid_t uid, gid_t gid)
    : directory_(store.make_ingest("agent-")) {
  connect_to(agent.native());  // now, where the message has a place in the Dockerfile
  const FileDescriptor directory(
      ::open(directory_.path().c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!directory) throw base::system_error(errno, "open", directory_.path().native());
  FileDescriptor listener = make_socket();
  const sockaddr_un address = address_of(short_name(directory.get(), "agent"));
  if (::bind(listener.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
      ::listen(listener.get(), SOMAXCONN) != 0)
    throw base::system_error(errno, "make", "socket for the ssh agent");
  const base::RootedDirectory made(FileDescriptor(::fcntl(directory.get(), F_DUPFD_CLOEXEC, 3)));
  made.set_owner("agent", uid, gid);
  made.set_mode("agent", mode);
  socket_ = FileDescriptor(::openat(directory.get(), "agent", O_PATH | O_NOFOLLOW | O_CLOEXEC));
  if (!socket_) throw base::system_error(errno, "open", "socket for the ssh agent");
  server_ = std::make_unique<Server>(std::move(listener), agent.native());
}

AgentProxy::~AgentProxy() = default;

}  // namespace strake::builder
