#include <algorithm>
#include <array>
#include <cctype>

#include "builder/check/own_rules.h"
#include "builder/dockerfile/glob.h"
#include "builder/dockerfile/words.h"

// A secret in a value is told by the form its issuer gives it, in a file by the file's name.
// Neither the value nor a part of it is ever in a message.

namespace strake::check {
namespace {

using dockerfile::Instruction;

bool is_token_char(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || c == '-';
}

/// Tokens begin with the mark of who issued them and have a least length.
struct TokenForm {
  std::string_view prefix;
  std::size_t least;  // characters behind the prefix
  std::string_view what;
};
constexpr auto kTokens = std::to_array<TokenForm>({
    {"ghp_", 36, "a GitHub token"},
    {"gho_", 36, "a GitHub token"},
    {"ghs_", 36, "a GitHub token"},
    {"ghr_", 36, "a GitHub token"},
    {"github_pat_", 60, "a GitHub token"},
    {"glpat-", 20, "a GitLab token"},
    {"AKIA", 16, "an AWS access key"},
    {"ASIA", 16, "an AWS access key"},
    {"xoxb-", 20, "a Slack token"},
    {"xoxp-", 20, "a Slack token"},
    {"sk_live_", 24, "a Stripe key"},
    {"rk_live_", 24, "a Stripe key"},
    {"AIza", 35, "a Google API key"},
    {"npm_", 36, "an npm token"},
    {"pypi-AgEIcHlwaS", 30, "a PyPI token"},
    {"dckr_pat_", 20, "a Docker Hub token"},
    {"hf_", 34, "a Hugging Face token"},
    {"sk-ant-", 30, "an Anthropic key"},
});

bool has_token(std::string_view text, const TokenForm& form) {
  for (std::size_t at = text.find(form.prefix); at != std::string_view::npos;
       at = text.find(form.prefix, at + 1)) {
    if (at > 0 && is_token_char(text[at - 1])) continue;
    const std::string_view rest = text.substr(at + form.prefix.size());
    const auto length = static_cast<std::size_t>(
        std::find_if_not(rest.begin(), rest.end(), is_token_char) - rest.begin());
    // People write placeholders: "ghp_xxxxxxxx".
    const bool is_placeholder =
        length > 0 && std::all_of(rest.begin(), rest.begin() + static_cast<std::ptrdiff_t>(length),
                                  [&](char c) { return c == rest[0]; });
    if (length >= form.least && !is_placeholder) return true;
  }
  return false;
}

/// "https://user:password@host", where the password is no variable.
bool has_password_in_url(std::string_view text) {
  for (const std::string_view scheme : {"https://", "http://"}) {
    const std::size_t start = text.find(scheme);
    if (start == std::string_view::npos) continue;
    std::string_view authority = text.substr(start + scheme.size());
    authority = authority.substr(0, authority.find_first_of("/ \t\"'"));
    const std::size_t at = authority.rfind('@');
    const std::size_t colon = authority.find(':');
    if (at == std::string_view::npos || colon == std::string_view::npos || colon > at) continue;
    const std::string_view password = authority.substr(colon + 1, at - colon - 1);
    const bool is_written =
        !password.empty() && password.find_first_of("$<{*") == std::string_view::npos;
    if (is_written && password != "password" && password != "pass") return true;
  }
  return false;
}

/// What `text` holds: "a GitHub token"; "" for nothing that is known.
std::string_view secret_in(std::string_view text) {
  if (text.find("-----BEGIN ") != std::string_view::npos &&
      text.find("PRIVATE KEY-----") != std::string_view::npos)
    return "a private key";
  for (const TokenForm& form : kTokens)
    if (has_token(text, form)) return form.what;
  return has_password_in_url(text) ? "a URL with a password" : "";
}

void report_value(const Instruction& instruction, std::string_view text, const std::string& place,
                  Reporter& reporter) {
  const std::string_view what = secret_in(text);
  if (what.empty()) return;
  reporter.add("SecretInDockerfile", instruction,
               place + " looks like " + std::string(what) +
                   ", which everyone who has the image can read: use RUN --mount=type=secret");
}

void check_values(const Instruction& instruction, Reporter& reporter) {
  if (const auto* env = std::get_if<dockerfile::Env>(&instruction.operation)) {
    for (const dockerfile::KeyValue& pair : env->pairs)
      report_value(instruction, pair.value, "the value of ENV " + base::quoted(pair.key), reporter);
  } else if (const auto* arg = std::get_if<dockerfile::Arg>(&instruction.operation)) {
    for (const auto& declaration : arg->declarations)
      report_value(instruction, declaration.default_value.value_or(""),
                   "the default of ARG " + base::quoted(declaration.name), reporter);
  } else if (const auto* run = std::get_if<dockerfile::Run>(&instruction.operation)) {
    const auto* shell = std::get_if<dockerfile::ShellForm>(&run->command);
    report_value(instruction,
                 shell != nullptr ? dockerfile::run_script(*run).text : instruction.original,
                 "a part of this RUN", reporter);
  }
}

// ---- Files -----------------------------------------------------------------------------------

bool is_one_of(std::string_view name, std::initializer_list<std::string_view> names) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

bool has_any(std::string_view name, std::initializer_list<std::string_view> parts) {
  return std::any_of(parts.begin(), parts.end(), [&](std::string_view part) {
    return name.find(part) != std::string_view::npos;
  });
}

/// What a file of this name holds; "" when nothing secret is to be expected. Certificates are .pem
/// files as often as keys are, and a .npmrc is often only configuration: those are left alone.
std::string_view secret_file(const std::string& path) {
  const std::string clean = dockerfile::to_lower(dockerfile::clean_path(path));
  const std::string name = clean.substr(clean.rfind('/') + 1);
  const std::string with_slash = "/" + clean + "/";
  if (is_one_of(name, {"id_rsa", "id_dsa", "id_ecdsa", "id_ed25519"})) return "a private key";
  if (has_any(with_slash, {"/.aws/"})) return "AWS credentials";
  if (has_any(with_slash, {"/.ssh/"}) && !is_one_of(name, {"known_hosts", "config"}))
    return "SSH keys";
  if (is_one_of(name, {".netrc", ".git-credentials", ".pypirc", ".pgpass", ".htpasswd"}))
    return "passwords";
  if (name == ".env" || is_one_of(name, {".env.local", ".env.production", ".env.prod"}))
    return "settings with secrets";
  if (is_one_of(name, {"credentials.json", "service-account.json", "service_account.json",
                       "serviceaccount.json"}))
    return "credentials";
  if (clean.ends_with(".docker/config.json") || clean.ends_with(".kube/config"))
    return "credentials";
  const bool is_public = has_any(name, {"pub", "cert", "crt", "chain", "ca.", "ca-", "ca_", "root",
                                        "bundle", "trust", "example", "sample"});
  if (name.ends_with(".p12") || name.ends_with(".pfx")) return is_public ? "" : "a private key";
  const bool is_key = name.ends_with(".pem") && has_any(name, {"key", "priv"});
  return is_key && !is_public ? "a private key" : "";
}

void check_files(const TransferFacts& transfer, Reporter& reporter) {
  if (!transfer.from_context) return;
  for (const std::string& source : transfer.sources) {
    if (source.find("://") != std::string::npos) continue;
    const std::string_view what = secret_file(source);
    if (what.empty()) continue;
    reporter.add("SecretFileCopied", *transfer.instruction,
                 base::quoted(source) + " probably holds " + std::string(what) +
                     ", and stays in the layer: use RUN --mount=type=secret");
    return;
  }
}

}  // namespace

void check_secrets(const StageFacts& stage, Reporter& reporter) {
  for (const Instruction* instruction : stage.instructions) check_values(*instruction, reporter);
  for (const auto& step : stage.steps)
    if (const auto* transfer = std::get_if<TransferFacts>(&step)) check_files(*transfer, reporter);
}

}  // namespace strake::check
