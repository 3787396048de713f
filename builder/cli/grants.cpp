#include "builder/cli/grants.h"

#include <sys/stat.h>

#include <algorithm>

#include "builder/cli/output_spec.h"
#include "layers/base/error.h"

namespace strake::cli {
namespace {

using base::Error;
using base::ErrorCode;

Error bad_secret(std::string_view text, const std::string& why) {
  return Error(ErrorCode::invalid_input, "--secret " + base::quoted(text) + ": " + why);
}

/// The fields of a --secret as written.
struct SecretFields {
  std::string id, source, variable, type;
};

SecretFields read_fields(std::string_view text) {
  SecretFields fields;
  for (const std::string& field : split_csv(text)) {
    const std::size_t equals = field.find('=');
    if (equals == std::string::npos)
      throw bad_secret(text, "the field " + base::quoted(field) + " is not of the form key=value")
          .hint("write --secret id=NAME,src=FILE or --secret id=NAME,env=VARIABLE");
    const std::string key = field.substr(0, equals);
    std::string value = field.substr(equals + 1);
    if (key == "id") {
      fields.id = std::move(value);
    } else if (key == "src" || key == "source") {
      fields.source = std::move(value);
    } else if (key == "env") {
      fields.variable = std::move(value);
    } else if (key == "type") {
      fields.type = std::move(value);
    } else {
      throw bad_secret(text, "unknown field " + base::quoted(key))
          .hint("a secret has id, src, env and type");
    }
  }
  if (fields.id.empty()) throw bad_secret(text, "it has no id");
  if (!fields.type.empty() && fields.type != "file" && fields.type != "env")
    throw bad_secret(text, "its type is neither \"file\" nor \"env\"");
  return fields;
}

}  // namespace

builder::SecretSource parse_secret(std::string_view text, const Environment& environment) {
  SecretFields fields = read_fields(text);
  if (fields.type == "env" && fields.variable.empty()) std::swap(fields.variable, fields.source);
  if (fields.type == "file" && !fields.variable.empty())
    throw bad_secret(text, "a secret of type \"file\" has no env");
  builder::SecretSource secret{fields.id, std::nullopt, fields.source};
  if (!fields.source.empty()) {
    if (!fields.variable.empty()) throw bad_secret(text, "it has both src and env");
    return secret;
  }
  const std::string& variable = fields.variable.empty() ? fields.id : fields.variable;
  if (fields.type != "file") secret.value = environment(variable);
  if (secret.value) return secret;
  if (!fields.variable.empty() || fields.type == "env")
    throw Error(ErrorCode::not_found, "the secret " + base::quoted(fields.id) +
                                          " is to come from the environment variable " + variable +
                                          ", which is not set");
  secret.file = fields.id;
  return secret;
}

builder::AgentSource parse_agent(std::string_view text, const Environment& environment) {
  const std::size_t equals = text.find('=');
  builder::AgentSource agent;
  agent.id = text.substr(0, equals);
  if (agent.id.empty()) agent.id = "default";
  if (equals != std::string_view::npos) agent.socket = std::string(text.substr(equals + 1));
  if (agent.socket.empty()) agent.socket = environment("SSH_AUTH_SOCK").value_or("");
  if (agent.socket.empty())
    throw Error(ErrorCode::invalid_input,
                "--ssh " + base::quoted(text) + " needs an ssh agent, and SSH_AUTH_SOCK is not set")
        .hint("start one: eval $(ssh-agent) && ssh-add");
  struct ::stat status;
  if (::stat(agent.socket.c_str(), &status) != 0)
    throw Error(ErrorCode::not_found,
                "there is no ssh agent at " + base::quoted(agent.socket.native()));
  if (!S_ISSOCK(status.st_mode))
    throw Error(ErrorCode::unsupported, "--ssh " + base::quoted(text) + ": " +
                                            base::quoted(agent.socket.native()) +
                                            " is not the socket of an ssh agent")
        .hint("keys are handed on by an agent: eval $(ssh-agent) && ssh-add " +
              agent.socket.native());
  return agent;
}

void add_entitlements(std::string_view text, builder::Entitlements& allow) {
  static constexpr std::string_view kDevice = "device=", kAlias = "alias=";
  builder::DeviceGrants::Device* device = nullptr;  // what an alias belongs to
  for (const std::string& word : split_csv(text)) {
    if (device != nullptr && word.starts_with(kAlias) && word != kAlias) {
      device->alias = word.substr(kAlias.size());
      continue;
    }
    device = nullptr;
    if (word == "security.insecure") {
      allow.insecure = true;
    } else if (word == "device") {
      allow.devices.all = true;
    } else if (word.starts_with(kDevice) && word != kDevice) {
      device = &allow.devices.devices.emplace_back();
      device->name = word.substr(kDevice.size());
    } else if (word == "network.host") {
      allow.host_network = true;
    } else {
      throw Error(ErrorCode::invalid_input, "--allow " + base::quoted(word) + " is not known")
          .hint("use security.insecure, network.host, device or device=NAME");
    }
  }
}

std::vector<std::filesystem::path> parse_cdi_directories(std::string_view text) {
  std::vector<std::filesystem::path> directories;
  while (!text.empty()) {
    const std::string_view path = text.substr(0, text.find(':'));
    text.remove_prefix(std::min(path.size() + 1, text.size()));
    if (path.empty()) continue;
    if (!path.starts_with('/'))
      throw Error(ErrorCode::invalid_input,
                  "STRAKE_CDI_DIRS: " + base::quoted(path) + " is not an absolute path");
    directories.emplace_back(path);
  }
  return directories;
}

}  // namespace strake::cli
