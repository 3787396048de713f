#include "builder/sandbox/isolation.h"

#include <linux/capability.h>
#include <unistd.h>

#include <array>
#include <utility>

#include "builder/sandbox/rung_choice.h"
#include "layers/base/error.h"

namespace strake::sandbox {
namespace {

using base::Error;
using base::ErrorCode;

constexpr std::array<std::pair<Isolation, std::string_view>, 4> kNames{{
    {Isolation::root, "root"},
    {Isolation::user_range, "user"},
    {Isolation::user_one, "user-one"},
    {Isolation::chroot, "chroot"},
}};

/// Set once, while there is one thread: where this process is belongs to the process.
std::optional<Rung> g_entered;
std::optional<Caller> g_caller;

bool needs_namespace(Isolation isolation) {
  return isolation == Isolation::user_range || isolation == Isolation::user_one;
}

bool can_be_root() {
  return has_capability(own_capabilities(), CAP_SYS_ADMIN);
}

/// Whether to stay in a namespace that works.
enum class Trial { enter, only_try };

/// Takes one rung. Throws Error(unsupported) if it cannot be.
void take(const RungOption& option, Trial trial) {
  if (!option.impossible.empty())
    throw Error(ErrorCode::unsupported, option.impossible).hint(option.knob);
  if (!needs_namespace(option.isolation)) return;
  UserNamespace ours(option.maps);
  if (trial == Trial::enter) ours.enter();
}

Rung take_best(Trial trial) {
  std::string why;
  for (const RungOption& option : rung_options(gather_isolation_facts())) {
    try {
      take(option, trial);
      return {option.isolation, why};
    } catch (const Error& error) {
      if (error.code() != ErrorCode::unsupported) throw;
      // The next rung is explained by this one. That somebody is not root he knows.
      why = error.what();
      if (option.isolation != Isolation::root && !error.hint().empty()) why += "; " + error.hint();
    }
  }
  throw Error(
      ErrorCode::unsupported,
      "steps cannot be isolated here: there is neither CAP_SYS_ADMIN, nor a user namespace, "
      "nor CAP_SYS_CHROOT")
      .hint("run \"strake doctor\": it tells what would change that");
}

Rung take_wanted(Isolation wanted) {
  for (const RungOption& option : rung_options(gather_isolation_facts())) {
    if (option.isolation != wanted) continue;
    try {
      take(option, Trial::enter);
    } catch (Error& error) {
      error.add_context("isolation " + base::quoted(name_of(wanted)));
      throw;
    }
  }
  return {wanted, "as asked for"};
}

}  // namespace

std::string_view name_of(Isolation isolation) noexcept {
  for (const auto& [known, name] : kNames)
    if (known == isolation) return name;
  return "";
}

std::optional<Isolation> parse_isolation(std::string_view word) {
  if (word == "auto") return std::nullopt;
  std::vector<std::string> names{"auto"};
  for (const auto& [known, name] : kNames) {
    if (name == word) return known;
    names.emplace_back(name);
  }
  Error error(ErrorCode::invalid_input, "isolation " + base::quoted(word) + " is not known");
  const std::string near = base::nearest(word, names);
  error.set_hint(near.empty() ? "use auto, root, user, user-one or chroot"
                              : "did you mean " + base::quoted(near) + "?");
  throw error;
}

std::string Rung::describe() const {
  constexpr std::array kTexts{"root", "user namespace with a range of ids",
                              "user namespace with one id", "chroot"};
  const std::string text = kTexts.at(static_cast<std::size_t>(isolation));
  return why.empty() ? text : text + " (" + why + ")";
}

Rung enter_isolation(std::optional<Isolation> wanted) {
  g_caller = Caller{::geteuid(), ::getegid()};
  Rung rung;
  if (wanted.value_or(Isolation::root) == Isolation::root && can_be_root())
    rung.why = "CAP_SYS_ADMIN";
  else
    rung = wanted ? take_wanted(*wanted) : take_best(Trial::enter);
  g_entered = rung;
  return rung;
}

Rung best_isolation() {
  if (can_be_root()) return {Isolation::root, "CAP_SYS_ADMIN"};
  return take_best(Trial::only_try);
}

Isolation current_isolation() noexcept {
  if (g_entered) return g_entered->isolation;
  return can_be_root() ? Isolation::root : Isolation::chroot;
}

const std::optional<Rung>& entered_rung() noexcept {
  return g_entered;
}

Caller caller() noexcept {
  return g_caller ? *g_caller : Caller{::geteuid(), ::getegid()};
}

bool is_mapped_user(uid_t id) {
  return has_id(own_user_map(), id);
}

bool is_mapped_group(gid_t id) {
  return has_id(own_group_map(), id);
}

}  // namespace strake::sandbox
