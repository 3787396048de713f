#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>

#include "builder/cli/arguments.h"
#include "builder/cli/lazy_sandbox.h"
#include "builder/cli/progress.h"
#include "builder/cli/settings.h"
#include "builder/cli/stop_signals.h"
#include "builder/exec/machine.h"
#include "cache/disk_cache.h"
#include "layers/blob_store.h"
#include "layers/image_store.h"
#include "layers/layer_store.h"
#include "layers/store.h"
#include "registry/client.h"
#include "registry/credentials.h"
#include "registry/curl_transport.h"

namespace strake::cli {

/// What a verb works with: each part is made when it is first asked for. For one thread.
class Session {
 public:
  Session(CommonOptions common, Settings settings, const Environment& environment,
          StopSignals& signals);
  ~Session() { signals_.on_second({}); }
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  const Settings& settings() const noexcept { return settings_; }
  std::stop_token stop() const { return signals_.token(); }

  const std::filesystem::path& root() const noexcept { return root_; }
  layers::Store& store();
  layers::BlobStore& blobs();
  layers::LayerStore& layers();
  layers::ImageStore& images();
  cache::DiskCache& cache();
  registry::Credentials& credentials();
  registry::CurlTransport& transport();
  registry::Client& registry();

  /// The display the user asked for, on stderr.
  std::unique_ptr<Display> make_display(bool quiet) const;
  /// All parts together. The second signal kills running steps from now on.
  builder::Machine machine(Display& display);

 private:
  const CommonOptions common_;
  const Settings settings_;
  const Environment environment_;
  StopSignals& signals_;
  const std::filesystem::path root_;

  std::optional<layers::Store> store_;
  std::optional<layers::BlobStore> blobs_;
  std::optional<layers::LayerStore> layers_;
  std::optional<layers::ImageStore> images_;
  std::optional<cache::DiskCache> cache_;
  std::unique_ptr<registry::Credentials> credentials_;
  std::unique_ptr<registry::CurlTransport> transport_;
  std::unique_ptr<registry::Client> client_;
  LazySandbox sandbox_;
};

/// Runs `work` with a display and the machine behind it. When it throws, the display is closed
/// first and the last output of failed steps is shown, so that the error stands below it.
void with_display(Session& session, bool quiet, const std::function<void(builder::Machine&)>& work);
/// The same for work that lets someone else have the terminal meanwhile.
void with_display(Session& session, bool quiet,
                  const std::function<void(builder::Machine&, Display&)>& work);

}  // namespace strake::cli
