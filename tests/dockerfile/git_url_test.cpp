#include "builder/dockerfile/git_url.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "layers/base/error.h"

namespace strake::dockerfile {
namespace {

using testing::HasSubstr;

GitUrl parsed(std::string_view word) {
  const std::optional<GitUrl> url = parse_git_url(word);
  EXPECT_TRUE(url) << word;
  return url.value_or(GitUrl());
}

/// What parsing throws; "" if nothing.
std::string refusal(std::string_view word) {
  try {
    parse_git_url(word);
    return "";
  } catch (const base::Error& error) {
    EXPECT_EQ(error.code(), base::ErrorCode::invalid_input) << word;
    return error.what();
  }
}

// Rule 47: a path that ends in .git, the schemes git and ssh, and user@host:path are git.
TEST(GitUrlParse, TakesTheFormsThatAreGit) {
  struct Row {
    const char* word;
    GitTransport transport;
    const char* remote;
    const char* host;
  };
  const Row rows[] = {
      {"https://example.com/a/b.git", GitTransport::https, "https://example.com/a/b.git",
       "example.com"},
      {"HTTPS://example.com/b.git", GitTransport::https, "https://example.com/b.git",
       "example.com"},
      {"http://127.0.0.1:8080/b.git", GitTransport::http, "http://127.0.0.1:8080/b.git",
       "127.0.0.1:8080"},
      {"https://example.com/b%2Egit", GitTransport::https, "https://example.com/b%2Egit",
       "example.com"},
      {"git://example.com/b", GitTransport::git, "git://example.com/b", "example.com"},
      {"ssh://git@example.com:22/b", GitTransport::ssh, "ssh://git@example.com:22/b",
       "example.com:22"},
      {"git@example.com:a/b.git", GitTransport::ssh, "git@example.com:a/b.git", "example.com"},
      {"deploy_2@host:/srv/b", GitTransport::ssh, "deploy_2@host:/srv/b", "host"},
      {"file:///srv/b.git", GitTransport::file, "file:///srv/b.git", ""},
  };
  for (const Row& row : rows) {
    const GitUrl url = parsed(row.word);
    EXPECT_EQ(url.transport, row.transport) << row.word;
    EXPECT_EQ(url.remote, row.remote) << row.word;
    EXPECT_EQ(url.host, row.host) << row.word;
    EXPECT_EQ(url.ref, "") << row.word;
  }
}

TEST(GitUrlParse, LeavesOtherWordsAlone) {
  for (const char* word :
       {"", "dir", "./dir.git", "../x@y:z", "/srv/b.git", "https://example.com/b.tar.gz",
        "https://example.com/b.git/raw", "https://example.com/x?y=b.git", "ftp://example.com/b.git",
        "ext::sh -c id", "ext://sh", "host:path", "c:/dir", "a/b@c:d", "@host:x", "user@:x",
        "github.com/a/b", "user@host/x:y"})
    EXPECT_FALSE(parse_git_url(word)) << word;
}

TEST(GitUrlParse, ReadsRefAndSubdirFromTheFragment) {
  const GitUrl url = parsed("https://example.com/b.git#feature/x:docs/api");
  EXPECT_EQ(url.ref, "feature/x");
  EXPECT_EQ(url.subdir, "docs/api");
  EXPECT_EQ(url.remote, "https://example.com/b.git");
  EXPECT_EQ(parsed("https://example.com/b.git#:sub").subdir, "sub");
  EXPECT_EQ(parsed("https://example.com/b.git#:sub").ref, "");
  EXPECT_EQ(parsed("git@example.com:b.git#v1:sub").ref, "v1");
  EXPECT_EQ(parsed("git://example.com/b#%62ranch").ref, "branch");
}

TEST(GitUrlParse, ReadsTheQuery) {
  const std::string commit(40, 'a');
  const GitUrl url = parsed("https://example.com/b.git?tag=v1&subdir=d&commit=" + commit +
                            "&submodules=false&keep-git-dir&mtime=checkout&fetch-by-commit=1");
  EXPECT_EQ(url.ref, "refs/tags/v1");
  EXPECT_EQ(url.subdir, "d");
  EXPECT_EQ(url.checksum, commit);
  EXPECT_EQ(url.submodules, false);
  EXPECT_EQ(url.keep_git_dir, true);
  EXPECT_EQ(url.mtime, GitMtime::checkout);
  EXPECT_TRUE(url.fetch_by_commit);
  EXPECT_EQ(url.remote, "https://example.com/b.git");
  EXPECT_EQ(parsed("https://example.com/b.git?branch=dev").ref, "refs/heads/dev");
  EXPECT_EQ(parsed("https://example.com/b.git?branch=refs/heads/dev").ref, "refs/heads/dev");
  EXPECT_EQ(parsed("https://example.com/b.git?ref=v1#v1:d").ref, "v1");
  EXPECT_EQ(parsed("https://example.com/b.git?checksum=ABCDEF1").checksum, "abcdef1");
  EXPECT_EQ(parsed("https://example.com/b.git?checksum=abcdef1").ref, "abcdef1");
  EXPECT_EQ(parsed("git@example.com:b.git?ref=v2").ref, "v2");
}

TEST(GitUrlParse, KeepsCredentialsOutOfTheRemote) {
  const GitUrl url = parsed("https://ana:s%40cret@example.com/b.git");
  EXPECT_EQ(url.remote, "https://example.com/b.git");
  EXPECT_EQ(url.userinfo, "ana:s@cret");
  EXPECT_EQ(url.host, "example.com");
  EXPECT_EQ(parsed("ssh://git:pw@example.com/b").remote, "ssh://git@example.com/b");
}

TEST(GitUrlParse, RefusesQueriesThatMakeNoSense) {
  const std::string base = "https://example.com/b.git";
  EXPECT_THAT(refusal(base + "?brnch=x"), HasSubstr("do not know: \"brnch\""));
  EXPECT_THAT(refusal(base + "?ref="), HasSubstr("no value for \"ref\""));
  EXPECT_THAT(refusal(base + "?ref=a&ref=b"), HasSubstr("\"ref\" twice"));
  EXPECT_THAT(refusal(base + "?ref=a#b"), HasSubstr("two refs: \"b\" and \"a\""));
  EXPECT_THAT(refusal(base + "?subdir=a#:b"), HasSubstr("two subdirs"));
  EXPECT_THAT(refusal(base + "?tag=a&branch=a"), HasSubstr("both a tag and a branch"));
  EXPECT_THAT(refusal(base + "?tag=a#b"), HasSubstr("two refs"));
  EXPECT_THAT(refusal(base + "?submodules=maybe"), HasSubstr("neither true nor false"));
  EXPECT_THAT(refusal(base + "?checksum=xyz"), HasSubstr("no commit: \"xyz\""));
  EXPECT_THAT(refusal(base + "?fetch-by-commit"), HasSubstr("whole name of a commit"));
  EXPECT_THAT(refusal(base + "?mtime=now"), HasSubstr("mtime"));
  EXPECT_THAT(refusal(base + "?ref=%zz"), HasSubstr("percent"));
}

TEST(GitUrlParse, RefusesWhatGitCouldTakeForAnOption) {
  for (const char* ref :
       {"--upload-pack=touch%20x", "-x", "a..b", "a%20b", "a^b", "a~1", "a*", "a?b", "x.lock", "/a",
        "a/", "@{u}", "+main", "%0Aid", "a%5C", "a//b", ".a", "a/.b", "%5Babc"}) {
    const std::string text = std::string("https://example.com/b.git?ref=") +
                             (std::string(ref) == "+main" ? "%2Bmain" : ref);
    EXPECT_THAT(refusal(text), HasSubstr("malformed ref")) << ref;
  }
  EXPECT_THAT(refusal("ssh://-oProxyCommand=id/x"), HasSubstr("begins with \"-\""));
  EXPECT_THAT(refusal("ssh://-x@host/x"), HasSubstr("begins with \"-\""));
  EXPECT_THAT(refusal("-x@host:path"), HasSubstr("begins with \"-\""));
  EXPECT_THAT(refusal("git@-x:path"), HasSubstr("begins with \"-\""));
  EXPECT_THAT(refusal("git:///x"), HasSubstr("no host"));
  EXPECT_THAT(refusal("git://h/a b"), HasSubstr("white space"));
}

TEST(GitUrlParse, ShowsNoSecretInAMessage) {
  const std::string message = refusal("https://ana:sesame@example.com/b.git?ref=");
  EXPECT_THAT(message, testing::Not(HasSubstr("sesame")));
  EXPECT_THAT(message, HasSubstr("example.com/b.git"));
}

TEST(GitContextParse, TakesGitHubNamesToo) {
  const std::optional<GitUrl> url = parse_git_context("github.com/owner/repo#main:sub");
  ASSERT_TRUE(url);
  EXPECT_EQ(url->remote, "https://github.com/owner/repo");
  EXPECT_EQ(url->ref, "main");
  EXPECT_EQ(url->subdir, "sub");
  EXPECT_FALSE(parse_git_context("gitlab.com/owner/repo"));
}

TEST(CommitName, IsFortyOrSixtyFourDigits) {
  EXPECT_TRUE(is_commit_name(std::string(40, '0')));
  EXPECT_TRUE(is_commit_name(std::string(64, 'f')));
  EXPECT_FALSE(is_commit_name(std::string(41, '0')));
  EXPECT_FALSE(is_commit_name(std::string(40, 'F')));
  EXPECT_FALSE(is_commit_name(""));
}

}  // namespace
}  // namespace strake::dockerfile
