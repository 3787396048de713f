#include "builder/context/git_source.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "layers/base/files.h"
#include "tests/archive/run_tool.h"
#include "tests/base/expect_error.h"
#include "tests/support/http_server.h"

namespace strake::builder {
namespace {

using dockerfile::parse_git_url;

namespace fs = std::filesystem;
using base::ErrorCode;
using base::expect_error;
using testing::HasSubstr;
using testing::Not;

constexpr std::int64_t kCommitTime = 1'600'000'000;

std::string read(const fs::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

mode_t mode_of(const fs::path& path) {
  struct ::stat status {};
  ::lstat(path.c_str(), &status);
  return status.st_mode & 07777;
}

std::int64_t mtime_of(const fs::path& path) {
  struct ::stat status {};
  ::lstat(path.c_str(), &status);
  return status.st_mtim.tv_sec;
}

/// Repositories made by the real git in a scratch directory, and what is checked out of them.
class GitSourceTest : public testing::Test {
 protected:
  void SetUp() override {
    if (test::run_tool("git version", "").status != 0) GTEST_SKIP() << "git is not installed";
    repository_ = make_repository("r.git");
    write("README", "one\n");
    write("sub/f", "f\n");
    write("run.sh", "#!/bin/sh\n");
    fs::permissions(repository_ / "run.sh", fs::perms::owner_all);
    fs::create_symlink("README", repository_ / "link");
    commit();
    git("tag v1");
    git("tag -a -m annotated annotated");
    write("README", "two\n");
    commit();
    git("checkout -q -b dev");
    write("README", "dev\n");
    commit();
    git("checkout -q main");
  }

  fs::path make_repository(const std::string& name) {
    const fs::path path = directory_.path() / name;
    git("init -q -b main '" + path.native() + "'", directory_.path());
    return path;
  }
  std::string git(const std::string& arguments, const fs::path& where) {
    const test::ToolResult result = test::run_tool(
        "cd '" + where.native() +
            "' && env HOME=/nonexistent GIT_CONFIG_NOSYSTEM=1"
            " GIT_AUTHOR_DATE='1600000000 +0000' GIT_COMMITTER_DATE='1600000000 +0000'"
            " git -c user.name=t -c user.email=t@example.org -c protocol.file.allow=always " +
            arguments,
        "");
    EXPECT_EQ(result.status, 0) << arguments << ": " << result.output;
    return result.output.substr(0, result.output.find('\n'));
  }
  std::string git(const std::string& arguments) { return git(arguments, repository_); }
  void write(const std::string& name, const std::string& text) {
    fs::create_directories((repository_ / name).parent_path());
    std::ofstream(repository_ / name) << text;
  }
  void commit() {
    git("add -A");
    git("commit -q -m c");
  }
  std::string commit_of(const std::string& ref) { return git("rev-parse " + ref + "^{commit}"); }

  GitUrl url(const std::string& rest = "") {
    return *parse_git_url("file://" + repository_.native() + rest);
  }
  fs::path fresh_work() {
    const fs::path work = directory_.path() / ("work" + std::to_string(++works_));
    fs::create_directory(work);
    return work;
  }
  GitRevision resolve(const GitUrl& wanted) {
    return resolve_git(wanted, access_, fresh_work(), {});
  }
  GitTree check_out(const GitUrl& wanted, GitDirectory keep = GitDirectory::remove) {
    const fs::path work = fresh_work();
    return checkout_git(wanted, resolve_git(wanted, access_, work, {}), keep, access_, work, {});
  }

  base::TempDirectory directory_{"/tmp", "strake-git-"};
  fs::path repository_;
  SourceAccess access_;
  int works_ = 0;
};

TEST_F(GitSourceTest, ResolvesBranchesTagsAndCommits) {
  EXPECT_EQ(resolve(url()).commit, commit_of("main"));
  EXPECT_EQ(resolve(url("#dev")).commit, commit_of("dev"));
  EXPECT_EQ(resolve(url("#dev")).ref, "refs/heads/dev");
  EXPECT_EQ(resolve(url("#v1")).commit, commit_of("v1"));
  EXPECT_EQ(resolve(url("?tag=v1")).ref, "refs/tags/v1");
  EXPECT_EQ(resolve(url("#annotated")).commit, commit_of("annotated"));
  EXPECT_EQ(resolve(url("#annotated")).tag_object, git("rev-parse annotated"));
  EXPECT_EQ(resolve(url("#" + commit_of("v1"))).commit, commit_of("v1"));
  EXPECT_EQ(resolve(url("#refs/heads/dev")).commit, commit_of("dev"));
}

TEST_F(GitSourceTest, PrefersABranchToATagOfThatName) {
  git("tag dev v1");
  EXPECT_EQ(resolve(url("#dev")).commit, commit_of("refs/heads/dev"));
  EXPECT_EQ(resolve(url("?tag=dev")).commit, commit_of("v1"));
}

TEST_F(GitSourceTest, SaysThatThereIsNoSuchRef) {
  const std::string message = expect_error(ErrorCode::not_found, [&] { resolve(url("#nosuch")); });
  EXPECT_THAT(message, HasSubstr("\"nosuch\""));
  expect_error(ErrorCode::not_found, [&] { resolve(url("?tag=dev")); });
  expect_error(ErrorCode::not_found, [&] { resolve(url("#ev")); });
}

TEST_F(GitSourceTest, SaysThatThereIsNoSuchRepository) {
  const GitUrl gone = *parse_git_url("file:///nonexistent/r.git");
  expect_error(ErrorCode::not_found, [&] { resolve(gone); });
  repository_ = make_repository("empty.git");
  EXPECT_THAT(expect_error(ErrorCode::not_found, [&] { resolve(url()); }), HasSubstr("is empty"));
}

TEST_F(GitSourceTest, ChecksTheChecksum) {
  const std::string main = commit_of("main");
  EXPECT_EQ(resolve(url("?branch=main&checksum=" + main)).commit, main);
  EXPECT_EQ(resolve(url("?branch=main&checksum=" + main.substr(0, 8))).commit, main);
  const std::string message =
      expect_error(ErrorCode::corrupt, [&] { resolve(url("?branch=dev&checksum=" + main)); });
  EXPECT_THAT(message, HasSubstr(main));
  EXPECT_THAT(message, HasSubstr(commit_of("dev")));
  EXPECT_EQ(resolve(url("?tag=annotated&checksum=" + git("rev-parse annotated"))).commit,
            commit_of("v1"));
  const std::string v1 = commit_of("v1");
  EXPECT_EQ(resolve(url("?ref=gone&fetch-by-commit&commit=" + v1)).commit, v1);
}

TEST_F(GitSourceTest, ChecksOutFilesThatLookTheSameEverywhere) {
  const mode_t umask_before = ::umask(0077);
  const GitTree tree = check_out(url("#v1"));
  ::umask(umask_before);
  EXPECT_EQ(read(tree.directory / "README"), "one\n");
  EXPECT_EQ(tree.commit, commit_of("v1"));
  EXPECT_EQ(tree.commit_time, kCommitTime);
  EXPECT_FALSE(fs::exists(tree.directory / ".git"));
  EXPECT_EQ(mode_of(tree.directory / "README"), 0644U);
  EXPECT_EQ(mode_of(tree.directory / "run.sh"), 0755U);
  EXPECT_EQ(mode_of(tree.directory / "sub"), 0755U);
  EXPECT_EQ(mode_of(tree.directory), 0755U);
  EXPECT_EQ(fs::read_symlink(tree.directory / "link"), "README");
  for (const char* name : {"", "README", "sub", "sub/f", "link"})
    EXPECT_EQ(mtime_of(tree.directory / name), kCommitTime) << name;
}

TEST_F(GitSourceTest, CanKeepTheTimesOfTheCheckout) {
  EXPECT_GT(mtime_of(check_out(url("?mtime=checkout")).directory / "README"), kCommitTime);
}

TEST_F(GitSourceTest, ChecksOutACommitThatNoRefNames) {
  const std::string commit = commit_of("main~1");
  EXPECT_EQ(read(check_out(url("#" + commit)).directory / "README"), "one\n");
}

TEST_F(GitSourceTest, FetchesTheWholeHistoryFromAServerOfPlainFiles) {
  // Such servers give neither single commits nor shallow histories.
  git("update-server-info");
  const support::HttpServer server([&](const support::ServerRequest& request) {
    const fs::path file = repository_ / (".git" + request.path().substr(6));  // "/r.git…"
    if (!fs::is_regular_file(file)) return support::ServerResponse{.status = 404};
    return support::ServerResponse{.body = read(file)};
  });
  const GitTree old = check_out(*parse_git_url(server.url("/r.git#" + commit_of("v1"))));
  EXPECT_EQ(read(old.directory / "README"), "one\n");
  const GitTree branch = check_out(*parse_git_url(server.url("/r.git#dev:sub")));
  EXPECT_EQ(read(branch.directory / "f"), "f\n");
}

TEST_F(GitSourceTest, SaysThatThereIsNoSuchCommit) {
  const std::string unknown(40, '1');
  EXPECT_THROW(check_out(url("#" + unknown)), base::Error);
}

TEST_F(GitSourceTest, GivesASubdirectory) {
  const GitTree tree = check_out(url("#v1:sub"));
  EXPECT_EQ(read(tree.directory / "f"), "f\n");
  EXPECT_EQ(check_out(url("#v1:/")).directory.filename(), "tree");
  EXPECT_EQ(check_out(url("#v1:./sub/")).directory.filename(), "sub");
}

// Case C10: a repository chooses neither what is run nor what is read.
TEST_F(GitSourceTest, KeepsSubdirectoriesInsideTheTree) {
  fs::create_symlink("/etc", repository_ / "absolute");
  fs::create_symlink("../../../../../../etc", repository_ / "relative");
  fs::create_symlink("sub", repository_ / "inside");
  commit();
  for (const char* subdir : {"absolute", "relative", "../../../../etc", "none", "README"})
    EXPECT_THAT(
        expect_error(ErrorCode::not_found, [&] { check_out(url(std::string("#main:") + subdir)); }),
        HasSubstr("has no directory"))
        << subdir;
  const GitTree tree = check_out(url("#main:inside"));
  EXPECT_EQ(tree.directory.filename(), "sub");
}

TEST_F(GitSourceTest, KeepsAGitDirectoryThatWorks) {
  const GitTree tree = check_out(url("#annotated"), GitDirectory::keep);
  ASSERT_TRUE(fs::is_directory(tree.directory / ".git"));
  EXPECT_EQ(git("rev-parse HEAD", tree.directory), commit_of("v1"));
  EXPECT_EQ(git("describe", tree.directory), "annotated");
  EXPECT_EQ(git("remote get-url origin", tree.directory), url().remote);
  EXPECT_EQ(git("status --porcelain", tree.directory), "");
  EXPECT_FALSE(fs::exists(check_out(url("#v1:sub"), GitDirectory::keep).directory / ".git"));
}

TEST_F(GitSourceTest, BringsSubmodules) {
  const fs::path outer = repository_;
  const fs::path inner = make_repository("inner.git");
  repository_ = inner;
  write("inside", "i\n");
  commit();
  repository_ = outer;
  git("submodule --quiet add '" + inner.native() + "' mod");
  commit();
  const GitTree tree = check_out(url());
  EXPECT_EQ(read(tree.directory / "mod/inside"), "i\n");
  EXPECT_FALSE(fs::exists(tree.directory / "mod/.git"));
  EXPECT_EQ(mtime_of(tree.directory / "mod"), kCommitTime);
  EXPECT_FALSE(fs::exists(check_out(url("?submodules=false")).directory / "mod/inside"));

  fs::rename(inner, directory_.path() / "moved.git");
  expect_error(ErrorCode::not_found, [&] { check_out(url()); });
}

TEST_F(GitSourceTest, RefusesSubmodulesThatEscape) {
  for (const char* target : {"ext::touch /tmp/strake-pwned", "--upload-pack=touch x", "-x"}) {
    write(".gitmodules", "[submodule \"m\"]\n\tpath = m\n\turl = " + std::string(target) + "\n");
    git("add .gitmodules");
    git("update-index --add --cacheinfo 160000," + commit_of("v1") + ",m");
    git("commit -q -m m");
    EXPECT_THROW(check_out(url()), base::Error) << target;
  }
  EXPECT_FALSE(fs::exists("/tmp/strake-pwned"));
}

TEST_F(GitSourceTest, RunsNoHooksAndReadsNoConfigurationOfTheUser) {
  const fs::path home = directory_.path() / "home";
  fs::create_directories(home / "hooks");
  const fs::path trace = directory_.path() / "ran";
  std::ofstream(home / "hooks/post-checkout") << "#!/bin/sh\ntouch " << trace << "\n";
  fs::permissions(home / "hooks/post-checkout", fs::perms::owner_all);
  std::ofstream(home / ".gitconfig")
      << "[core]\n\thooksPath = " << (home / "hooks").native()
      << "\n[url \"file:///nonexistent/\"]\n\tinsteadOf = file:///\n";
  const char* before = ::getenv("HOME");
  ::setenv("HOME", home.c_str(), 1);
  check_out(url());
  if (before != nullptr) ::setenv("HOME", before, 1);
  EXPECT_FALSE(fs::exists(trace));
}

TEST_F(GitSourceTest, ShowsNoCredentialsInCommandLinesAndKeepsThemToTheirOrigin) {
  const support::HttpServer other(
      [](const support::ServerRequest&) { return support::ServerResponse{.status = 404}; });
  const support::HttpServer server([&](const support::ServerRequest&) {
    return support::ServerResponse{.status = 302,
                                   .headers = {{"Location", other.url("/r.git/info/refs")}}};
  });
  // A git that tells how it was called.
  const fs::path bin = directory_.path() / "bin";
  fs::create_directory(bin);
  const fs::path calls = directory_.path() / "calls";
  std::ofstream(bin / "git") << "#!/bin/sh\necho \"$@\" >> " << calls
                             << "\nPATH=" << ::getenv("PATH") << " exec git \"$@\"\n";
  fs::permissions(bin / "git", fs::perms::owner_all);
  const std::string path = ::getenv("PATH");
  ::setenv("PATH", (bin.native() + ":" + path).c_str(), 1);
  access_.secret = [](std::string_view id) -> std::optional<std::string> {
    return id == "GIT_AUTH_TOKEN" ? std::optional<std::string>("t0ps3cret") : std::nullopt;
  };
  EXPECT_THROW(resolve(*parse_git_url("http://ana:pw0rd@" + server.host() + "/r.git#main")),
               base::Error);
  ::setenv("PATH", path.c_str(), 1);
  ASSERT_FALSE(server.requests().empty());
  EXPECT_EQ(server.requests().front().header("Authorization"),
            "Basic eC1hY2Nlc3MtdG9rZW46dDBwczNjcmV0");
  EXPECT_TRUE(other.requests().empty());
  EXPECT_THAT(read(calls), HasSubstr("ls-remote"));
  EXPECT_THAT(read(calls), Not(HasSubstr("t0ps3cret")));
  EXPECT_THAT(read(calls), Not(HasSubstr("eC1h")));
  EXPECT_THAT(read(calls), Not(HasSubstr("pw0rd")));
}

TEST_F(GitSourceTest, AsksForATokenWhereOneIsNeeded) {
  const support::HttpServer server([](const support::ServerRequest&) {
    return support::ServerResponse{.status = 401,
                                   .headers = {{"WWW-Authenticate", "Basic realm=\"r\""}}};
  });
  try {
    resolve(*parse_git_url(server.url("/r.git")));
    FAIL();
  } catch (const base::Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::denied) << error.what();
    EXPECT_THAT(error.hint(), HasSubstr("GIT_AUTH_TOKEN"));
  }
}

TEST_F(GitSourceTest, GivesSshOnlyTheAgentAndKnownHosts) {
  const fs::path bin = directory_.path() / "bin";
  fs::create_directory(bin);
  const fs::path calls = directory_.path() / "calls";
  std::ofstream(bin / "ssh") << "#!/bin/sh\necho \"$@ agent=$SSH_AUTH_SOCK\" >> " << calls
                             << "\necho 'Host key verification failed.' >&2\nexit 255\n";
  fs::permissions(bin / "ssh", fs::perms::owner_all);
  const std::string path = ::getenv("PATH");
  ::setenv("PATH", (bin.native() + ":" + path).c_str(), 1);
  access_.ssh_auth_sock = "/run/agent.sock";
  access_.known_hosts = "example.com ssh-ed25519 AAAA\n";
  try {
    resolve(*parse_git_url("git@example.com:a/r.git#main"));
    ADD_FAILURE();
  } catch (const base::Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::denied) << error.what();
    EXPECT_THAT(error.what(), HasSubstr("Host key verification failed"));
    EXPECT_THAT(error.hint(), HasSubstr("known_hosts"));
  }
  ::setenv("PATH", path.c_str(), 1);
  const std::string call = read(calls);
  for (const char* option :
       {"-F /dev/null", "BatchMode=yes", "StrictHostKeyChecking=yes", "IdentityFile=none",
        "/known_hosts", "agent=/run/agent.sock", "git-upload-pack 'a/r.git'"})
    EXPECT_THAT(call, HasSubstr(option));
}

TEST_F(GitSourceTest, SaysThatGitIsMissing) {
  const std::string path = ::getenv("PATH");
  ::setenv("PATH", "/nonexistent", 1);
  try {
    resolve(url());
    ADD_FAILURE();
  } catch (const base::Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::unsupported) << error.what();
    EXPECT_THAT(error.hint(), HasSubstr("apt-get install git"));
  }
  ::setenv("PATH", path.c_str(), 1);
}

}  // namespace
}  // namespace strake::builder
