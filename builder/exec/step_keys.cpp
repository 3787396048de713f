#include "builder/exec/step_keys.h"

#include <algorithm>
#include <map>

#include "cache/content_digest.h"

namespace strake::builder {
namespace {

using cache::KeyBuilder;

void add_epoch(KeyBuilder& key, const BuildRequest& request) {
  if (request.source_date_epoch)
    key.field("SOURCE_DATE_EPOCH", std::to_string(*request.source_date_epoch));
}

StepKey finish(KeyBuilder key) {
  StepKey out;
  out.fields = key.fields();
  out.key = key.finish();
  return out;
}

/// What a COPY does with its files, whatever they are.
void add_copy_fields(KeyBuilder& key, const plan::Copy& copy, const base::ChainId& below,
                     const BuildRequest& request) {
  if (!copy.link) key.field(cache::field::kBase, below.digest.str());
  key.field("destination", copy.destination);
  key.field("chown", copy.chown).field("chmod", copy.chmod);
  key.field("mode", std::string(copy.extract ? "add" : "copy") + (copy.parents ? " parents" : "") +
                        (copy.link ? " link" : ""));
  for (const plan::InlineFile& file : copy.files)
    key.field("here-document " + file.name, file.content);
  add_epoch(key, request);
}

/// Everything but the paths. `file` is used again for each entry, so that its strings are not made
/// for each.
void describe(const SelectedEntry& entry, const CopySource& source, const SelectionDigests& digests,
              cache::SelectedFile& file) {
  const FileStatus& status = entry.status;
  file.mode = status.mode;
  file.uid = source.is_context ? 0 : status.uid;
  file.gid = source.is_context ? 0 : status.gid;
  file.link_target = entry.link_target();
  file.device = status.is_device() ? status.device_number : 0;
  file.xattrs = entry.xattrs();
  file.content = status.is_file() ? digests.of(entry) : std::nullopt;
  file.size_bytes = status.is_file() ? status.stamp.size_bytes : 0;
}

std::string_view network_of(const plan::Run& run, const BuildRequest& request) {
  if (!run.network) return "none";
  const bool host = run.host_network || request.steps.network == sandbox::Network::host;
  return host ? "host" : "private";
}

/// Which secret, but not its content: that may change without making the result another one.
void add_mount_fields(KeyBuilder& key, const plan::Mount& mount, const std::string& source) {
  const dockerfile::Mount& options = mount.options;
  const std::string name = "mount " + options.target;
  key.field(name, to_string(options.type));
  key.field(name + " read-only", options.read_only ? "yes" : "no");
  if (mount.from) key.field(name + " source", source);
  if (options.type == dockerfile::MountType::tmpfs)
    key.field(name + " size", std::to_string(options.size_bytes));
  if (options.type == dockerfile::MountType::secret || options.type == dockerfile::MountType::ssh) {
    key.field(name + " id", options.id);
    key.field(name + " variable", options.variable);
    key.field(name + " required", options.required ? "yes" : "no");
  }
  for (const auto& [option, value] :
       {std::pair("mode", options.mode), {"uid", options.uid}, {"gid", options.gid}})
    if (value) key.field(name + " " + option, std::to_string(*value));
}

/// Adds the selected files to `content`, and to `key` what is not about single files.
void add_selection(std::span<const SelectedSource> selection, const CopySource& source,
                   const SelectionDigests& digests, KeyBuilder& key,
                   cache::ContentDigest& content) {
  std::map<Inode, std::string> linked;  // hard links are kept: they count
  cache::SelectedFile file;
  for (std::size_t i = 0; i < selection.size(); ++i) {
    // As wide as any number of sources, so that the order of the text is the order of the numbers.
    std::string top = std::to_string(i);
    top.insert(0, 8 - std::min<std::size_t>(top.size(), 8), '0');
    const SelectedSource& selected = selection[i];
    key.field("name", selected.directory ? "" : selected.name);
    key.field("parents", selected.parents);
    for (const SelectedEntry& parent : selected.parent_entries)
      key.field("parent mode", std::to_string(parent.status.mode));
    for (const SelectedEntry& entry : selected.entries) {
      describe(entry, source, digests, file);
      file.path.assign(top);
      if (!entry.path.empty()) file.path.append("/").append(entry.path);
      file.hard_link_to.clear();
      if (entry.status.is_file() && entry.status.links > 1) {
        const auto [first, inserted] = linked.emplace(inode_of(entry), file.path);
        if (!inserted) file.hard_link_to = first->second;
      }
      content.add(file, shown_path(entry));
    }
  }
}

}  // namespace

StepKey run_key(const plan::Run& run, const base::ChainId& below,
                std::span<const std::string> sources, const BuildRequest& request) {
  KeyBuilder key("run/1");
  key.field(cache::field::kBase, below.digest.str());
  for (const std::string& argument : run.argv) key.field(cache::field::kCommand, argument);
  for (const std::string& variable : run.env) {
    const std::size_t equals = variable.find('=');
    key.field(cache::field::variable(variable.substr(0, equals)), variable.substr(equals + 1));
  }
  key.field("user", run.user).field("directory", run.working_dir);
  for (const plan::InlineFile& script : run.scripts)
    key.field("here-document " + script.name, script.content);
  for (std::size_t i = 0; i < run.mounts.size(); ++i)
    add_mount_fields(key, run.mounts[i], sources[i]);
  // Which devices, but not what they are on this machine.
  for (const dockerfile::RunDevice& device : run.devices) key.field("device", device.name);
  if (run.insecure) key.field("security", "insecure");
  if (!run.hostname.empty()) key.field("hostname", run.hostname);
  key.field("network", network_of(run, request));
  key.field("architecture", run.architecture);
  add_fields(request.steps, key);
  add_epoch(key, request);
  return finish(std::move(key));
}

StepKey fetch_key(const std::string& path, const std::string& identity, const base::ChainId& below,
                  const BuildRequest& request) {
  KeyBuilder key("fetch/1");
  key.field(cache::field::kBase, below.digest.str());
  key.field("path", path).field("version", identity);
  add_epoch(key, request);
  return finish(std::move(key));
}

StepKey directory_key(const plan::MakeDirectory& directory, const base::ChainId& below,
                      const BuildRequest& request) {
  KeyBuilder key("mkdir/1");
  key.field(cache::field::kBase, below.digest.str());
  key.field("directory", directory.path).field("user", directory.user);
  add_epoch(key, request);
  return finish(std::move(key));
}

StepKey copy_key(const plan::Copy& copy, const base::ChainId& below,
                 std::span<const SelectedSource> selection, const CopySource& source,
                 cache::StatMemo& memo, const BuildRequest& request) {
  SelectionDigests digests(selection);
  digests.read_missing(source, memo);
  return copy_key(copy, below, selection, source, digests, request);
}

StepKey copy_key(const plan::Copy& copy, const base::ChainId& below,
                 std::span<const SelectedSource> selection, const CopySource& source,
                 const SelectionDigests& digests, const BuildRequest& request) {
  cache::ContentDigest content(cache::ContentDigest::Keep::digest);
  KeyBuilder key("copy/2");
  add_copy_fields(key, copy, below, request);
  add_selection(selection, source, digests, key, content);
  key.field(cache::field::kFiles, content.finish().str());
  return finish(std::move(key));
}

cache::FileManifest copy_manifest(std::span<const SelectedSource> selection,
                                  const CopySource& source, const SelectionDigests& digests) {
  cache::ContentDigest content(cache::ContentDigest::Keep::manifest);
  KeyBuilder key("copy/2");
  add_selection(selection, source, digests, key, content);
  return content.take_manifest();
}

cache::SlotId copy_operation(const plan::Copy& copy, const base::ChainId& below,
                             const BuildRequest& request) {
  KeyBuilder key("copy-operation/1");
  add_copy_fields(key, copy, below, request);
  for (const std::string& path : copy.sources) key.field(copy.exact ? "exact path" : "path", path);
  for (const std::string& pattern : copy.excludes) key.field("exclude", pattern);
  return {key.finish().digest};
}

std::string mount_content(const plan::Mount& mount, const CopySource& source) {
  plan::Copy everything;
  everything.sources = {mount.options.source};
  everything.exact = true;
  // Inodes of an overlay change from mount to mount: what is read here is not worth remembering.
  cache::StatMemo memo;
  cache::ContentDigest content(cache::ContentDigest::Keep::digest);
  KeyBuilder key("mount/2");
  const std::vector<SelectedSource> selection = select_files(everything, source);
  SelectionDigests digests(selection);
  digests.read_missing(source, memo);
  add_selection(selection, source, digests, key, content);
  key.field(cache::field::kFiles, content.finish().str());
  return key.finish().digest.str();
}

StepKey copy_from_key(const plan::Copy& copy, const base::ChainId& below,
                      const base::ChainId& source, const BuildRequest& request) {
  KeyBuilder key("copy-from/1");
  add_copy_fields(key, copy, below, request);
  key.field("source", source.digest.str());
  for (const std::string& path : copy.sources) key.field(copy.exact ? "exact path" : "path", path);
  for (const std::string& pattern : copy.excludes) key.field("exclude", pattern);
  return finish(std::move(key));
}

cache::SlotId slot_of(const plan::Step& step, const plan::BuildPlan& plan,
                      const std::string& dockerfile_path) {
  KeyBuilder key("slot/1");
  key.field("dockerfile", dockerfile_path).field("platform", plan.platform.str());
  key.field("stage", step.stage).field("position", step.label.substr(0, step.label.find('/')));
  return {key.finish().digest};
}

}  // namespace strake::builder
