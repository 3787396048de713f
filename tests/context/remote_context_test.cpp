#include "builder/context/remote_context.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "layers/blob_store.h"
#include "layers/store.h"
#include "tests/archive/run_tool.h"
#include "tests/base/expect_error.h"
#include "tests/context/web_fixture.h"
#include "tests/support/fake_transport.h"
#include "tests/support/tar_builder.h"

namespace strake::builder {
namespace {

using dockerfile::is_commit_name;
using dockerfile::parse_git_url;

namespace fs = std::filesystem;
using base::ErrorCode;
using base::expect_error;
using support::FakeTransport;
using support::ServerRequest;
using support::ServerResponse;
using test::TarBuilder;

std::string read(const fs::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

class RemoteContextTest : public testing::Test {
 protected:
  OpenedContext open(const std::string& operand, std::string standard_input = "") {
    return opener_.open(operand, std::make_unique<base::StringSource>(std::move(standard_input)),
                        {});
  }
  void serve(const std::string& content) { web_.serve("https://h", file_server(content, "\"e\"")); }

  base::TempDirectory directory_{"/tmp", "strake-context-"};
  layers::Store store_ = layers::Store::open(directory_.path() / "store");
  layers::BlobStore blobs_{store_};
  FakeTransport web_;
  HttpFiles files_{web_, store_, blobs_, hasty()};
  ContextOpener opener_{.store = store_, .blobs = blobs_, .http = files_, .access = {}};
};

TEST_F(RemoteContextTest, TakesADirectoryAsItIs) {
  const OpenedContext context = open(directory_.path().native());
  EXPECT_EQ(context.directory, directory_.path());
  EXPECT_TRUE(context.apply_ignore_file);
  EXPECT_FALSE(context.owned);
  expect_error(ErrorCode::not_found, [&] { open("/nonexistent"); });
  EXPECT_TRUE(fs::exists(directory_.path()));
}

TEST_F(RemoteContextTest, TakesADockerfileFromStdin) {
  const OpenedContext context = open("-", "FROM scratch\n");
  EXPECT_EQ(context.dockerfile_text, "FROM scratch\n");
  EXPECT_TRUE(fs::is_empty(context.directory));
}

TEST_F(RemoteContextTest, TakesAnArchiveFromStdinAndForgetsIt) {
  fs::path directory;
  {
    const OpenedContext context =
        open("-", TarBuilder().file("Dockerfile", "FROM scratch\n").file("d/f", "x").str());
    directory = context.directory;
    EXPECT_FALSE(context.dockerfile_text);
    EXPECT_FALSE(context.apply_ignore_file);
    EXPECT_EQ(read(context.directory / "d/f"), "x");
  }
  EXPECT_FALSE(fs::exists(directory));
}

TEST_F(RemoteContextTest, RefusesAnEmptyOrDamagedStdin) {
  expect_error(ErrorCode::invalid_input, [&] { open("-", ""); });
  expect_error(ErrorCode::corrupt,
               [&] { open("-", TarBuilder().file("f", "x").str().substr(0, 700)); });
}

TEST_F(RemoteContextTest, TellsAnArchiveFromADockerfileByUrl) {
  serve("FROM scratch\n");
  EXPECT_EQ(open("https://h/x").dockerfile_text, "FROM scratch\n");
  const test::ToolResult packed =
      test::run_tool("gzip -c", TarBuilder().file("Dockerfile", "FROM a\n").str());
  serve(packed.output);
  const OpenedContext context = open("https://h/y");
  EXPECT_FALSE(context.dockerfile_text);
  EXPECT_EQ(read(context.directory / "Dockerfile"), "FROM a\n");
}

TEST_F(RemoteContextTest, SendsTheTokenOfTheHost) {
  serve("FROM scratch\n");
  opener_.access.secret = [](std::string_view id) -> std::optional<std::string> {
    return id == "HTTP_AUTH_TOKEN_h" ? std::optional<std::string>("tok-en") : std::nullopt;
  };
  open("https://h/x");
  EXPECT_EQ(web_.requests().front().header("Authorization"), "Bearer tok-en");
}

TEST_F(RemoteContextTest, GivesANamedUrlAsOneFile) {
  const std::string tar = TarBuilder().file("f", "x").str();
  serve(tar);
  const OpenedContext context = opener_.open(parse_named_context("n=https://h/x.tar"), {});
  EXPECT_EQ(read(context.directory / "context"), tar);
}

TEST_F(RemoteContextTest, KnowsImagesFromDirectories) {
  expect_error(ErrorCode::unsupported,
               [&] { opener_.open(parse_named_context("n=docker-image://x"), {}); });
  expect_error(ErrorCode::not_found,
               [&] { opener_.open(parse_named_context("n=/nonexistent"), {}); });
}

TEST_F(RemoteContextTest, ChecksOutAGitRepository) {
  if (test::run_tool("git version", "").status != 0) GTEST_SKIP() << "git is not installed";
  const std::string repository = (directory_.path() / "r.git").native();
  ASSERT_EQ(test::run_tool("git init -q -b main " + repository + " && cd " + repository +
                               " && echo FROM scratch > Dockerfile && git add -A && git"
                               " -c user.name=t -c user.email=t@example.org commit -q -m c",
                           "")
                .status,
            0);
  const OpenedContext context = opener_.open_git(*parse_git_url("file://" + repository), true, {});
  EXPECT_EQ(read(context.directory / "Dockerfile"), "FROM scratch\n");
  EXPECT_TRUE(fs::is_directory(context.directory / ".git"));
  EXPECT_TRUE(is_commit_name(context.commit));
  EXPECT_TRUE(context.commit_time);
  EXPECT_FALSE(context.apply_ignore_file);
}

}  // namespace
}  // namespace strake::builder
