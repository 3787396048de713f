#pragma once

#include <sys/types.h>

#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace strake::builder {

/// A device node of a CDI spec ("deviceNodes").
struct CdiNode {
  std::string path;                                     // in the step
  std::string host_path;                                // `path`, if the spec has none
  char type = 0;                                        // 'b', 'c', 'p'; 0: whatever the host's is
  std::optional<std::pair<unsigned, unsigned>> number;  // major and minor
  std::optional<mode_t> mode;
  std::optional<uid_t> uid;
  std::optional<gid_t> gid;
};

struct CdiMount {
  std::string host_path, container_path;
  std::string type;  // "": a bind
  std::vector<std::string> options;
};

/// What having a device changes for a command ("containerEdits"). Paths are absolute.
struct CdiEdits {
  std::vector<std::string> env;  // "NAME=value"
  std::vector<CdiNode> nodes;
  std::vector<CdiMount> mounts;
  std::vector<gid_t> groups;
  std::vector<std::string> unknown;  // the names of others: "hooks", "intelRdt"
};

struct CdiDevice {
  std::string name;                                // "vendor.com/class=name"
  std::map<std::string, std::string> annotations;  // of the spec and the device
  std::shared_ptr<const CdiEdits> common;          // shared by the devices of a spec: made once
  CdiEdits own;
  std::string file;     // of the spec
  std::string also_in;  // another spec of equal rank that has this name; "": there is none
};

/// The devices of one spec file, JSON or YAML, in its order. Throws Error(invalid_input) with
/// `file` and the line for what is malformed, and for paths that are not absolute.
/// Spec: Container Device Interface, "CDI JSON Specification".
std::vector<CdiDevice> parse_cdi_spec(const std::string& text, const std::string& file);

/// The devices that this machine describes in CDI spec files (*.json, *.yaml).
class CdiDevices {
 public:
  CdiDevices() = default;
  /// Reads all specs of `directories`; those of later ones win. A directory that is not there is
  /// fine. Throws what parse_cdi_spec() throws, and Error for what cannot be read.
  explicit CdiDevices(const std::vector<std::filesystem::path>& directories);

  /// What a request means: "vendor.com/class=name" that device, else all that the annotation
  /// org.mobyproject.buildkit.device.class gives that name; "vendor.com/class=*" all of the kind;
  /// "vendor.com/class" the first one by name. Sorted. Throws Error(invalid_input) for a request
  /// of another form, and for a device that two specs of one directory describe.
  std::vector<const CdiDevice*> find(const std::string& request) const;

  /// Where find() looked and what there is, as a line for the user.
  std::string description() const;
  std::vector<std::string> names() const;

 private:
  void add(std::vector<CdiDevice> devices, std::size_t rank);

  struct Ranked {
    CdiDevice device;
    std::size_t rank;
  };
  std::vector<std::filesystem::path> directories_;
  std::map<std::string, Ranked> devices_;  // by name
};

}  // namespace strake::builder
