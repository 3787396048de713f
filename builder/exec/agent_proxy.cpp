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
constexpr int kExhaustedPauseMs = 100;

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
  FileDescriptor socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket) throw base::system_error(errno, "create", "socket");
  return socket;
}

/// Succeeds or fails at once: an agent that takes no connections must not hold up a build.
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

bool is_transient(int error) {
  return error == EAGAIN || error == EWOULDBLOCK || error == EINTR;
}

/// One direction of a connection, with what was read and could not be written yet. Nothing here
/// blocks: a side that does not read holds up itself alone, and never the end of the step.
class Stream {
 public:
  bool wants_to_read() const { return begin_ == end_ && !ended_; }
  bool wants_to_write() const { return begin_ != end_; }
  bool finished() const { return ended_ && begin_ == end_; }

  /// Passes on what can be; false if one of the sides is broken.
  bool pass_on(int from, int to) {
    if (wants_to_read()) {
      const ssize_t size = ::read(from, buffer_.data(), buffer_.size());
      if (size < 0 && !is_transient(errno)) return false;
      ended_ = size == 0;
      begin_ = 0;
      end_ = size > 0 ? static_cast<std::size_t>(size) : 0;
    }
    if (wants_to_write()) {
      const ssize_t size = ::send(to, buffer_.data() + begin_, end_ - begin_, MSG_NOSIGNAL);
      if (size < 0 && !is_transient(errno)) return false;
      begin_ += size > 0 ? static_cast<std::size_t>(size) : 0;
    }
    if (finished()) ::shutdown(to, SHUT_WR);
    return true;
  }

 private:
  std::array<std::byte, 16384> buffer_;
  std::size_t begin_ = 0, end_ = 0;  // of what is still to be written
  bool ended_ = false;               // nothing more comes
};

/// One client with its connection to the agent.
struct Connection {
  FileDescriptor client, agent;
  Stream request = {}, answer = {};

  /// What to poll each side for. A side that nothing is wanted of is left out: poll(2) would tell
  /// that it is closed again and again.
  static pollfd side(int fd, const Stream& in, const Stream& out) {
    const int events = (in.wants_to_read() ? POLLIN : 0) | (out.wants_to_write() ? POLLOUT : 0);
    return {events != 0 ? fd : -1, static_cast<short>(events), 0};
  }
  pollfd client_side() const { return side(client.get(), request, answer); }
  pollfd agent_side() const { return side(agent.get(), answer, request); }

  bool pass_on() {
    return request.pass_on(client.get(), agent.get()) &&
           answer.pass_on(agent.get(), client.get()) && !(request.finished() && answer.finished());
  }
};

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
    for (bool exhausted = false; !stop.stop_requested();) {
      const bool accepting = !exhausted && connections_.size() < kMaxConnections;
      std::vector<pollfd> polled{{wake_.get(), POLLIN, 0},
                                 {accepting ? listener_.get() : -1, POLLIN, 0}};
      for (const Connection& connection : connections_) {
        polled.push_back(connection.client_side());
        polled.push_back(connection.agent_side());
      }
      if (::poll(polled.data(), polled.size(), exhausted ? kExhaustedPauseMs : -1) < 0) continue;
      auto ready = polled.begin() + 2;
      for (auto connection = connections_.begin(); connection != connections_.end(); ready += 2) {
        const bool quiet = ready[0].revents == 0 && ready[1].revents == 0;
        connection =
            quiet || connection->pass_on() ? std::next(connection) : connections_.erase(connection);
      }
      exhausted = polled[1].revents != 0 && !accept();
    }
  }

  /// False if this process has no descriptors left, which the listener would be told at once again.
  bool accept() {
    FileDescriptor client(
        ::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!client) return is_transient(errno) || errno == ECONNABORTED;
    try {
      connections_.push_back({std::move(client), connect_to(agent_)});
    } catch (const Error&) {
      // The agent has ended meanwhile: the client sees its connection closed.
    }
    return true;
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
  const base::RootedDirectory made(directory.duplicate(), "", store.owners());
  made.set_owner("agent", uid, gid);
  made.set_mode("agent", mode);
  socket_ = FileDescriptor(::openat(directory.get(), "agent", O_PATH | O_NOFOLLOW | O_CLOEXEC));
  if (!socket_) throw base::system_error(errno, "open", "socket for the ssh agent");
  server_ = std::make_unique<Server>(std::move(listener), agent.native());
}

AgentProxy::~AgentProxy() = default;

}  // namespace strake::builder
