#include "builder/dockerfile/git_url.h"

#include <algorithm>
#include <array>
#include <vector>

#include "builder/dockerfile/source_url.h"
#include "builder/dockerfile/url_parts.h"
#include "layers/base/error.h"

namespace strake::dockerfile {
namespace {

using base::Error;
using base::ErrorCode;

constexpr std::size_t kLongestRef = 1024;
constexpr std::size_t kShortestChecksum = 7;

bool is_hex(std::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

std::optional<GitTransport> transport_of(std::string_view scheme) {
  if (scheme == "https") return GitTransport::https;
  if (scheme == "http") return GitTransport::http;
  if (scheme == "ssh") return GitTransport::ssh;
  if (scheme == "git") return GitTransport::git;
  if (scheme == "file") return GitTransport::file;
  return std::nullopt;
}

/// What git-check-ref-format refuses, and what git would take for an option. Refs are patterns to
/// ls-remote and parts of refspecs to fetch, so none of their special characters may pass.
bool is_ref(std::string_view ref) {
  if (ref.empty() || ref.size() > kLongestRef) return false;
  if (ref.front() == '-' || ref.front() == '/' || ref.front() == '.' || ref.front() == '+')
    return false;
  if (ref.back() == '/' || ref.back() == '.' || ref.ends_with(".lock")) return false;
  for (const std::string_view part : {"..", "//", "@{", "/."})
    if (ref.find(part) != ref.npos) return false;
  return std::none_of(ref.begin(), ref.end(), [](char c) {
    return static_cast<unsigned char>(c) <= ' ' || c == 0x7f ||
           std::string_view("~^:?*[\\").find(c) != std::string_view::npos;
  });
}

/// Fills a GitUrl from the parts that say what is wanted of the repository.
class Wishes {
 public:
  Wishes(std::string_view word, GitUrl& url) : word_(word), url_(url) {}

  /// "ref:subdir"
  void read_fragment(std::string_view fragment) {
    const Halves halves = cut(fragment, ':');
    url_.ref = decoded(halves.first);
    url_.subdir = decoded(halves.second);
  }

  /// "key=value&key=value"
  void read_query(std::string_view query) {
    std::string tag, branch;
    std::vector<std::string> seen;
    while (!query.empty()) {
      const Halves pair = cut(query, '&');
      query = pair.second;
      if (pair.first.empty()) continue;
      const Halves halves = cut(pair.first, '=');
      const std::string key = decoded_query(halves.first);
      if (std::find(seen.begin(), seen.end(), key) != seen.end())
        refuse("has " + base::quoted(key) + " twice");
      seen.push_back(key);
      read_pair(key, decoded_query(halves.second), tag, branch);
    }
    if (!tag.empty() && !branch.empty()) refuse("names both a tag and a branch");
    if (!tag.empty()) set_ref(prefixed("refs/tags/", tag));
    if (!branch.empty()) set_ref(prefixed("refs/heads/", branch));
  }

  void check() {
    if (!url_.checksum.empty()) {
      url_.checksum = lower_case(url_.checksum);
      if (url_.checksum.size() < kShortestChecksum || url_.checksum.size() > 64 ||
          !is_hex(url_.checksum))
        refuse("has a checksum that is no commit: " + base::quoted(url_.checksum));
      if (url_.ref.empty()) url_.ref = url_.checksum;
    }
    if (url_.fetch_by_commit && !is_commit_name(url_.checksum))
      refuse("has fetch-by-commit, but not the whole name of a commit");
    if (!url_.ref.empty() && !is_ref(url_.ref))
      refuse("has a malformed ref: " + base::quoted(url_.ref));
    if (url_.subdir.find('\0') != std::string::npos) refuse("has a malformed subdir");
  }

  [[noreturn]] void refuse(const std::string& why) const {
    throw Error(ErrorCode::invalid_input, "git URL " + shown_url(word_) + " " + why);
  }

 private:
  void read_pair(const std::string& key, const std::string& value, std::string& tag,
                 std::string& branch) {
    if (key == "submodules") {
      url_.submodules = truth(key, value);
    } else if (key == "keep-git-dir") {
      url_.keep_git_dir = truth(key, value);
    } else if (key == "fetch-by-commit") {
      url_.fetch_by_commit = truth(key, value);
    } else if (value.empty() && is_known(key)) {
      refuse("has no value for " + base::quoted(key));
    } else if (key == "ref") {
      set_ref(value);
    } else if (key == "tag") {
      tag = value;
    } else if (key == "branch") {
      branch = value;
    } else if (key == "subdir") {
      if (!url_.subdir.empty() && url_.subdir != value) differ("subdirs", url_.subdir, value);
      url_.subdir = value;
    } else if (key == "commit" || key == "checksum") {
      if (!url_.checksum.empty() && url_.checksum != value) differ("commits", url_.checksum, value);
      url_.checksum = value;
    } else if (key == "mtime") {
      if (value != "commit" && value != "checkout") refuse("has mtime=" + base::quoted(value));
      url_.mtime = value == "commit" ? GitMtime::commit : GitMtime::checkout;
    } else {
      refuse_key(key);
    }
  }

  static const std::vector<std::string>& keys() {
    static const std::vector<std::string> kKeys = {
        "branch", "checksum", "commit", "fetch-by-commit", "keep-git-dir",
        "mtime",  "ref",      "subdir", "submodules",      "tag"};
    return kKeys;
  }
  static bool is_known(const std::string& key) {
    return std::find(keys().begin(), keys().end(), key) != keys().end();
  }

  [[noreturn]] void refuse_key(const std::string& key) const {
    Error error(ErrorCode::invalid_input,
                "git URL " + shown_url(word_) +
                    " has a query that git sources do not know: " + base::quoted(key));
    if (const std::string near = base::nearest(key, keys()); !near.empty())
      error.set_hint("did you mean \"" + near + "\"?");
    throw error;
  }

  [[noreturn]] void differ(const char* what, const std::string& a, const std::string& b) const {
    refuse(std::string("names two ") + what + ": " + base::quoted(a) + " and " + base::quoted(b));
  }

  void set_ref(const std::string& ref) {
    if (!url_.ref.empty() && url_.ref != ref) differ("refs", url_.ref, ref);
    url_.ref = ref;
  }

  static std::string prefixed(std::string_view prefix, const std::string& name) {
    return name.starts_with(prefix) ? name : std::string(prefix) + name;
  }

  /// A key alone means true.
  bool truth(const std::string& key, const std::string& value) const {
    static constexpr std::array<std::string_view, 6> kTrue = {"1",    "t",    "T",
                                                              "TRUE", "true", "True"};
    static constexpr std::array<std::string_view, 6> kFalse = {"0",     "f",     "F",
                                                               "FALSE", "false", "False"};
    if (value.empty() || std::find(kTrue.begin(), kTrue.end(), value) != kTrue.end()) return true;
    if (std::find(kFalse.begin(), kFalse.end(), value) != kFalse.end()) return false;
    refuse("has " + key + "=" + base::quoted(value) + ", which is neither true nor false");
  }

  std::string decoded(std::string_view text) const {
    if (auto result = percent_decoded(text)) return *std::move(result);
    refuse("is not percent-encoded correctly");
  }
  std::string decoded_query(std::string_view text) const {
    std::string spaced(text);
    std::replace(spaced.begin(), spaced.end(), '+', ' ');
    return decoded(spaced);
  }

  std::string_view word_;
  GitUrl& url_;
};

/// "user@host:path?query#fragment"; nullopt for another form. A path that only looks alike has no
/// "@" before its first colon and slash.
std::optional<UrlParts> split_scp(std::string_view word) {
  const std::size_t at = word.find('@');
  const std::size_t colon = word.find(':');
  if (at == word.npos || colon == word.npos || at == 0 || colon < at + 2) return std::nullopt;
  const auto is_all = [](std::string_view text, std::string_view others) {
    return std::all_of(text.begin(), text.end(), [&](char c) {
      return is_letter_or_digit(c) || others.find(c) != others.npos;
    });
  };
  UrlParts parts;
  parts.scheme = "ssh";
  parts.userinfo = word.substr(0, at);
  parts.host = word.substr(at + 1, colon - at - 1);
  if (!is_all(parts.userinfo, "-_") || !is_all(parts.host, "-.")) return std::nullopt;
  split_path(word.substr(colon + 1), parts);
  return parts;
}

std::string remote_of(const UrlParts& parts, GitTransport transport) {
  std::string authority = parts.host;
  if (transport == GitTransport::ssh && !parts.userinfo.empty())
    authority = std::string(cut(parts.userinfo, ':').first) + "@" + parts.host;
  return parts.scheme + "://" + authority + parts.path;
}

GitUrl make_git_url(std::string_view word, const UrlParts& parts, GitTransport transport,
                    std::string remote) {
  GitUrl url;
  Wishes wishes(word, url);
  url.transport = transport;
  url.remote = std::move(remote);
  url.host = parts.host;
  if (transport == GitTransport::https || transport == GitTransport::http)
    url.userinfo = percent_decoded(parts.userinfo).value_or(parts.userinfo);
  const bool printable = std::none_of(url.remote.begin(), url.remote.end(), [](char c) {
    return static_cast<unsigned char>(c) <= ' ' || c == 0x7f;
  });
  if (!printable) wishes.refuse("has white space or control characters in it");
  // Programs that git starts would take it for an option.
  if (url.host.starts_with('-') || parts.userinfo.starts_with('-') || url.remote.starts_with('-'))
    wishes.refuse("has a name that begins with \"-\"");
  if (url.host.empty() && transport != GitTransport::file) wishes.refuse("names no host");
  wishes.read_fragment(parts.fragment);
  wishes.read_query(parts.query);
  wishes.check();
  return url;
}

}  // namespace

bool is_commit_name(std::string_view text) {
  return (text.size() == 40 || text.size() == 64) && is_hex(text);
}

std::optional<GitUrl> parse_git_url(std::string_view word) {
  if (const std::optional<UrlParts> parts = split_url(word)) {
    const std::optional<GitTransport> transport = transport_of(parts->scheme);
    if (!transport) return std::nullopt;
    const bool web = *transport == GitTransport::https || *transport == GitTransport::http;
    if (web && !percent_decoded(parts->path).value_or("").ends_with(".git")) return std::nullopt;
    return make_git_url(word, *parts, *transport, remote_of(*parts, *transport));
  }
  const std::optional<UrlParts> parts = split_scp(word);
  if (!parts) return std::nullopt;
  return make_git_url(word, *parts, GitTransport::ssh,
                      parts->userinfo + "@" + parts->host + ":" + parts->path);
}

std::optional<GitUrl> parse_git_context(std::string_view word) {
  if (!word.starts_with("github.com/")) return parse_git_url(word);
  const UrlParts parts = *split_url("https://" + std::string(word));
  return make_git_url(word, parts, GitTransport::https, remote_of(parts, GitTransport::https));
}

}  // namespace strake::dockerfile
