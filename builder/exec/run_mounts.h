#pragma once

#include <functional>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <vector>

#include "builder/exec/accounts.h"
#include "builder/exec/agent_proxy.h"
#include "builder/exec/cache_mounts.h"
#include "builder/exec/layer_fetcher.h"
#include "builder/exec/machine.h"
#include "builder/exec/run_grants.h"
#include "builder/plan/build_plan.h"
#include "builder/sandbox/sandbox.h"
#include "layers/snapshot/root_tree.h"

namespace strake::builder {

/// The file system that a mount takes files from (from=), and what the mount shows of it.
struct MountSource {
  MountSource(layers::RootTree root, std::string shown)
      : stack(std::move(root)), content(std::move(shown)) {}
  layers::RootTree stack;
  std::string content;  // see mount_content()
};
/// By position in Run::mounts; none for mounts without from=.
using MountSources = std::vector<std::optional<MountSource>>;

/// Opens them and reads what is mounted. `stack_of` gives the layers of a step.
MountSources open_mount_sources(
    const plan::Run& run, Machine& machine, LayerFetcher& fetcher,
    const std::function<const std::vector<base::DiffId>&(plan::StepId)>& stack_of);

/// The --mount options of one RUN, ready for the sandbox; what they hold (locks, sockets, copies)
/// is held until this object goes.
class RunMounts {
 public:
  /// `note` takes lines for the user: what is waited for, what was not given. Throws
  /// Error(not_found) for a source that is not there and for what is required but was not given.
  RunMounts(const plan::Run& run, const MountSources& sources, Machine& machine, RunGrants grants,
            std::stop_token stop, std::function<void(const std::string&)> note);

  /// Adds mounts and variables to `spec`, which must not outlive this object.
  void add_to(sandbox::Spec& spec) const;

 private:
  void add_bind(const plan::Run& run, const MountSources& sources, std::size_t index);
  void take_caches(const plan::Run& run, const MountSources& sources);
  CacheMountRequest cache_request(const plan::Mount& mount, const MountSource* source) const;
  void add_cache(const plan::Mount& mount, const MountSource* source);
  void add_secret(const dockerfile::Mount& options);
  void add_agent(const dockerfile::Mount& options);
  base::FileDescriptor copy_of_part(const base::RootedDirectory& source, const std::string& path);

  Machine& machine_;
  bool moves_;  // nothing can be mounted: what is shown to the step is moved into its root
  RunGrants grants_;
  std::stop_token stop_;
  std::function<void(const std::string&)> note_;
  std::vector<sandbox::Mount> mounts_;
  std::vector<std::pair<std::string, std::string>> variables_;  // of secrets
  std::string agent_target_;                                    // of the first agent
  std::vector<base::FileDescriptor> files_;
  std::list<base::TempDirectory> copies_;
  std::map<std::string, CacheMount> caches_;  // by cache_mount_name()
  std::list<AgentProxy> agents_;
};

}  // namespace strake::builder
