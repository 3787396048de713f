#pragma once

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <charconv>
#include <list>
#include <mutex>
#include <thread>

#include "layers/base/fd.h"
#include "tests/support/http_exchange.h"
#include "tests/support/loopback_listener.h"

namespace strake::support {

/// An HTTP/1.1 server on a free port of 127.0.0.1, a thread for each connection, that answers what
/// a handler says. The handler is called from several threads at once.
class HttpServer {
 public:
  explicit HttpServer(ServerHandler handler) : handler_(std::move(handler)) {
    acceptor_ = std::thread([this] { accept_all(); });
  }

  ~HttpServer() {
    stopping_ = true;
    ::shutdown(listener_.socket.get(), SHUT_RDWR);
    acceptor_.join();
    {
      const std::lock_guard lock(mutex_);
      for (Connection& connection : connections_) ::shutdown(connection.socket.get(), SHUT_RDWR);
    }
    for (Connection& connection : connections_) connection.thread.join();
  }
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  std::uint16_t port() const { return listener_.port; }
  std::string host() const { return "127.0.0.1:" + std::to_string(listener_.port); }
  std::string url(const std::string& target = "/") const { return "http://" + host() + target; }

  /// All requests so far, in the order of their arrival.
  std::vector<ServerRequest> requests() const {
    const std::lock_guard lock(mutex_);
    return requests_;
  }
  int connections() const { return accepted_; }

 private:
  struct Connection {
    base::FileDescriptor socket;
    std::thread thread;
  };

  void accept_all() {
    while (!stopping_) {
      base::FileDescriptor socket(
          ::accept4(listener_.socket.get(), nullptr, nullptr, SOCK_CLOEXEC));
      if (!socket) continue;
      ++accepted_;
      const std::lock_guard lock(mutex_);
      if (stopping_) return;
      Connection& connection = connections_.emplace_back();
      connection.socket = std::move(socket);
      const int fd = connection.socket.get();
      connection.thread = std::thread([this, fd] { serve(fd); });
    }
  }

  void serve(int fd) {
    std::string buffer;
    while (std::optional<ServerRequest> request = read_request(fd, buffer)) {
      {
        const std::lock_guard lock(mutex_);
        requests_.push_back(*request);
      }
      if (!send_response(fd, *request, handler_(*request))) break;
    }
    ::shutdown(fd, SHUT_RDWR);  // closed with the server: its number must not be used again before
  }

  static bool receive(int fd, std::string& buffer) {
    char chunk[65536];
    const ssize_t count = ::recv(fd, chunk, sizeof chunk, 0);
    if (count <= 0) return false;
    buffer.append(chunk, static_cast<std::size_t>(count));
    return true;
  }

  std::optional<ServerRequest> read_request(int fd, std::string& buffer) const {
    std::size_t end = 0;
    while ((end = buffer.find("\r\n\r\n")) == buffer.npos) {
      if (!receive(fd, buffer)) return std::nullopt;
    }
    ServerRequest request;
    request.origin = "http://" + host();
    std::size_t begin = buffer.find("\r\n") + 2;
    const std::string first = buffer.substr(0, begin - 2);
    request.method = first.substr(0, first.find(' '));
    request.target = first.substr(request.method.size() + 1);
    request.target.erase(request.target.find(' '));
    while (begin < end) {
      const std::size_t line_end = buffer.find("\r\n", begin);
      const std::string line = buffer.substr(begin, line_end - begin);
      const std::size_t colon = line.find(':');
      request.headers.emplace_back(
          line.substr(0, colon),
          line.substr(std::min(line.find_first_not_of(' ', colon + 1), line.size())));
      begin = line_end + 2;
    }
    buffer.erase(0, end + 4);
    std::size_t length = 0;
    const std::string field = request.header("Content-Length");
    std::from_chars(field.data(), field.data() + field.size(), length);
    while (buffer.size() < length) {
      if (!receive(fd, buffer)) return std::nullopt;
    }
    request.body = buffer.substr(0, length);
    buffer.erase(0, length);
    return request;
  }

  /// False when the connection is not to be used again.
  static bool send_response(int fd, const ServerRequest& request, const ServerResponse& response) {
    if (!response.raw.empty()) {
      send_all(fd, response.raw);
      return false;
    }
    std::string text = "HTTP/1.1 " + std::to_string(response.status) + " X\r\n";
    bool has_length = response.status == 204;
    for (const auto& [name, value] : response.headers) {
      text += name + ": " + value + "\r\n";
      has_length = has_length || lower_case(name) == "content-length";
    }
    if (!has_length) text += "Content-Length: " + std::to_string(response.body.size()) + "\r\n";
    text += "\r\n";
    if (request.method != "HEAD") text += response.body.substr(0, response.cut_after.value_or(-1));
    return send_all(fd, text) && !response.cut_after;
  }

  static bool send_all(int fd, std::string_view text) {
    while (!text.empty()) {
      const ssize_t count = ::send(fd, text.data(), text.size(), MSG_NOSIGNAL);
      if (count <= 0) return false;
      text.remove_prefix(static_cast<std::size_t>(count));
    }
    return true;
  }

  const ServerHandler handler_;
  LoopbackListener listener_;
  std::atomic<bool> stopping_ = false;
  std::atomic<int> accepted_ = 0;
  mutable std::mutex mutex_;  // guards what follows
  std::vector<ServerRequest> requests_;
  std::list<Connection> connections_;
  std::thread acceptor_;
};

}  // namespace strake::support
