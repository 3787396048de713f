#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cstdint>
#include <stdexcept>

#include "layers/base/fd.h"

namespace strake::support {

/// A listening TCP socket on a free port of 127.0.0.1.
struct LoopbackListener {
  base::FileDescriptor socket;
  std::uint16_t port = 0;

  LoopbackListener() : socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof address;
    auto* generic = reinterpret_cast<sockaddr*>(&address);
    if (!socket || ::bind(socket.get(), generic, length) != 0 || ::listen(socket.get(), 64) != 0 ||
        ::getsockname(socket.get(), generic, &length) != 0) {
      throw std::runtime_error("cannot listen on 127.0.0.1");
    }
    port = ntohs(address.sin_port);
  }
};

}  // namespace strake::support
