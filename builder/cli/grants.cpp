#include "builder/cli/grants.h"

#include <sys/stat.h>

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
    throw Error(ErrorCode::invalid_input, "--ssh " + base::quoted(text) +
                                              " needs an ssh agent, and SSH_AUTH_SOCK is not set")
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
  for (const std::string& word : split_csv(text)) {
    if (word == "security.insecure") {
      allow.insecure = true;
    } else if (word != "network.host") {
      throw Error(ErrorCode::invalid_input, "--allow " + base::quoted(word) + " is not known")
          .hint("use security.insecure or network.host");
    }
  }
}

}  // namespace strake::cli
