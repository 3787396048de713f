// The shape of the project, held by a test: who may include whom, where third-party libraries are
// met, and which calls nobody makes. The tables below are the rules; a file that needs an exception
// gets a line there, with its reason.

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "tests/support/cpp_source.h"

namespace strake {
namespace {

namespace fs = std::filesystem;
using tests::code_only;
using tests::Include;
using tests::includes_of;
using tests::Qualifier;

const fs::path kRoot = STRAKE_SOURCE_DIR;

// ---- Arrows ----------------------------------------------------------------------------------

/// A package, where it lives, and the packages it may include besides itself.
struct Package {
  std::string name;
  std::string path_prefix;  // the longest one that fits a path decides
  std::set<std::string> may_use;
};

const std::vector<Package>& packages() {
  static const std::set<std::string> kAll = {"base",       "oci",     "layers", "cache", "registry",
                                             "dockerfile", "sandbox", "plan",   "check", "builder"};
  static const std::set<std::string> kAllAndImages = [] {
    std::set<std::string> all = kAll;
    all.insert("images");
    return all;
  }();
  static const std::vector<Package> kPackages = {
      {"base", "layers/base/", {}},
      {"oci", "layers/oci/", {"base"}},
      {"layers", "layers/", {"oci", "base"}},
      {"cache", "cache/", {"oci", "base"}},
      {"registry", "registry/", {"oci", "base"}},
      {"dockerfile", "builder/dockerfile/", {"base"}},
      {"sandbox", "builder/sandbox/", {"base"}},
      {"plan", "builder/plan/", {"dockerfile", "oci", "base"}},
      {"check", "builder/check/", {"plan", "dockerfile", "oci", "base"}},
      {"builder", "builder/context/", kAll},
      {"builder", "builder/exec/", kAll},
      {"builder", "builder/output/", kAll},
      {"images", "builder/images/", {"oci", "base", "layers", "registry", "builder"}},
      {"executable", "builder/", kAllAndImages},  // main.cpp and cli/
  };
  return kPackages;
}

const Package* package_of(std::string_view path) {
  const Package* best = nullptr;
  for (const Package& package : packages())
    if (path.starts_with(package.path_prefix) &&
        (best == nullptr || package.path_prefix.size() > best->path_prefix.size()))
      best = &package;
  return best;
}

// ---- Third-party headers ---------------------------------------------------------------------

/// Headers that begin with `header` may be included by the .cpp files whose path begins with one of
/// `files`, and by no header.
struct ThirdParty {
  std::string header;
  std::vector<std::string> files;
};

const std::vector<ThirdParty> kThirdParty = {
    {"openssl/", {"layers/base/digest.cpp"}},
    {"archive.h", {"layers/archive/tar_"}},
    {"archive_entry.h", {"layers/archive/tar_"}},
    {"libdeflate.h", {"layers/archive/gzip"}},
    {"isa-l", {"layers/archive/gzip", "layers/archive/gunzip"}},
    {"zstd", {"layers/archive/zstd"}},
    {"bzlib.h", {"layers/archive/"}},
    {"lzma.h", {"layers/archive/"}},
    {"curl/", {"registry/curl_transport.cpp"}},
    // The files that own a JSON format.
    {"nlohmann/json.hpp",
     {"layers/oci/", "layers/layer_record.cpp", "layers/image_layout.cpp", "layers/image_store.cpp",
      "layers/docker_archive.cpp", "cache/record_format.cpp", "registry/", "builder/output/",
      "builder/exec/", "builder/images/", "builder/cli/"}},
    // Settings, compose files, and what vendors of devices write.
    {"toml++/", {"registry/registries_conf.cpp"}},
    {"yaml-cpp/", {"builder/cli/settings", "builder/cli/compose", "builder/exec/cdi.cpp"}},
    {"CLI/", {"builder/cli/arguments.cpp", "builder/cli/option_set.cpp"}},
    {"seccomp.h", {"builder/sandbox/"}},
    {"sys/capability.h", {"builder/sandbox/"}},
};

/// The one third-party header that may be in ours: it declares names and includes nothing.
constexpr std::string_view kForwardDeclarations = "nlohmann/json_fwd.hpp";

/// Headers of the C++ library have no dot; these are the kernel's and the C library's.
bool is_system_header(std::string_view header) {
  static constexpr std::array<std::string_view, 5> kFolders = {"sys/", "linux/", "net/", "netinet/",
                                                               "arpa/"};
  static const std::set<std::string_view> kNames = {
      "dirent.h",  "dlfcn.h",   "elf.h",     "endian.h", "errno.h",  "fcntl.h",
      "fnmatch.h", "grp.h",     "limits.h",  "link.h",   "locale.h", "mntent.h",
      "netdb.h",   "poll.h",    "pthread.h", "pwd.h",    "sched.h",  "signal.h",
      "spawn.h",   "stddef.h",  "stdint.h",  "stdio.h",  "stdlib.h", "string.h",
      "syslog.h",  "termios.h", "time.h",    "unistd.h", "wchar.h",  "langinfo.h"};
  if (header.find('.') == std::string_view::npos && header.find('/') == std::string_view::npos)
    return true;
  return kNames.contains(header) || std::ranges::any_of(kFolders, [&](std::string_view folder) {
           return header.starts_with(folder);
         });
}

// ---- Names -----------------------------------------------------------------------------------

struct Exception {
  std::string path_prefix;
  std::string reason;
};

/// `names` (empty: all but `except`) with one of `qualifiers` may only be used in `allowed` files.
struct Forbidden {
  std::string why;
  std::set<Qualifier> qualifiers;
  std::set<std::string_view> names;
  std::set<std::string_view> except = {};
  std::vector<std::string> only_in = {};  // path prefixes the rule is about; empty: all
  std::vector<Exception> allowed = {};
};

const std::vector<Forbidden> kForbidden = {
    {.why = "a threaded process has one environment, one directory and one strerror buffer",
     .qualifiers = {Qualifier::none, Qualifier::global, Qualifier::std_},
     .names = {"setenv", "putenv", "unsetenv", "clearenv", "chdir", "fchdir", "system", "popen",
               "strerror"},
     .allowed = {{"builder/sandbox/sandbox_child.cpp", "alone in its process, after clone"},
                 {"builder/sandbox/probes.cpp", "alone in its process, after fork"},
                 {"builder/sandbox/owners/step_thread.cpp", "a thread that unshared its directory"},
                 {"layers/snapshot/mount_stack.cpp", "a thread that unshared its directory"}}},
    {.why =
         "steps run in the sandbox; a program of this machine is started where that is the purpose",
     .qualifiers = {Qualifier::none, Qualifier::global, Qualifier::std_},
     .names = {"posix_spawn", "posix_spawnp", "execv", "execve", "execvp", "execvpe", "execl",
               "execle", "execlp", "fexecve", "execveat", "fork", "vfork"},
     .allowed = {{"builder/sandbox/", "the sandbox itself, and probes of what it may do"},
                 {"builder/context/host_program.cpp", "git, which fetches sources"},
                 {"registry/spawn.cpp", "credential helpers, and the courier that outlives us"}}},
    {.why = "follows symlinks that others may have made; use RootedDirectory or base/files",
     .qualifiers = {Qualifier::filesystem},
     .names = {"remove_all", "canonical", "weakly_canonical", "copy", "copy_file", "permissions",
               "rename", "create_symlink", "create_directory_symlink", "create_hard_link",
               "read_symlink", "recursive_directory_iterator"},
     .allowed = {{"builder/cli/", "paths that the user typed"},
                 {"registry/credentials.cpp", "the user's own file, often a symlink"}}},
    {.why = "trees here are foreign; RootedDirectory is the only way to touch them",
     .qualifiers = {Qualifier::filesystem},
     .names = {},
     .except = {"path"},
     .only_in = {"layers/snapshot/", "builder/exec/copy_"}},
    {.why = "resolves paths outside the root; use RootedDirectory",
     .qualifiers = {Qualifier::none, Qualifier::global, Qualifier::std_},
     .names = {"realpath", "chmod", "chown", "lchown", "fchownat", "fchmodat"},
     .allowed = {{"layers/base/", "wraps these calls"},
                 {"layers/snapshot/", "one name in an open directory, or trees of our store"},
                 {"builder/sandbox/", "the child's own root, by descriptors"}}},
    {.why = "trees here are foreign; use RootedDirectory",
     .qualifiers = {Qualifier::global},
     .names = {"open", "rename", "unlink", "mkdir", "symlink", "link", "mknod", "rmdir"},
     .only_in = {"layers/archive/", "layers/snapshot/", "builder/exec/", "builder/output/"},
     .allowed = {{"builder/exec/image_run.cpp", "paths that the user typed"},
                 {"layers/snapshot/layer_tree.cpp", "a tree of ours in the making, 0700"},
                 {"layers/snapshot/layer_writer.cpp", "an archive of ours in the making, 0600"},
                 {"layers/snapshot/mount_stack.cpp", "trees and mount points of our own store"},
                 {"layers/snapshot/copied_roots.cpp", "directories of our own store"},
                 {"layers/snapshot/root_tree.cpp", "directories of our own store"},
                 {"builder/exec/agent_proxy.cpp", "a fresh directory of ours, in our own store"},
                 {"builder/exec/cache_mounts.cpp", "directories of our own store, 0700"},
                 {"builder/exec/step_runner.cpp", "the upper directory, in our own store"},
                 {"builder/exec/run_command.cpp", "the upper directory, in our own store"},
                 {"builder/exec/transfer_images.cpp", "the user's archive; a tree of ours, empty"},
                 {"builder/output/", "the file or directory that the user named"}}},
};

// ---- Reading the sources ---------------------------------------------------------------------

constexpr std::array<std::string_view, 4> kSourceFolders = {"layers", "cache", "registry",
                                                            "builder"};

struct Source {
  std::string path;  // from the project's root
  std::string text;
  bool is_header() const { return path.ends_with(".h"); }
};

std::string read(const fs::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

const std::vector<Source>& sources() {
  static const std::vector<Source> kSources = [] {
    std::vector<Source> all;
    for (const std::string_view folder : kSourceFolders)
      for (const auto& entry : fs::recursive_directory_iterator(kRoot / folder))
        if (entry.path().extension() == ".h" || entry.path().extension() == ".cpp")
          all.push_back({entry.path().lexically_relative(kRoot).native(), read(entry.path())});
    std::ranges::sort(all, {}, &Source::path);
    return all;
  }();
  return kSources;
}

/// The lines of `code` that break `rule`.
std::vector<int> lines_against(const Forbidden& rule, std::string_view code) {
  std::vector<int> broken;
  int number = 0;
  for (const std::string_view line : tests::lines_of(code))
    for (const tests::Use& use : tests::uses_in(line, ++number))
      if (rule.qualifiers.contains(use.qualifier) &&
          (rule.names.empty() ? !rule.except.contains(use.name) : rule.names.contains(use.name)))
        broken.push_back(use.line);
  return broken;
}

bool begins_with_any(std::string_view path, const std::vector<std::string>& prefixes) {
  return std::ranges::any_of(prefixes,
                             [&](const std::string& prefix) { return path.starts_with(prefix); });
}

std::string at_line(const Source& source, int line) {
  return source.path + ":" + std::to_string(line) + ": ";
}

/// What is wrong with an include, "" if nothing.
std::string fault_of(const Source& source, const Include& include) {
  const std::string& header = include.header;
  const Package* user = package_of(source.path);
  if (include.quoted) {
    const Package* used = package_of(header);
    if (used == nullptr) return "\"" + header + "\" is not written from the project's root";
    if (used->name == user->name || user->may_use.contains(used->name)) return "";
    return user->name + " must not know " + used->name + " (\"" + header + "\")";
  }
  if (header == kForwardDeclarations) return "";
  for (const ThirdParty& library : kThirdParty) {
    if (!header.starts_with(library.header)) continue;
    if (source.is_header()) return "<" + header + "> in a header: wrap it";
    if (begins_with_any(source.path, library.files)) return "";
    return "<" + header + "> belongs into " + library.files.front() + "…";
  }
  return is_system_header(header) ? "" : "<" + header + "> is not known here: add it to a table";
}

// ---- The rules -------------------------------------------------------------------------------

TEST(Architecture, FindsTheSources) {
  EXPECT_GT(sources().size(), 30U);
  for (const Source& source : sources()) EXPECT_NE(package_of(source.path), nullptr) << source.path;
}

TEST(Architecture, IncludesFollowTheArrows) {
  for (const Source& source : sources())
    for (const Include& include : includes_of(source.text))
      EXPECT_EQ(fault_of(source, include), "") << at_line(source, include.line);
}

TEST(Architecture, HeadersAreGuardedAndNamespaced) {
  for (const Source& source : sources()) {
    // What runs as process 1 of a step is no part of the program.
    if (!source.is_header() || source.path.starts_with("builder/sandbox/init/")) continue;
    EXPECT_NE(source.text.find("#pragma once\n"), std::string::npos) << source.path;
    EXPECT_NE(source.text.find("\nnamespace strake"), std::string::npos) << source.path;
    EXPECT_EQ(source.text.find("\nusing namespace"), std::string::npos) << source.path;
  }
}

TEST(Architecture, NobodyUsesWhatIsForbidden) {
  for (const Source& source : sources()) {
    const std::string code = code_only(source.text);
    for (const Forbidden& rule : kForbidden) {
      if (!rule.only_in.empty() && !begins_with_any(source.path, rule.only_in)) continue;
      if (std::ranges::any_of(rule.allowed, [&](const Exception& exception) {
            return source.path.starts_with(exception.path_prefix);
          }))
        continue;
      for (const int line : lines_against(rule, code))
        ADD_FAILURE() << at_line(source, line) << rule.why;
    }
  }
}

TEST(Architecture, EachExceptionIsAboutSomethingThatIsThere) {
  for (const Forbidden& rule : kForbidden)
    for (const Exception& exception : rule.allowed)
      EXPECT_TRUE(std::ranges::any_of(sources(), [&](const Source& source) {
        return source.path.starts_with(exception.path_prefix);
      })) << exception.path_prefix;
}

TEST(Architecture, EachPackageHasAPageAboutItself) {
  std::set<std::string> folders = {".", "tests", "examples"};
  for (const Source& source : sources()) {
    const fs::path folder = fs::path(source.path).parent_path();
    auto part = folder.begin();
    fs::path package = *part++;
    folders.insert(package);
    // What is nested more deeply is told by its package's page.
    if (part != folder.end()) folders.insert(package / *part);
  }
  for (const std::string& folder : folders)
    EXPECT_TRUE(fs::is_regular_file(kRoot / folder / "README.md")) << folder << " has no README.md";
}

// ---- The rules can fail ----------------------------------------------------------------------

std::string fault(std::string path, std::string_view line) {
  const std::vector<Include> includes = includes_of(line);
  return includes.empty() ? "no include" : fault_of({std::move(path), {}}, includes.front());
}

TEST(ArchitectureRules, RefuseArrowsThatGoUpOrSideways) {
  EXPECT_EQ(fault("cache/a.cpp", "#include \"layers/base/fd.h\""), "");
  EXPECT_EQ(fault("cache/a.cpp", "#include \"layers/store.h\""),
            "cache must not know layers (\"layers/store.h\")");
  EXPECT_NE(fault("layers/base/a.h", "#include \"layers/oci/reference.h\""), "");
  EXPECT_NE(fault("builder/plan/a.h", "#include \"builder/exec/build.h\""), "");
  EXPECT_NE(fault("builder/exec/a.h", "#include \"builder/cli/progress.h\""), "");
  EXPECT_NE(fault("builder/sandbox/a.h", "  #  include \"layers/oci/reference.h\""), "");
  EXPECT_NE(fault("cache/a.cpp", "#include \"cache_key.h\""), "");
}

TEST(ArchitectureRules, RefuseThirdPartyHeadersOutsideTheirFile) {
  EXPECT_EQ(fault("registry/curl_transport.cpp", "#include <curl/curl.h>"), "");
  EXPECT_NE(fault("registry/client.cpp", "#include <curl/curl.h>"), "");
  EXPECT_NE(fault("registry/curl_transport.h", "#include <curl/curl.h>"), "");
  EXPECT_NE(fault("layers/oci/json.h", "#include <nlohmann/json.hpp>"), "");
  EXPECT_EQ(fault("layers/oci/json.h", "#include <nlohmann/json_fwd.hpp>"), "");
  EXPECT_NE(fault("cache/a.cpp", "#include <sys/capability.h>"), "");
  EXPECT_EQ(fault("cache/a.cpp", "#include <sys/stat.h>"), "");
  EXPECT_EQ(fault("cache/a.cpp", "#include <vector>"), "");
  EXPECT_NE(fault("cache/a.cpp", "#include <zlib.h>"), "");
}

TEST(ArchitectureRules, SeeCallsInCodeOnly) {
  const auto found = [](std::string_view text) {
    std::vector<std::size_t> rules;
    for (std::size_t i = 0; i < kForbidden.size(); ++i)
      if (!lines_against(kForbidden[i], code_only(text)).empty()) rules.push_back(i);
    return rules;
  };
  using Rules = std::vector<std::size_t>;
  EXPECT_EQ(found("  ::setenv(a, b, 1);"), Rules{0});
  EXPECT_EQ(found("if (system(c) != 0)"), Rules{0});
  EXPECT_EQ(found("std::strerror(errno)"), Rules{0});
  EXPECT_EQ(found("Error system_error(int e); f(system);"), Rules{});
  EXPECT_EQ(found("strerror_r(errno, b, 1); file.system(); my_system(1);"), Rules{});
  EXPECT_EQ(found("::posix_spawnp(&p, f, a, b, c, e)"), Rules{1});
  EXPECT_EQ(found("lock.fork(); refork(1);"), Rules{});
  EXPECT_EQ(found("std::filesystem::remove_all(p);"), (Rules{2, 3}));
  EXPECT_EQ(found("fs::path p;"), Rules{});
  EXPECT_EQ(found("fs::exists(p);"), Rules{3});
  EXPECT_EQ(found("::realpath(p, b)"), Rules{4});
  EXPECT_EQ(found("chmod(p, 1)"), Rules{4});
  EXPECT_EQ(found("fd(::open(p, 1))"), Rules{5});
  EXPECT_EQ(found("return ::rename(a, b);"), Rules{5});
  EXPECT_EQ(found("root.open(p, 1); open(p, 1); Store::open(p);"), Rules{});
  EXPECT_EQ(found("// ::open(a)"), Rules{});
  EXPECT_EQ(found("f(\"::open(a)\", \"\\\"\"); /* ::open(\n::open( */"), Rules{});
  EXPECT_EQ(found("R\"x(::open(a))x\""), Rules{});
  EXPECT_EQ(found("f(1'000, ::open(a), 2'000);"), Rules{5});
  EXPECT_EQ(found("f('\"', ::open(a), '\"');"), Rules{5});
}

}  // namespace
}  // namespace strake
