#include "builder/cli/session.h"

#include <unistd.h>

#include "builder/cli/process_start.h"
#include "builder/cli/terminal_io.h"
#include "layers/snapshot/copied_roots.h"
#include "registry/registry_sources.h"

namespace strake::cli {

Session::Session(CommonOptions common, Settings settings, const Environment& environment,
                 StopSignals& signals)
    : common_(std::move(common)),
      settings_(std::move(settings)),
      environment_(environment),
      signals_(signals),
      root_(store_root(common_, settings_, environment, sandbox::caller().uid == 0)) {}

layers::Store& Session::store() {
  if (!store_) {
    store_ = layers::Store::open(root_);
    if (sandbox::current_isolation() == sandbox::Isolation::chroot)
      store_->copied_roots().require();
  }
  return *store_;
}

layers::BlobStore& Session::blobs() {
  if (!blobs_) blobs_.emplace(store());
  return *blobs_;
}

layers::LayerStore& Session::layers() {
  if (!layers_) layers_.emplace(store(), blobs());
  return *layers_;
}

layers::ImageStore& Session::images() {
  if (!images_) images_.emplace(store());
  return *images_;
}

cache::DiskCache& Session::cache() {
  if (!cache_) cache_.emplace(store().cache(), store().locks());
  return *cache_;
}

registry::Credentials& Session::credentials() {
  if (!credentials_)
    credentials_ = std::make_unique<registry::Credentials>(
        registry::CredentialSources::from_environment(sandbox::caller().uid));
  return *credentials_;
}

registry::CurlTransport& Session::transport() {
  if (!transport_) transport_ = std::make_unique<registry::CurlTransport>();
  return *transport_;
}

registry::Client& Session::registry() {
  if (client_) return *client_;
  registry::ClientOptions options;
  options.upload_directory = root_ / "uploads";
  options.courier = {"/proc/self/exe", std::string(kCourierVerb)};
  options.registries.add(
      registry::insecure_registries(common_.insecure_registries, "the command line"));
  for (const registry::RegistryRules& rules : settings_.registries) options.registries.add(rules);
  options.registries.add(
      registry::insecure_registries(settings_.insecure_registries, "the settings"));
  options.certificate_directories = registry::certificate_directories(environment_);
  options.add_registries = [environment = environment_](registry::Registries& registries) {
    registry::add_system_sources(registries, environment);
  };
  client_ = std::make_unique<registry::Client>(transport(), credentials(), std::move(options));
  return *client_;
}

std::unique_ptr<Display> Session::make_display(bool quiet) const {
  const ProgressMode mode =
      common_.progress.value_or(settings_.progress.value_or(ProgressMode::automatic));
  return cli::make_display(quiet ? ProgressMode::quiet : mode, STDERR_FILENO);
}

builder::Machine Session::machine(Display& display) {
  signals_.on_second([this] { sandbox_.kill_now(); });
  return {.store = store(),
          .blobs = blobs(),
          .layers = layers(),
          .images = images(),
          .cache = cache(),
          .registry = registry(),
          .http = transport(),
          .sandbox = sandbox_,
          .progress = display};
}

void with_display(Session& session, bool quiet,
                  const std::function<void(builder::Machine&)>& work) {
  with_display(session, quiet, [&](builder::Machine& machine, Display&) { work(machine); });
}

void with_display(Session& session, bool quiet,
                  const std::function<void(builder::Machine&, Display&)>& work) {
  const std::unique_ptr<Display> display = session.make_display(quiet);
  const LogThroughDisplay logs(*display);
  builder::Machine machine = session.machine(*display);
  try {
    work(machine, *display);
  } catch (const base::Error&) {
    display->close();
    print_error(display->failure_report());
    throw;
  }
  display->close();
}

}  // namespace strake::cli
