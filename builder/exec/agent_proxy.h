#pragma once

#include <sys/types.h>

#include <filesystem>
#include <memory>

#include "layers/base/fd.h"
#include "layers/base/files.h"
#include "layers/store.h"

namespace strake::builder {

/// A socket that leads to an ssh agent for as long as one step runs: what the step is given in the
/// place of the agent's own, so that it has the owner and mode asked for, and so that nothing that
/// the step leaves behind can talk to the agent. Bytes pass unchanged.
class AgentProxy {
 public:
  /// `agent` is the socket of the agent. Throws Error naming it if it does not answer.
  AgentProxy(const std::filesystem::path& agent, const layers::Store& store, mode_t mode, uid_t uid,
             gid_t gid);
  ~AgentProxy();
  AgentProxy(const AgentProxy&) = delete;
  AgentProxy& operator=(const AgentProxy&) = delete;

  /// The socket, O_PATH.
  int fd() const noexcept { return socket_.get(); }

 private:
  class Server;

  base::TempDirectory directory_;
  std::unique_ptr<Server> server_;
  base::FileDescriptor socket_;
};

}  // namespace strake::builder
