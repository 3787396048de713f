#include "registry/credential_helper.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <thread>

#include "layers/base/error.h"
#include "layers/base/fd.h"
#include "layers/base/log.h"
#include "layers/oci/json.h"
#include "registry/spawn.h"

extern char** environ;

namespace strake::registry {
namespace {

using base::Error;
using base::ErrorCode;
using base::FileDescriptor;
using std::chrono::steady_clock;

constexpr std::size_t kOutputLimitBytes = 1 << 20;

bool is_helper_name(const std::string& name) {
  return !name.empty() && std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.';
  });
}

/// A file in memory with `text`, at its beginning. Other than a pipe it holds any amount, and a
/// program that does not read it cannot send us SIGPIPE.
FileDescriptor memory_file(const std::string& text) {
  FileDescriptor file(memfd_create("strake-credential", MFD_CLOEXEC));
  if (!file) throw base::system_error(errno, "create", "memory file");
  base::write_full(file.get(), base::bytes_of(text), "memory file");
  if (lseek(file.get(), 0, SEEK_SET) < 0) throw base::system_error(errno, "seek", "memory file");
  return file;
}

/// A child in a process group of its own, killed with the group and reaped when it is abandoned.
class Child {
 public:
  Child(const std::string& program, const char* verb, int standard_input, int standard_output) {
    pid_ = spawn({.command = {program, verb},
                  .environment = environ,
                  .standard_input = standard_input,
                  .standard_output = standard_output});
    const int error = pid_ < 0 ? errno : 0;
    if (error == ENOENT) {
      throw Error(ErrorCode::not_found,
                  "credential helper " + base::quoted(program) + " is not installed")
          .hint("install it, or remove it from credsStore and credHelpers of config.json");
    }
    if (error != 0) throw base::system_error(error, "run", program);
  }
  ~Child() {
    if (pid_ <= 0) return;
    kill(-pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  /// The wait status once it has ended; nullopt at the deadline. Called when its output has ended,
  /// so it is about to end itself.
  std::optional<int> wait(steady_clock::time_point deadline) {
    for (;;) {
      int status = 0;
      const pid_t ended = waitpid(pid_, &status, WNOHANG);
      if (ended == pid_) {
        pid_ = -1;
        return status;
      }
      if (ended < 0 && errno != EINTR) throw base::system_error(errno, "wait for", "helper");
      if (steady_clock::now() >= deadline) return std::nullopt;
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
  }

 private:
  pid_t pid_ = -1;
};

/// What comes out of `pipe` until its end; nullopt at the deadline or beyond the limit.
std::optional<std::string> read_until(int pipe, steady_clock::time_point deadline) {
  std::string output;
  char buffer[4096];
  for (;;) {
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(deadline - steady_clock::now());
    pollfd ready{pipe, POLLIN, 0};
    const int count = poll(&ready, 1, static_cast<int>(std::max<long>(left.count(), 0)));
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return std::nullopt;
    const std::size_t bytes =
        base::read_some(pipe, std::as_writable_bytes(std::span(buffer)), "helper's output");
    if (bytes == 0) return output;
    output.append(buffer, bytes);
    if (output.size() > kOutputLimitBytes) return std::nullopt;
  }
}

bool says_not_found(const std::string& output) {
  return output.find("credentials not found") != output.npos;
}

}  // namespace

struct CredentialHelper::Result {
  bool ok = false;
  std::string output;
};

CredentialHelper::CredentialHelper(std::string name, std::chrono::milliseconds timeout)
    : name_(std::move(name)), timeout_(timeout) {
  if (!is_helper_name(name_)) {
    throw Error(ErrorCode::invalid_input,
                "credential helper " + base::quoted(name_) + " has no valid name");
  }
}

CredentialHelper::Result CredentialHelper::run(const char* verb, const std::string& input) const {
  const auto deadline = steady_clock::now() + timeout_;
  const std::string program = "docker-credential-" + name_;
  const FileDescriptor standard_input = memory_file(input);
  base::Pipe output = base::make_pipe();
  Child child(program, verb, standard_input.get(), output.write_end.get());
  output.write_end.reset();

  std::optional<std::string> text = read_until(output.read_end.get(), deadline);
  const std::optional<int> status = text ? child.wait(deadline) : std::nullopt;
  if (!status) {
    throw Error(ErrorCode::system,
                "credential helper " + base::quoted(program) + " did not finish within " +
                    std::to_string(timeout_.count() / 1000) + " s, or said more than 1 MiB");
  }
  return {WIFEXITED(*status) && WEXITSTATUS(*status) == 0, *std::move(text)};
}

std::optional<Credential> CredentialHelper::get(const std::string& server) const {
  const Result result = run("get", server);
  if (!result.ok) {
    if (says_not_found(result.output)) return std::nullopt;
    throw Error(ErrorCode::system, "credential helper " + base::quoted(name_) + " failed for " +
                                       base::quoted(server) + ": " +
                                       base::quoted(base::redacted(result.output.substr(0, 200))));
  }
  try {
    const nlohmann::json answer = oci::parse_json(result.output, "answer");
    Credential credential;
    credential.username = oci::string_member(answer, "Username");
    std::string secret = oci::string_member(answer, "Secret");
    (credential.username == "<token>" ? credential.identity_token : credential.password) =
        std::move(secret);
    if (credential == Credential{}) return std::nullopt;
    return credential;
  } catch (const Error&) {
    // The answer holds a secret: it is not shown.
    throw Error(ErrorCode::system,
                "credential helper " + base::quoted(name_) + " sent a malformed answer");
  }
}

void CredentialHelper::store(const std::string& server, const Credential& credential) const {
  const bool token = !credential.identity_token.empty();
  nlohmann::json input;
  input["ServerURL"] = server;
  input["Username"] = token ? "<token>" : credential.username;
  input["Secret"] = token ? credential.identity_token : credential.password;
  const Result result = run("store", input.dump());
  if (!result.ok) {
    throw Error(ErrorCode::system, "credential helper " + base::quoted(name_) + " cannot store: " +
                                       base::quoted(base::redacted(result.output.substr(0, 200))));
  }
}

bool CredentialHelper::erase(const std::string& server) const {
  const Result result = run("erase", server);
  if (result.ok) return true;
  if (says_not_found(result.output)) return false;
  throw Error(ErrorCode::system, "credential helper " + base::quoted(name_) + " cannot erase: " +
                                     base::quoted(base::redacted(result.output.substr(0, 200))));
}

}  // namespace strake::registry
