#include "builder/context/git_source.h"

#include <sys/stat.h>

#include <algorithm>
#include <charconv>
#include <map>
#include <optional>
#include <vector>

#include "builder/context/git_command.h"
#include "builder/dockerfile/source_url.h"
#include "builder/dockerfile/url_parts.h"
#include "layers/base/error.h"
#include "layers/base/rooted_directory.h"

namespace strake::builder {
namespace {

using dockerfile::cut;
using dockerfile::GitMtime;
using dockerfile::Halves;
using dockerfile::is_commit_name;
using dockerfile::shown_url;

using base::Error;
using base::ErrorCode;
using base::RootedDirectory;
namespace fs = std::filesystem;

constexpr const char* kPeeled = "^{}";  // ls-remote's mark of what an annotated tag leads to

/// Full ref name → object, from what ls-remote prints.
std::map<std::string, std::string> parse_refs(std::string_view text) {
  std::map<std::string, std::string> refs;
  while (!text.empty()) {
    const Halves line = cut(text, '\n');
    text = line.second;
    const Halves fields = cut(line.first, '\t');
    if (is_commit_name(fields.first)) refs.emplace(fields.second, fields.first);
  }
  return refs;
}

/// git checkout's order: branches first.
std::optional<GitRevision> find_revision(const std::map<std::string, std::string>& refs,
                                         const std::string& wanted) {
  for (const std::string& name :
       {"refs/heads/" + wanted, "refs/tags/" + wanted, "refs/" + wanted, wanted}) {
    const auto ref = refs.find(name);
    if (ref == refs.end()) continue;
    const auto peeled = refs.find(name + kPeeled);
    if (peeled == refs.end()) return GitRevision{.commit = ref->second, .ref = name};
    return GitRevision{.commit = peeled->second, .ref = name, .tag_object = ref->second};
  }
  return std::nullopt;
}

void check(const GitUrl& url, const GitRevision& revision) {
  // An annotated tag may be pinned by its own name too.
  if (revision.commit.starts_with(url.checksum) || revision.tag_object.starts_with(url.checksum))
    return;
  throw Error(ErrorCode::corrupt,
              "checksum mismatch: " + base::quoted(url.ref.empty() ? "HEAD" : url.ref) + " of " +
                  shown_url(url.remote) + " is commit " + revision.commit + ", want " +
                  url.checksum);
}

/// The work tree of one repository.
class Checkout {
 public:
  Checkout(const GitUrl& url, const GitRevision& revision, const GitCommand& git,
           const fs::path& work)
      : url_(url), revision_(revision), git_(git), tree_(work / "tree") {}

  const fs::path& tree() const noexcept { return tree_; }

  void fetch() {
    std::vector<std::string> init = {"init", "--quiet"};
    if (revision_.commit.size() == 64) init.push_back("--object-format=sha256");
    init.insert(init.end(), {"--", tree_.native()});
    git_.output("prepare a repository for", std::move(init));
    here("prepare a repository for", {"remote", "add", "--", "origin", url_.remote});
    fetch_commit();
  }

  void write_files() {
    here("check out", {"checkout", "--quiet", "--force", "--detach", revision_.commit, "--"});
  }

  void fetch_submodules() {
    const RootedDirectory root = RootedDirectory::open_host(tree_.native());
    if (!root.lstat(".gitmodules")) return;
    std::vector<std::string> update = {"submodule", "--quiet", "update", "--init", "--recursive"};
    std::vector<std::string> shallow = update;
    shallow.push_back("--depth=1");
    // Some servers give no shallow clones, or none of a commit that is no branch's.
    if (run_here(shallow).ok()) return;
    const HostProgramResult result = run_here(update);
    if (result.ok()) return;
    Error error = git_.error("fetch the submodules of", result);
    error.set_hint("leave them out: add ?submodules=false to the URL");
    throw error;
  }

  std::int64_t commit_time() {
    const std::string text = here("read", {"show", "--no-patch", "--no-show-signature",
                                           "--format=%ct", revision_.commit, "--"});
    std::int64_t seconds = 0;
    std::from_chars(text.data(), text.data() + text.size(), seconds);
    return std::max<std::int64_t>(seconds, 0);
  }

  /// So that "git describe" and "git log origin/main" work in what is kept.
  void keep_refs() {
    const std::string& ref = revision_.ref;
    constexpr std::string_view kHeads = "refs/heads/", kTags = "refs/tags/";
    if (ref.starts_with(kTags)) {
      const std::string& tag = revision_.tag_object;
      here("read", {"update-ref", ref, tag.empty() ? revision_.commit : tag});
    } else if (ref.starts_with(kHeads)) {
      here("read",
           {"update-ref", "refs/remotes/origin/" + ref.substr(kHeads.size()), revision_.commit});
    }
    RootedDirectory::open_host(tree_.native()).remove_file(".git/FETCH_HEAD");
  }

 private:
  void fetch_commit() {
    const std::string& wanted =
        revision_.tag_object.empty() ? revision_.commit : revision_.tag_object;
    std::vector<std::vector<std::string>> ways = {
        {"fetch", "--quiet", "--no-tags", "--depth=1", "--", "origin", wanted}};
    // What follows is for servers that give no commit by its name, or no shallow history.
    if (!revision_.ref.empty())
      ways.push_back({"fetch", "--quiet", "--no-tags", "--depth=1", "--", "origin", revision_.ref});
    ways.push_back(
        {"fetch", "--quiet", "--tags", "--", "origin", "+refs/heads/*:refs/remotes/origin/*"});
    std::optional<Error> refused;
    for (const std::vector<std::string>& way : ways) {
      try {
        std::vector<std::string> arguments = {"-C", tree_.native()};
        arguments.insert(arguments.end(), way.begin(), way.end());
        git_.remote_output("fetch from", arguments);
        if (run_here({"cat-file", "-e", revision_.commit + "^{commit}"}).ok()) return;
      } catch (const Error& error) {
        if (error.code() != ErrorCode::system && error.code() != ErrorCode::denied) throw;
        if (!refused) refused = error;
      }
    }
    if (refused) throw *refused;
    throw Error(ErrorCode::not_found,
                shown_url(url_.remote) + " has no commit " + revision_.commit);
  }

  HostProgramResult run_here(const std::vector<std::string>& arguments) const {
    std::vector<std::string> all = {"-C", tree_.native()};
    all.insert(all.end(), arguments.begin(), arguments.end());
    return git_.run(std::move(all));
  }

  std::string here(std::string_view what, const std::vector<std::string>& arguments) const {
    const HostProgramResult result = run_here(arguments);
    if (!result.ok()) throw git_.error(what, result);
    return result.output;
  }

  const GitUrl& url_;
  const GitRevision& revision_;
  const GitCommand& git_;
  const fs::path tree_;
};

/// Makes a tree look the same wherever it was checked out: modes, times, and no trace of git.
/// Iterative, in an order in which no directory changes after it got its time.
class TreeNormaliser {
 public:
  TreeNormaliser(const fs::path& tree, GitDirectory git_directory,
                 std::optional<std::int64_t> seconds)
      : root_(RootedDirectory::open_host(tree.native())),
        git_directory_(git_directory),
        seconds_(seconds) {}

  void run() {
    std::vector<std::string> directories = {""};
    for (std::size_t i = 0; i < directories.size(); ++i) {
      const std::string directory = directories[i];
      for (const std::string& name : root_.list(directory)) {
        const std::string path = directory.empty() ? name : directory + "/" + name;
        if (name == ".git") {
          // git checks out nothing of this name: it is its own, of the tree or of a submodule.
          if (git_directory_ == GitDirectory::remove) root_.remove_tree(path);
          continue;
        }
        const struct ::stat status = *root_.lstat(path);
        if (S_ISDIR(status.st_mode)) {
          directories.push_back(path);
        } else {
          finish(path, status, (status.st_mode & 0100) != 0 ? 0755 : 0644);
        }
      }
    }
    for (auto directory = directories.rbegin(); directory != directories.rend(); ++directory)
      finish(*directory, *root_.lstat(*directory), 0755);
  }

 private:
  void finish(const std::string& path, const struct ::stat& status, mode_t mode) {
    if (!S_ISLNK(status.st_mode) && (status.st_mode & 07777) != mode) root_.set_mode(path, mode);
    if (seconds_) root_.set_mtime(path, {.tv_sec = *seconds_, .tv_nsec = 0});
  }

  const RootedDirectory root_;
  const GitDirectory git_directory_;
  const std::optional<std::int64_t> seconds_;
};

bool names_whole_tree(std::string_view subdir) {
  return subdir.find_first_not_of("./") == subdir.npos && subdir.find("..") == subdir.npos;
}

/// Where `subdir` leads inside the tree, as seen from the tree itself: links out of it lead
/// nowhere.
fs::path subdirectory(const fs::path& tree, const GitUrl& url) {
  if (names_whole_tree(url.subdir)) return tree;
  const RootedDirectory root = RootedDirectory::open_host(tree.native());
  const std::string canonical = root.canonical(url.subdir);
  const auto status = root.stat(canonical);
  if (!status || !S_ISDIR(status->st_mode))
    throw Error(ErrorCode::not_found,
                shown_url(url.remote) + " has no directory " + base::quoted(url.subdir));
  return tree / canonical.substr(1);
}

}  // namespace

GitRevision resolve_git(const GitUrl& url, const SourceAccess& access, const fs::path& work,
                        std::stop_token stop) {
  if (url.fetch_by_commit) return {.commit = url.checksum};
  if (is_commit_name(url.ref)) {
    const GitRevision revision{.commit = url.ref};
    check(url, revision);
    return revision;
  }
  const GitCommand git(url, access, fs::absolute(work), std::move(stop));
  const std::string wanted = url.ref.empty() ? "HEAD" : url.ref;
  const std::string text =
      git.remote_output("reach", {"ls-remote", "--", url.remote, wanted, wanted + kPeeled});
  const std::optional<GitRevision> revision = find_revision(parse_refs(text), wanted);
  if (!revision) {
    if (url.ref.empty()) throw Error(ErrorCode::not_found, shown_url(url.remote) + " is empty");
    throw Error(ErrorCode::not_found,
                shown_url(url.remote) + " has no ref " + base::quoted(url.ref) + ": not found")
        .hint("name a branch, a tag, or all 40 digits of a commit");
  }
  check(url, *revision);
  return *revision;
}

GitTree checkout_git(const GitUrl& url, const GitRevision& revision, GitDirectory git_directory,
                     const SourceAccess& access, const fs::path& work, std::stop_token stop) {
  if (!names_whole_tree(url.subdir)) git_directory = GitDirectory::remove;
  const fs::path absolute = fs::absolute(work);
  const GitCommand git(url, access, absolute, std::move(stop));
  Checkout checkout(url, revision, git, absolute);
  checkout.fetch();
  checkout.write_files();
  if (url.submodules.value_or(true)) checkout.fetch_submodules();
  const std::int64_t time = checkout.commit_time();
  if (git_directory == GitDirectory::keep) checkout.keep_refs();
  TreeNormaliser(checkout.tree(), git_directory,
                 url.mtime == GitMtime::commit ? std::optional(time) : std::nullopt)
      .run();
  return {subdirectory(checkout.tree(), url), revision.commit, time};
}

}  // namespace strake::builder
