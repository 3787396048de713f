#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "layers/base/fd.h"
#include "registry/http.h"
#include "registry/upload_sessions.h"

namespace strake::registry {

/// A chunk of an upload, in a file.
struct Parcel {
  int file;                    // read at offsets: its position does not matter
  std::uint64_t offset_bytes;  // the request's body_size bytes from here on
  const UploadSessions::Record& record;
};

/// A process that sends the chunks of one upload, and outlives this one: when this process is
/// killed (SIGKILL, the out-of-memory killer), the courier still sends the chunk at hand, writes
/// down where the upload goes on (UploadSessions), and ends. Without it that chunk would be cut
/// off, and registries like Docker's lose the whole upload then: see README.md.
///
/// One thread at a time.
class Courier {
 public:
  /// Starts `command`, which is to call run_courier(STDIN_FILENO). Throws Error(system).
  explicit Courier(const std::vector<std::string>& command);
  /// For a courier elsewhere: the other end of `socket`.
  explicit Courier(base::FileDescriptor socket) : socket_(std::move(socket)) {}
  /// Waits for its end when it is idle, which is soon; kills it when a delivery was given up.
  ~Courier();
  Courier(const Courier&) = delete;
  Courier& operator=(const Courier&) = delete;

  /// Sends `request` with the bytes of `parcel` as its body; `sent` is told of how many from time
  /// to time. Throws as HttpTransport::perform, and Error(unavailable) when the courier is gone:
  /// it is of no use any more then.
  HttpResponse deliver(const HttpRequest& request, const Parcel& parcel,
                       const std::function<void(std::uint64_t)>& sent, std::stop_token stop);

 private:
  base::FileDescriptor socket_;
  pid_t pid_ = -1;
  bool busy_ = false;
};

/// What the courier does: performs requests that come through `socket`, until its other end is
/// closed.
void run_courier(HttpTransport& http, int socket);

}  // namespace strake::registry
