#pragma once

#include <string>
#include <string_view>

#include "layers/archive/tar_entry.h"

namespace strake::layers {

/// What the name of a tar entry says. Spec: image-spec layer.md, "Whiteouts".
struct WhiteoutName {
  enum class Kind {
    none,     // an ordinary file
    remove,   // ".wh.<target>": lower layers' <target> is gone
    opaque,   // ".wh..wh..opq": nothing of lower layers shows in this directory
    ignored,  // AUFS' own files (".wh..wh.plnk", ".wh..wh.aufs", ".wh..wh.orph")
    invalid,  // the prefix with something that names no file
  };
  Kind kind = Kind::none;
  std::string_view target = {};  // of remove; points into the name asked about
};

inline constexpr std::string_view kWhiteoutPrefix = ".wh.";
inline constexpr std::string_view kOpaqueName = ".wh..wh..opq";

/// The meaning of `name`, the last component of an entry's path.
WhiteoutName parse_whiteout(std::string_view name);

/// The name that says "`target` is gone".
std::string whiteout_name(std::string_view target);

/// The tar entry of a marker: an empty file with no permissions and no time.
TarEntry marker_entry(std::string path);

}  // namespace strake::layers
