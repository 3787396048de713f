#include "builder/exec/run_mounts.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>

#include "builder/exec/layer_paths.h"
#include "builder/exec/step_keys.h"
#include "builder/exec/tree_copy.h"
#include "builder/sandbox/isolation.h"
#include "layers/base/error.h"

namespace strake::builder {
namespace {

using base::Error;
using base::ErrorCode;
using dockerfile::CacheSharing;
using dockerfile::MountType;

/// `message` with the nearest of what there is, or how to give one.
Error not_given(std::string message, const std::string& id, const std::vector<std::string>& ids,
                const std::string& advice) {
  Error error(ErrorCode::not_found, std::move(message));
  const std::string near = base::nearest(id, ids);
  error.set_hint(near.empty() ? advice : "did you mean " + base::quoted(near) + "?");
  return error;
}

/// What suits two mounts of one cache in one step: alone, if either asks for it.
CacheSharing stricter(CacheSharing a, CacheSharing b) {
  for (const CacheSharing sharing : {CacheSharing::private_, CacheSharing::locked})
    if (a == sharing || b == sharing) return sharing;
  return CacheSharing::shared;
}

/// Whether a file, not a directory, is mounted.
bool is_file(const plan::Mount& mount, const std::optional<MountSource>& source) {
  if (mount.options.type == MountType::secret || mount.options.type == MountType::ssh) return true;
  if (mount.options.type != MountType::bind) return false;
  const auto status = source->stack.root().stat(mount.options.source);
  return status && !S_ISDIR(status->st_mode);
}

/// Mounts inside of a read-only one need their places in it before it becomes read-only: `root` has
/// at `path` what mount number `outer` shows.
void make_places(const plan::Run& run, const MountSources& sources, std::size_t outer,
                 const base::RootedDirectory& root, const std::string& path) {
  const dockerfile::Mount& options = run.mounts[outer].options;
  if (!options.read_only) return;
  for (std::size_t inner = outer + 1; inner < run.mounts.size(); ++inner) {
    const std::string& target = run.mounts[inner].options.target;
    if (!target.starts_with(options.target + "/")) continue;
    const std::string place = path + target.substr(options.target.size());
    if (root.stat(place)) continue;
    if (is_file(run.mounts[inner], sources[inner])) {
      root.make_directories(parent_path(place), 0755);
      root.create_file(place, 0444);
    } else {
      root.make_directories(place, 0755);
    }
  }
}

}  // namespace

MountSources open_mount_sources(
    const plan::Run& run, Machine& machine, LayerFetcher& fetcher,
    const std::function<const std::vector<base::DiffId>&(plan::StepId)>& stack_of) {
  MountSources sources(run.mounts.size());
  for (std::size_t i = 0; i < run.mounts.size(); ++i) {
    const plan::Mount& mount = run.mounts[i];
    if (!mount.from) continue;
    const std::vector<base::DiffId>& stack = stack_of(*mount.from);
    fetcher.ensure_trees(stack);
    // Always with an upper directory of its own, thrown away after the step: other mounts may need
    // a place in it, also where the command itself may not write.
    layers::RootTree root = layers::RootTree::for_mounts(machine.store, machine.layers, stack);
    std::string content = mount_content(mount, {.root = root.root(), .shown_name = "its source"});
    sources[i].emplace(std::move(root), std::move(content));
  }
  return sources;
}

RunMounts::RunMounts(const plan::Run& run, const MountSources& sources, Machine& machine,
                     RunGrants grants, std::stop_token stop,
                     std::function<void(const std::string&)> note)
    : machine_(machine),
      moves_(sandbox::current_isolation() == sandbox::Isolation::chroot),
      grants_(grants),
      stop_(std::move(stop)),
      note_(std::move(note)) {
  take_caches(run, sources);
  for (std::size_t i = 0; i < run.mounts.size(); ++i) {
    const plan::Mount& mount = run.mounts[i];
    const MountSource* source = sources[i] ? &*sources[i] : nullptr;
    switch (mount.options.type) {
      case MountType::bind:
        add_bind(run, sources, i);
        break;
      case MountType::cache:
        add_cache(mount, source);
        break;
      case MountType::tmpfs:
        // Any user may write there, as in every new tmpfs: apt does it as another one.
        mounts_.push_back(sandbox::TmpfsMount{
            .target = mount.options.target, .size_bytes = mount.options.size_bytes, .mode = 01777});
        break;
      case MountType::secret:
        add_secret(mount.options);
        break;
      case MountType::ssh:
        add_agent(mount.options);
        break;
    }
  }
}

void RunMounts::add_to(sandbox::Spec& spec) const {
  spec.mounts.insert(spec.mounts.end(), mounts_.begin(), mounts_.end());
  const auto is = [](const std::string& name) {
    return [name](const std::string& variable) { return variable.starts_with(name + "="); };
  };
  for (const auto& [name, value] : variables_) {
    std::erase_if(spec.env, is(name));  // else which of the two counts is up to the program
    spec.env.push_back(name + "=" + value);
  }
  // As in docker, who sets the variable in the Dockerfile has chosen one of the sockets.
  if (!agent_target_.empty() && std::none_of(spec.env.begin(), spec.env.end(), is("SSH_AUTH_SOCK")))
    spec.env.push_back("SSH_AUTH_SOCK=" + agent_target_);
}

/// The part of the source's mount from the path down; of what is no mount, or cannot be taken apart
/// by this kernel, a copy.
void RunMounts::add_bind(const plan::Run& run, const MountSources& sources, std::size_t index) {
  const dockerfile::Mount& options = run.mounts[index].options;
  const layers::RootTree& source = sources[index]->stack;
  const auto part = source.root().try_open(options.source, O_PATH);
  if (!part)
    throw Error(ErrorCode::not_found,
                "the source " + base::quoted(options.source) + " of the mount is not there");
  std::optional<base::FileDescriptor> shown;
  if (!source.is_copied()) {
    make_places(run, sources, index, source.root(), options.source);
    shown = sandbox::clone_part(part->get());
  }
  if (!shown) {
    shown = copy_of_part(source.root(), options.source);
    if (source.is_copied())
      make_places(run, sources, index,
                  base::RootedDirectory::open_host(copies_.back().path().native()), "part");
  }
  files_.push_back(std::move(*shown));
  mounts_.push_back(sandbox::BindMount{.source_fd = files_.back().get(),
                                       .target = options.target,
                                       .read_only = options.read_only,
                                       .movable = source.is_copied()});
}

CacheMountRequest RunMounts::cache_request(const plan::Mount& mount,
                                           const MountSource* source) const {
  const dockerfile::Mount& options = mount.options;
  CacheMountRequest request{options.id,
                            options.sharing,
                            options.mode.value_or(0755),
                            options.uid.value_or(0),
                            options.gid.value_or(0),
                            source != nullptr ? source->content : ""};
  if (source != nullptr)
    request.fill = [&mount, source, this](int directory) {
      const base::FileDescriptor from =
          source->stack.root().open(mount.options.source, O_RDONLY | O_DIRECTORY);
      copy_tree(from.get(), directory, machine_.store);
    };
  return request;
}

/// Each cache once, however often it is mounted, and as the strictest of its mounts asks for; in
/// the order of their names. Else a step would wait for itself, or two steps for each other.
void RunMounts::take_caches(const plan::Run& run, const MountSources& sources) {
  std::map<std::string, CacheMountRequest> requests;
  for (std::size_t i = 0; i < run.mounts.size(); ++i) {
    if (run.mounts[i].options.type != MountType::cache) continue;
    CacheMountRequest request = cache_request(run.mounts[i], sources[i] ? &*sources[i] : nullptr);
    // What is moved into the root of a step is there only.
    const CacheSharing sharing =
        moves_ ? stricter(request.sharing, CacheSharing::locked) : request.sharing;
    CacheMountRequest& taken =
        requests.try_emplace(cache_mount_name(request), std::move(request)).first->second;
    taken.sharing = stricter(taken.sharing, sharing);
  }
  for (const auto& [name, request] : requests)
    caches_.try_emplace(name, machine_.store, request, stop_, [&] {
      note_("waiting for the cache mount " + base::quoted(request.id) + ", which is in use");
    });
}

void RunMounts::add_cache(const plan::Mount& mount, const MountSource* source) {
  const CacheMount& cache = caches_.at(cache_mount_name(cache_request(mount, source)));
  int shown = cache.fd();
  if (moves_ && mount.options.read_only) {
    const base::RootedDirectory directory(
        base::FileDescriptor(::openat(cache.fd(), ".", O_PATH | O_DIRECTORY | O_CLOEXEC)));
    shown = files_.emplace_back(copy_of_part(directory, "")).get();
  }
  mounts_.push_back(sandbox::BindMount{.source_fd = shown,
                                       .target = mount.options.target,
                                       .read_only = mount.options.read_only,
                                       .movable = moves_});
}

void RunMounts::add_secret(const dockerfile::Mount& options) {
  const std::string* content = grants_.secrets.find(options.id);
  if (content == nullptr) {
    const std::string message = "the build was not given the secret " + base::quoted(options.id);
    if (options.required)
      throw not_given(message, options.id, grants_.secrets.ids(),
                      "add --secret id=" + options.id + ",src=FILE");
    note_(message);
    return;
  }
  if (!options.variable.empty()) variables_.emplace_back(options.variable, *content);
  if (!options.target.empty())
    mounts_.push_back(sandbox::InlineFile{.target = options.target,
                                          .content = *content,
                                          .mode = options.mode.value_or(0400),
                                          .uid = options.uid.value_or(0),
                                          .gid = options.gid.value_or(0)});
}

void RunMounts::add_agent(const dockerfile::Mount& options) {
  const auto agent = std::find_if(grants_.agents.begin(), grants_.agents.end(),
                                  [&](const AgentSource& a) { return a.id == options.id; });
  if (agent == grants_.agents.end()) {
    const std::string message = "the build was not given the ssh agent " + base::quoted(options.id);
    std::vector<std::string> ids;
    for (const AgentSource& known : grants_.agents) ids.push_back(known.id);
    if (options.required) throw not_given(message, options.id, ids, "add --ssh " + options.id);
    note_(message);
    return;
  }
  const AgentProxy& proxy =
      agents_.emplace_back(agent->socket, machine_.store, options.mode.value_or(0600),
                           options.uid.value_or(0), options.gid.value_or(0));
  if (agents_.size() == 1) agent_target_ = options.target;
  mounts_.push_back(
      sandbox::BindMount{.source_fd = proxy.fd(), .target = options.target, .movable = moves_});
}

base::FileDescriptor RunMounts::copy_of_part(const base::RootedDirectory& source,
                                             const std::string& path) {
  const base::TempDirectory& work = copies_.emplace_back(machine_.store.make_ingest("mount-"));
  const base::RootedDirectory copy =
      base::RootedDirectory::open_host(work.path().native(), machine_.store.owners());
  const struct ::stat status = source.stat(path).value();
  if (S_ISDIR(status.st_mode)) {
    copy.make_directory("part", 0700);
    const base::FileDescriptor from = source.open(path, O_RDONLY | O_DIRECTORY);
    const base::FileDescriptor to = copy.open("part", O_RDONLY | O_DIRECTORY);
    copy_tree(from.get(), to.get(), machine_.store);
  } else {
    if (!S_ISREG(status.st_mode))  // to open it might wait for ever, or do something
      throw Error(ErrorCode::unsupported, "the source " + base::quoted(path) +
                                              " of the mount is neither a file nor a directory");
    base::FileSource from(source.open(path, O_RDONLY), path);
    const base::FileDescriptor to = copy.create_file("part", status.st_mode & 07777);
    base::FdSink sink(to.get(), path);
    base::copy(from, sink);
    copy.set_owner("part", status.st_uid, status.st_gid);
    copy.set_mode("part", status.st_mode & 07777);
  }
  return copy.open("part", O_PATH);
}

}  // namespace strake::builder
