#include "builder/exec/cdi.h"

#include <fcntl.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <set>

#include "layers/base/error.h"
#include "layers/base/files.h"
#include "layers/base/rooted_directory.h"

namespace strake::builder {
namespace {

using base::Error;
using base::ErrorCode;

constexpr std::size_t kLargestSpec = 4 << 20;
constexpr const char* kClassAnnotation = "org.mobyproject.buildkit.device.class";

// ---- Names --------------------------------------------------------------------------------------

bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}
bool is_alphanumeric(char c) {
  return is_letter(c) || (c >= '0' && c <= '9');
}

/// Letters, digits and `marks`; neither the first nor the last is a mark.
bool is_name(std::string_view text, std::string_view marks) {
  return !text.empty() && is_alphanumeric(text.front()) && is_alphanumeric(text.back()) &&
         std::ranges::all_of(text, [&](char c) {
           return is_alphanumeric(c) || marks.find(c) != std::string_view::npos;
         });
}

/// "vendor.com/class".
bool is_kind(std::string_view text) {
  const std::size_t slash = text.find('/');
  if (slash == std::string_view::npos) return false;
  const std::string_view vendor = text.substr(0, slash), device_class = text.substr(slash + 1);
  return is_name(vendor, "_-.") && is_letter(vendor.front()) && is_name(device_class, "_-.") &&
         is_letter(device_class.front());
}

// ---- One spec -----------------------------------------------------------------------------------

/// Reads the values of a file; what is wrong is refused with its line.
class SpecReader {
 public:
  explicit SpecReader(const std::string& file) : file_(file) {}

  std::vector<CdiDevice> devices(const YAML::Node& spec) const {
    if (!spec.IsMap()) throw refusal(spec, "it is not an object");
    const std::string version = text(required(spec, "cdiVersion"), "cdiVersion");
    if (!version.starts_with("0.") && !version.starts_with("1."))
      throw refusal(spec["cdiVersion"], "version " + base::quoted(version) + " is not known");
    const std::string kind = text(required(spec, "kind"), "kind");
    if (!is_kind(kind))
      throw refusal(spec["kind"],
                    base::quoted(kind) + " is not a kind of the form vendor.com/class");
    const auto common = std::make_shared<const CdiEdits>(edits(spec["containerEdits"]));
    std::vector<CdiDevice> devices;
    std::set<std::string> names;
    for (const YAML::Node& entry : list(required(spec, "devices"), "devices")) {
      CdiDevice& device = devices.emplace_back(this->device(entry, kind));
      device.common = common;
      const auto of_spec = annotations(spec["annotations"]);
      device.annotations.insert(of_spec.begin(), of_spec.end());
      if (!names.insert(device.name).second)
        throw refusal(entry, "device " + base::quoted(device.name) + " is there twice");
    }
    if (devices.empty()) throw refusal(spec["devices"], "it has no devices");
    return devices;
  }

  Error refusal(const YAML::Node& at, const std::string& why) const {
    return refusal(at.IsDefined() ? at.Mark() : YAML::Mark::null_mark(), why);
  }
  Error refusal(const YAML::Mark& mark, const std::string& why) const {
    const std::string line = mark.is_null() ? "" : ", line " + std::to_string(mark.line + 1);
    return Error(ErrorCode::invalid_input, "CDI spec " + base::quoted(file_) + line + ": " + why);
  }

 private:
  CdiDevice device(const YAML::Node& entry, const std::string& kind) const {
    if (!entry.IsMap()) throw refusal(entry, "a device is not an object");
    const std::string name = text(required(entry, "name"), "name");
    if (!is_name(name, "_-.:"))
      throw refusal(entry["name"], base::quoted(name) + " is not a name for a device");
    CdiDevice device;
    device.name = kind + "=" + name;
    device.annotations = annotations(entry["annotations"]);
    device.own = edits(required(entry, "containerEdits"));
    device.file = file_;
    return device;
  }

  CdiEdits edits(const YAML::Node& node) const {
    CdiEdits edits;
    if (!node.IsDefined() || node.IsNull()) return edits;
    if (!node.IsMap()) throw refusal(node, "\"containerEdits\" is not an object");
    for (const auto& entry : node) {
      const std::string key = text(entry.first, "a key");
      const YAML::Node& value = entry.second;
      if (value.IsNull() || (!value.IsScalar() && value.size() == 0)) continue;
      if (key == "env") {
        for (const YAML::Node& variable : list(value, key))
          edits.env.push_back(assignment(variable));
      } else if (key == "deviceNodes") {
        for (const YAML::Node& item : list(value, key)) edits.nodes.push_back(this->node(item));
      } else if (key == "mounts") {
        for (const YAML::Node& item : list(value, key)) edits.mounts.push_back(mount(item));
      } else if (key == "additionalGids") {
        for (const YAML::Node& item : list(value, key)) edits.groups.push_back(number(item, key));
      } else {
        edits.unknown.push_back(key);
      }
    }
    return edits;
  }

  std::string assignment(const YAML::Node& node) const {
    std::string variable = text(node, "env");
    if (variable.find('=') == std::string::npos || variable.front() == '=')
      throw refusal(node, base::quoted(variable) + " is not of the form NAME=value");
    return variable;
  }

  CdiNode node(const YAML::Node& entry) const {
    if (!entry.IsMap()) throw refusal(entry, "a device node is not an object");
    CdiNode node;
    node.path = path(required(entry, "path"), "path");
    node.host_path = node.path;
    if (given(entry["hostPath"])) node.host_path = path(entry["hostPath"], "hostPath");
    if (given(entry["type"])) {
      const std::string type = text(entry["type"], "type");
      if (type != "b" && type != "c" && type != "u" && type != "p")
        throw refusal(entry["type"], base::quoted(type) + " is not a type of device");
      node.type = type == "u" ? 'c' : type[0];
    }
    const unsigned major = given(entry["major"]) ? number(entry["major"], "major") : 0;
    const unsigned minor = given(entry["minor"]) ? number(entry["minor"], "minor") : 0;
    if (major != 0) node.number.emplace(major, minor);
    if (given(entry["fileMode"])) node.mode = number(entry["fileMode"], "fileMode") & 07777;
    if (given(entry["uid"])) node.uid = number(entry["uid"], "uid");
    if (given(entry["gid"])) node.gid = number(entry["gid"], "gid");
    return node;
  }

  CdiMount mount(const YAML::Node& entry) const {
    if (!entry.IsMap()) throw refusal(entry, "a mount is not an object");
    CdiMount mount;
    mount.host_path = path(required(entry, "hostPath"), "hostPath");
    mount.container_path = path(required(entry, "containerPath"), "containerPath");
    if (given(entry["type"])) mount.type = text(entry["type"], "type");
    if (given(entry["options"]))
      for (const YAML::Node& option : list(entry["options"], "options"))
        mount.options.push_back(text(option, "options"));
    return mount;
  }

  std::map<std::string, std::string> annotations(const YAML::Node& node) const {
    std::map<std::string, std::string> annotations;
    if (!given(node)) return annotations;
    if (!node.IsMap()) throw refusal(node, "\"annotations\" is not an object");
    for (const auto& entry : node)
      annotations.emplace(text(entry.first, "annotations"),
                          given(entry.second) ? entry.second.as<std::string>() : "");
    return annotations;
  }

  /// Absolute, and what it says: without "..".
  std::string path(const YAML::Node& node, const std::string& key) const {
    std::string path = text(node, key);
    if (!path.starts_with('/'))
      throw refusal(node, base::quoted(key) + ": " + base::quoted(path) + " is not absolute");
    if ((path + "/").find("/../") != std::string::npos)
      throw refusal(node, base::quoted(key) + ": " + base::quoted(path) + " has \"..\" in it");
    return path;
  }

  static bool given(const YAML::Node& node) { return node.IsDefined() && !node.IsNull(); }

  YAML::Node required(const YAML::Node& object, const char* key) const {
    const YAML::Node value = object[key];
    if (!given(value)) throw refusal(object, "there is no " + base::quoted(key));
    return value;
  }
  YAML::Node list(const YAML::Node& node, const std::string& key) const {
    if (!node.IsSequence()) throw refusal(node, base::quoted(key) + " is not a list");
    return node;
  }
  std::string text(const YAML::Node& node, const std::string& key) const {
    if (!node.IsScalar() || node.Scalar().empty() || node.Scalar().find('\0') != std::string::npos)
      throw refusal(node, base::quoted(key) + " is not a text");
    return node.Scalar();
  }
  std::uint32_t number(const YAML::Node& node, const std::string& key) const {
    std::uint32_t value = 0;
    if (!node.IsScalar() || !YAML::convert<std::uint32_t>::decode(node, value))
      throw refusal(node, base::quoted(key) + " is not a number");
    return value;
  }

  const std::string& file_;
};

/// Names in the directory, or nothing if there is none.
std::vector<std::string> spec_files(const std::filesystem::path& directory) {
  const auto opened =
      base::RootedDirectory::open_host("/").try_open(directory.native(), O_RDONLY | O_DIRECTORY);
  if (!opened) return {};
  std::vector<std::string> names = base::list_directory(opened->get(), directory.native());
  std::erase_if(names, [](const std::string& name) {
    return !name.ends_with(".json") && !name.ends_with(".yaml");
  });
  return names;
}

}  // namespace

std::vector<CdiDevice> parse_cdi_spec(const std::string& text, const std::string& file) {
  const SpecReader reader(file);
  try {
    return reader.devices(YAML::Load(text));
  } catch (const YAML::Exception& error) {
    throw reader.refusal(error.mark, "it is malformed: " + error.msg);
  }
}

// ---- All specs ----------------------------------------------------------------------------------

CdiDevices::CdiDevices(const std::vector<std::filesystem::path>& directories)
    : directories_(directories) {
  for (std::size_t rank = 0; rank < directories.size(); ++rank)
    for (const std::string& name : spec_files(directories[rank])) {
      const std::filesystem::path file = directories[rank] / name;
      if (const auto text = base::read_file(file, kLargestSpec))
        add(parse_cdi_spec(*text, file.native()), rank);
    }
}

void CdiDevices::add(std::vector<CdiDevice> devices, std::size_t rank) {
  for (CdiDevice& device : devices) {
    const auto known = devices_.find(device.name);
    if (known != devices_.end() && known->second.rank == rank)
      device.also_in = known->second.device.file;
    std::string name = device.name;
    devices_.insert_or_assign(std::move(name), Ranked{std::move(device), rank});
  }
}

std::vector<const CdiDevice*> CdiDevices::find(const std::string& request) const {
  const std::size_t equals = request.find('=');
  const std::string kind = request.substr(0, equals);
  const std::string name = equals == std::string::npos ? "" : request.substr(equals + 1);
  if (!is_kind(kind))
    throw Error(ErrorCode::invalid_input, base::quoted(request) + " does not name a device")
        .hint("write it as vendor.com/class=name");

  std::vector<const CdiDevice*> found;
  const auto take = [&](auto wanted) {
    for (auto at = devices_.lower_bound(kind + "="); at != devices_.end(); ++at) {
      if (!at->first.starts_with(kind + "=")) break;
      if (wanted(at->second.device)) found.push_back(&at->second.device);
    }
  };
  if (name.empty()) {
    take([&](const CdiDevice&) { return found.empty(); });
  } else if (name == "*") {
    take([](const CdiDevice&) { return true; });
  } else {
    take([&](const CdiDevice& device) { return device.name == request; });
    if (found.empty())
      take([&](const CdiDevice& device) {
        const auto annotation = device.annotations.find(kClassAnnotation);
        return annotation != device.annotations.end() && annotation->second == name;
      });
  }
  for (const CdiDevice* device : found)
    if (!device->also_in.empty())
      throw Error(ErrorCode::invalid_input,
                  "two CDI specs describe the device " + base::quoted(device->name) + ": " +
                      base::quoted(device->also_in) + " and " + base::quoted(device->file));
  return found;
}

std::string CdiDevices::description() const {
  std::set<std::string> files;
  for (const auto& [name, entry] : devices_) files.insert(entry.device.file);
  std::string text = files.empty() ? "no CDI specs in" : "CDI specs:";
  for (const std::string& file : files) text += " " + file;
  if (files.empty())
    for (const std::filesystem::path& directory : directories_) text += " " + directory.native();
  return text;
}

std::vector<std::string> CdiDevices::names() const {
  std::vector<std::string> names;
  for (const auto& [name, entry] : devices_) names.push_back(name);
  return names;
}

}  // namespace strake::builder
