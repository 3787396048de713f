#include "builder/context/git_command.h"

#include <unistd.h>

#include <array>
#include <cstdlib>

#include "builder/dockerfile/source_url.h"
#include "builder/dockerfile/url_parts.h"
#include "builder/sandbox/isolation.h"
#include "layers/base/files.h"
#include "layers/base/log.h"
#include "registry/retry.h"

namespace strake::builder {
namespace {

using dockerfile::cut;
using dockerfile::GitTransport;
using dockerfile::Halves;
using dockerfile::shown_url;

using base::Error;
using base::ErrorCode;
namespace fs = std::filesystem;

/// What git finds in its environment instead of configuration files.
class Configuration {
 public:
  void add(std::string key, std::string value) {
    const std::string number = std::to_string(count_++);
    lines_.push_back("GIT_CONFIG_KEY_" + number + "=" + std::move(key));
    lines_.push_back("GIT_CONFIG_VALUE_" + number + "=" + std::move(value));
  }
  void append_to(std::vector<std::string>& environment) const {
    environment.push_back("GIT_CONFIG_COUNT=" + std::to_string(count_));
    environment.insert(environment.end(), lines_.begin(), lines_.end());
  }

 private:
  int count_ = 0;
  std::vector<std::string> lines_;
};

void add_settings(Configuration& configuration) {
  configuration.add("core.hooksPath", "/dev/null");
  configuration.add("core.fsmonitor", "false");
  configuration.add("core.symlinks", "true");
  configuration.add("core.autocrlf", "false");
  configuration.add("core.logAllRefUpdates", "false");
  configuration.add("credential.helper", "");
  configuration.add("advice.detachedHead", "false");
  configuration.add("gc.auto", "0");
  configuration.add("maintenance.auto", "false");
  configuration.add("http.lowSpeedLimit", "1000");
  configuration.add("http.lowSpeedTime", "60");
  configuration.add("fetch.fsckObjects", "true");
  // Old commits have these, and nothing here depends on them.
  for (const char* harmless : {"badDate", "badDateOverflow", "badTimezone", "missingEmail",
                               "missingNameBeforeEmail", "missingSpaceBeforeDate",
                               "missingSpaceBeforeEmail", "zeroPaddedDate", "zeroPaddedFilemode"})
    configuration.add(std::string("fetch.fsck.") + harmless, "ignore");
}

/// git sends the header to every URL below the origin. It would also keep sending it after a
/// redirect to another host, so with credentials no redirect is followed.
void add_credentials(Configuration& configuration, const GitUrl& url, const SourceAccess& access) {
  const std::string authorization = git_authorization(url, access);
  if (authorization.empty()) return;
  const std::string scheme = url.transport == GitTransport::https ? "https://" : "http://";
  configuration.add("http." + scheme + url.host + "/.extraHeader",
                    "Authorization: " + authorization);
  configuration.add("http.followRedirects", "false");
}

std::string shell_quoted(const std::string& text) {
  std::string result = "'";
  for (const char c : text) result += c == '\'' ? "'\\''" : std::string(1, c);
  return result + "'";
}

/// In a user namespace of ours ssh takes us for root and looks for the hosts that root knows.
std::string own_known_hosts() {
  const char* home = ::getenv("HOME");
  if (sandbox::caller().uid == ::geteuid() || home == nullptr) return "";
  return " -o UserKnownHostsFile=" + shell_quoted(std::string(home) + "/.ssh/known_hosts");
}

/// No configuration, no keys but the agent's, no host that is not known.
std::string ssh_command(const SourceAccess& access, const fs::path& work) {
  std::string command =
      "ssh -F /dev/null -o BatchMode=yes -o StrictHostKeyChecking=yes -o IdentityFile=none"
      " -o ConnectTimeout=20";
  if (access.known_hosts.empty()) return command + own_known_hosts();
  const fs::path file = work / "known_hosts";
  base::write_file_atomically(file, access.known_hosts, 0600, base::Durability::none);
  return command +
         " -o GlobalKnownHostsFile=/dev/null -o UserKnownHostsFile=" + shell_quoted(file.native());
}

void pass_on(std::vector<std::string>& environment) {
  for (const char* name :
       {"http_proxy", "https_proxy", "all_proxy", "no_proxy", "HTTPS_PROXY", "ALL_PROXY",
        "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR", "GIT_SSL_CAINFO", "GIT_SSL_CAPATH"})
    if (const char* value = ::getenv(name)) environment.push_back(std::string(name) + "=" + value);
  const char* path = ::getenv("PATH");
  environment.push_back(std::string("PATH=") +
                        (path != nullptr ? path : "/usr/local/bin:/usr/bin:/bin"));
}

/// The line that tells most: the first that git calls an error, or, where that only says that ssh
/// failed, what ssh said before it; else the last one.
std::string telling_line(std::string_view errors) {
  constexpr std::string_view kSshFailed = "fatal: Could not read from remote repository.";
  constexpr std::size_t kLongest = 400;
  std::string_view last;
  while (!errors.empty()) {
    const Halves halves = cut(errors, '\n');
    errors = halves.second;
    if (halves.first == kSshFailed && !last.empty()) break;
    for (const std::string_view prefix : {"fatal: ", "error: "})
      if (halves.first.starts_with(prefix))
        return std::string(halves.first.substr(prefix.size(), kLongest));
    if (!halves.first.empty()) last = halves.first;
  }
  while (last.ends_with('\r')) last.remove_suffix(1);
  return std::string(last.substr(0, kLongest));
}

struct Diagnosis {
  std::string_view said;
  ErrorCode code;
};
/// In this order: one message may hold several of them.
constexpr std::array<Diagnosis, 25> kDiagnoses = {{
    {"ssh: not found", ErrorCode::unsupported},
    {"Host key verification failed", ErrorCode::denied},
    {"Permission denied", ErrorCode::denied},
    {"could not read Username", ErrorCode::denied},
    {"could not read Password", ErrorCode::denied},
    {"Authentication failed", ErrorCode::denied},
    {"returned error: 401", ErrorCode::denied},
    {"returned error: 403", ErrorCode::denied},
    {"HTTP 401", ErrorCode::denied},
    {"HTTP 403", ErrorCode::denied},
    {"not allowed", ErrorCode::denied},
    {"Could not resolve host", ErrorCode::unavailable},
    {"Temporary failure in name resolution", ErrorCode::unavailable},
    {"unable to look up", ErrorCode::unavailable},
    {"Connection refused", ErrorCode::unavailable},
    {"onnection timed out", ErrorCode::unavailable},
    {"Connection reset", ErrorCode::unavailable},
    {"early EOF", ErrorCode::unavailable},
    {"ailed to connect", ErrorCode::unavailable},
    {"Couldn't connect", ErrorCode::unavailable},
    {"Operation too slow", ErrorCode::unavailable},
    {"returned error: 5", ErrorCode::unavailable},
    {"does not appear to be a git repository", ErrorCode::not_found},
    {"does not exist", ErrorCode::not_found},
    {"not found", ErrorCode::not_found},
}};

ErrorCode code_of(std::string_view errors) {
  for (const Diagnosis& diagnosis : kDiagnoses)
    if (errors.find(diagnosis.said) != errors.npos) return diagnosis.code;
  return ErrorCode::system;
}

std::string hint_for(ErrorCode code, const GitUrl& url, bool has_agent, std::string_view errors) {
  if (code == ErrorCode::unsupported) return "install ssh: apt-get install openssh-client";
  if (errors.find("Host key verification failed") != errors.npos)
    return "add the host's key to known_hosts, after checking it (ssh-keyscan prints it)";
  if (code == ErrorCode::denied && url.transport == GitTransport::ssh)
    return has_agent ? "add the key to the SSH agent" : "give an SSH agent: --ssh default";
  if (code == ErrorCode::denied && errors.find("not allowed") == errors.npos)
    return "give a token: --secret id=GIT_AUTH_TOKEN";
  if (errors.find("returned error: 30") != errors.npos)
    return "write the URL that the server redirects to: credentials are not sent along";
  if (code == ErrorCode::not_found) return "check the URL";
  return "";
}

}  // namespace

GitCommand::GitCommand(const GitUrl& url, const SourceAccess& access, const fs::path& work,
                       std::stop_token stop)
    : url_(url),
      work_(work.native()),
      stop_(std::move(stop)),
      has_agent_(!access.ssh_auth_sock.empty()) {
  environment_ = {"HOME=" + work_,
                  "XDG_CONFIG_HOME=" + work_,
                  "TMPDIR=" + work_,
                  "LC_ALL=C",
                  "GIT_CONFIG_NOSYSTEM=1",
                  "GIT_CONFIG_SYSTEM=/dev/null",
                  "GIT_CONFIG_GLOBAL=/dev/null",
                  "GIT_ATTR_NOSYSTEM=1",
                  "GIT_CEILING_DIRECTORIES=" + work.parent_path().native(),
                  "GIT_TEMPLATE_DIR=",
                  "GIT_TERMINAL_PROMPT=0",
                  "GIT_NO_REPLACE_OBJECTS=1",
                  std::string("GIT_ALLOW_PROTOCOL=https:http:git:ssh") +
                      (url.transport == GitTransport::file ? ":file" : ""),
                  "GIT_SSH_VARIANT=ssh",
                  "GIT_SSH_COMMAND=" + ssh_command(access, work)};
  if (has_agent_) environment_.push_back("SSH_AUTH_SOCK=" + access.ssh_auth_sock);
  pass_on(environment_);
  Configuration configuration;
  add_settings(configuration);
  add_credentials(configuration, url, access);
  configuration.append_to(environment_);
}

HostProgramResult GitCommand::run(std::vector<std::string> arguments) const {
  arguments.insert(arguments.begin(), {"git", "-C", work_});
  try {
    return run_host_program({.argv = std::move(arguments), .env = environment_}, stop_);
  } catch (const Error& error) {
    if (error.code() != ErrorCode::not_found) throw;
    throw Error(ErrorCode::unsupported,
                "git sources need the program \"git\", which is not installed")
        .hint("install it: apt-get install git");
  }
}

std::string GitCommand::output(std::string_view what, std::vector<std::string> arguments) const {
  HostProgramResult result = run(std::move(arguments));
  if (!result.ok()) throw error(what, result);
  return std::move(result.output);
}

std::string GitCommand::remote_output(std::string_view what,
                                      const std::vector<std::string>& arguments) const {
  const registry::RetryPolicy policy{.attempts = 3};
  const registry::RetryEnvironment environment = registry::RetryEnvironment::real();
  registry::Retry retry(policy, environment);
  for (;;) {
    try {
      return output(what, arguments);
    } catch (const Error& error) {
      if (error.code() != ErrorCode::unavailable || !retry.wait(stop_)) throw;
    }
  }
}

Error GitCommand::error(std::string_view what, const HostProgramResult& result) const {
  const ErrorCode code = code_of(result.errors);
  const std::string line = telling_line(result.errors);
  Error error(code, "cannot " + std::string(what) + " " + shown_url(url_.remote) + ": " +
                        (line.empty() ? "git ended with status " + std::to_string(result.status)
                                      : "git says " + base::quoted(base::redacted(line))));
  if (std::string hint = hint_for(code, url_, has_agent_, result.errors); !hint.empty())
    error.set_hint(std::move(hint));
  return error;
}

}  // namespace strake::builder
