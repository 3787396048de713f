#include "builder/cli/commands/commands.h"
#include "builder/cli/terminal_io.h"
#include "layers/base/error.h"
#include "layers/base/log.h"

namespace strake::cli {
namespace {

constexpr std::size_t kLongestPassword = 64 * 1024;

/// The registry as references name it: docker's old address and URLs become a host.
std::string registry_host(std::string_view text) {
  for (const std::string_view scheme : {"https://", "http://"})
    if (text.starts_with(scheme)) text.remove_prefix(scheme.size());
  const std::string host(text.substr(0, text.find('/')));
  if (host.empty() || host.find_first_of(" \t\n@") != std::string::npos)
    throw base::Error(base::ErrorCode::invalid_input,
                      base::quoted(text) + " is not the name of a registry");
  if (host == "index.docker.io" || host == "registry-1.docker.io") return "docker.io";
  return host;
}

std::string read_password(const LoginCommand& command) {
  if (command.password) {
    base::log_warning("a password on the command line can be seen by others: use --password-stdin");
    return *command.password;
  }
  if (!command.password_from_stdin) return ask_secret("Password");
  std::string password = read_stdin(kLongestPassword, "password on stdin");
  while (password.ends_with('\n') || password.ends_with('\r')) password.pop_back();
  return password;
}

}  // namespace

void run(const LoginCommand& command, Session& session) {
  const std::string host = registry_host(command.host);
  registry::Credential credential;
  credential.username = command.username.empty() ? ask("Username") : command.username;
  credential.password = read_password(command);
  if (credential.username.empty() || credential.password.empty())
    throw base::Error(base::ErrorCode::invalid_input, "user name and password must not be empty");
  base::redact(credential.password);
  // As credential helpers and config.json have it.
  if (credential.username == "<token>")
    credential.identity_token = std::exchange(credential.password, "");

  session.credentials().set(host, credential);
  try {
    session.registry().ping(host, session.stop());
  } catch (base::Error& error) {
    error.add_context("logging in to " + host);
    throw;
  }
  const std::string where = session.credentials().store(host, credential);
  base::log_info("credentials of " + host + " are stored in " + where);
  print("Login Succeeded\n");
}

void run(const LogoutCommand& command, Session& session) {
  const std::string host = registry_host(command.host);
  print(session.credentials().erase(host) ? "Removing login credentials for " + host + "\n"
                                          : "Not logged in to " + host + "\n");
}

}  // namespace strake::cli
