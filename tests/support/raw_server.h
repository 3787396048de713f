#pragma once

#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <list>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>

#include "layers/base/fd.h"
#include "tests/support/loopback_listener.h"

namespace strake::support {

/// One connection of a RawServer: bytes as they are, and silence.
class RawConnection {
 public:
  RawConnection(int fd, const std::atomic<bool>& stopping) : fd_(fd), stopping_(stopping) {}

  /// Up to the empty line after the header; what came so far when the client hangs up.
  std::string read_head() {
    std::string head;
    char c = 0;
    while (!head.ends_with("\r\n\r\n") && ::recv(fd_, &c, 1, 0) == 1) head += c;
    return head;
  }
  std::string read_some() {
    char chunk[65536];
    const ssize_t count = ::recv(fd_, chunk, sizeof chunk, 0);
    return count <= 0 ? "" : std::string(chunk, static_cast<std::size_t>(count));
  }
  /// False when the client has gone.
  bool send(std::string_view text) {
    while (!text.empty()) {
      const ssize_t count = ::send(fd_, text.data(), text.size(), MSG_NOSIGNAL);
      if (count <= 0) return false;
      text.remove_prefix(static_cast<std::size_t>(count));
    }
    return true;
  }
  /// False when the server is to end.
  bool pause(std::chrono::milliseconds time) {
    const auto until = std::chrono::steady_clock::now() + time;
    while (!stopping_ && std::chrono::steady_clock::now() < until)
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    return !stopping_;
  }
  /// Says nothing until the server ends.
  void hang() {
    while (pause(std::chrono::milliseconds(50))) {
    }
  }
  /// Passes on bytes to and from a server on another port, until one side ends.
  void tunnel(std::uint16_t port) {
    const base::FileDescriptor behind(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(port);
    if (::connect(behind.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) return;
    std::thread back([&] { copy(behind.get(), fd_); });
    copy(fd_, behind.get());
    back.join();
  }
  /// The connection is to end with RST instead of FIN: what is under way is lost.
  void reset_on_close() {
    const linger now{1, 0};
    ::setsockopt(fd_, SOL_SOCKET, SO_LINGER, &now, sizeof now);
  }

 private:
  static void copy(int from, int to) {
    char chunk[65536];
    ssize_t count = 0;
    while ((count = ::recv(from, chunk, sizeof chunk, 0)) > 0 &&
           ::send(to, chunk, static_cast<std::size_t>(count), MSG_NOSIGNAL) == count) {
    }
    ::shutdown(to, SHUT_RDWR);
    ::shutdown(from, SHUT_RDWR);
  }

  int fd_;
  const std::atomic<bool>& stopping_;
};

/// A server on a free port of 127.0.0.1 that need not speak HTTP: `serve` runs in a thread for each
/// connection, which is closed when it returns.
class RawServer {
 public:
  using Serve = std::function<void(RawConnection&)>;

  explicit RawServer(Serve serve) : serve_(std::move(serve)) {
    acceptor_ = std::thread([this] { accept_all(); });
  }
  ~RawServer() {
    stopping_ = true;
    ::shutdown(listener_.socket.get(), SHUT_RDWR);
    acceptor_.join();
    {
      const std::lock_guard lock(mutex_);
      for (const int fd : open_) ::shutdown(fd, SHUT_RDWR);
    }
    for (std::thread& thread : threads_) thread.join();
  }
  RawServer(const RawServer&) = delete;
  RawServer& operator=(const RawServer&) = delete;

  std::uint16_t port() const { return listener_.port; }
  std::string host() const { return "127.0.0.1:" + std::to_string(listener_.port); }
  std::string url(const std::string& target = "/") const { return "http://" + host() + target; }
  int connections() const { return accepted_; }

 private:
  void accept_all() {
    while (!stopping_) {
      base::FileDescriptor socket(
          ::accept4(listener_.socket.get(), nullptr, nullptr, SOCK_CLOEXEC));
      if (!socket) continue;
      ++accepted_;
      threads_.emplace_back([this, fd = std::move(socket)]() mutable {
        {
          const std::lock_guard lock(mutex_);
          open_.push_back(fd.get());
        }
        RawConnection connection(fd.get(), stopping_);
        if (!stopping_) serve_(connection);
        const std::lock_guard lock(mutex_);
        open_.remove(fd.get());
        fd.reset();
      });
    }
  }

  const Serve serve_;
  LoopbackListener listener_;
  std::atomic<bool> stopping_ = false;
  std::atomic<int> accepted_ = 0;
  std::mutex mutex_;  // guards what follows
  std::list<int> open_;
  std::list<std::thread> threads_;  // the acceptor's alone until it has ended
  std::thread acceptor_;
};

}  // namespace strake::support
