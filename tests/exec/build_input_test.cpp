// What a build reads, and what ADD takes from the network.

#include "builder/exec/build_input.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "builder/exec/fetched_source.h"
#include "layers/archive/tar_reader.h"
#include "layers/base/error.h"
#include "tests/exec/store_support.h"

namespace strake::builder {
namespace {

using testing::HasSubstr;

class Inputs : public MachineTest {
 protected:
  BuildInput& open() { return input_.emplace(request_, machine_, secrets_, std::stop_token()); }
  /// The input of a build whose Dockerfile this is.
  BuildInput& of(const std::string& dockerfile) {
    context_.file("Dockerfile", dockerfile);
    request_.context = context_.path().native();
    return open();
  }
  std::string failure_of(const std::string& dockerfile) {
    try {
      of(dockerfile);
    } catch (const base::Error& error) {
      return std::string(error.what()) + " | line " +
             (error.location() ? std::to_string(error.location()->first_line) : "?");
    }
    return "no error";
  }
  void serve(std::string content, std::string modified = "Thu, 26 Jan 2017 16:59:13 GMT") {
    http_.serve("https://host", [=](const support::ServerRequest& request) {
      support::ServerResponse response;
      response.headers = {{"Last-Modified", modified}, {"ETag", '"' + content + '"'}};
      if (request.target != "/f") {
        response.status = 404;
      } else if (request.header("If-None-Match") == '"' + content + '"') {
        response.status = 304;
      } else {
        response.body = content;
      }
      return response;
    });
  }

  Tree context_;
  BuildRequest request_;
  Secrets secrets_{std::span<const SecretSource>()};
  std::optional<BuildInput> input_;
};

TEST_F(Inputs, TheDockerfileIsOfTheContext) {
  const BuildInput& input = of("FROM scratch\nCOPY a /\n");
  EXPECT_EQ(input.file().instructions.size(), 2U);
  EXPECT_EQ(input.name(), (context_.path() / "Dockerfile").native());
  EXPECT_FALSE(input.commit_time());
}

TEST_F(Inputs, ADockerfileOfStdinIsNamedByADash) {
  request_.context = context_.path().native();
  request_.dockerfile_text = "FROM scratch\n";
  EXPECT_EQ(open().name(), "-");
}

// Docker's own frontend, from wherever, is the language that is built in.
TEST_F(Inputs, OtherFrontendsAreRefused) {
  for (const char* own :
       {"docker/dockerfile:1", "docker.io/docker/dockerfile:1.7-labs", "docker/dockerfile",
        "mirror.example:5000/docker/dockerfile-upstream:master", "docker/dockerfile@sha256:0"})
    EXPECT_EQ(failure_of("# syntax=" + std::string(own) + "\nFROM scratch\n"), "no error") << own;
  for (const char* other : {"r2d4/mocker", "evildocker/dockerfile:1", "docker/dockerfile-x",
                            "docker.io/other/dockerfile", "dockerfile"}) {
    const std::string failure = failure_of("# syntax=" + std::string(other) + "\nFROM scratch\n");
    EXPECT_THAT(failure, HasSubstr("no external frontends")) << other;
    EXPECT_THAT(failure, HasSubstr("line 1")) << other;
  }
}

TEST_F(Inputs, NamedContextsAreOpenedWhenTheyAreAskedFor) {
  Tree deps;
  deps.file("f", "of deps");
  request_.contexts = {parse_named_context("deps=" + deps.path().native()),
                       parse_named_context("absent=/nowhere/at/all")};
  BuildInput& input = of("FROM scratch\n");
  EXPECT_TRUE(input.context("deps").root().stat("f"));
  EXPECT_FALSE(input.context("").root().stat("f"));
  EXPECT_EQ(&input.context("deps"), &input.context("deps"));
  EXPECT_THROW(input.context("absent"), base::Error);
  EXPECT_THROW(input.context("absent"), base::Error);  // and again
}

TEST_F(Inputs, NamedContextsAreForThePlanner) {
  request_.contexts = {parse_named_context("dir=."),
                       parse_named_context("alpine::linux/arm64=docker-image://debian"),
                       parse_named_context("none=docker-image://scratch"),
                       parse_named_context("stage=target:other"),
                       parse_named_context("layout=oci-layout:///nowhere:v1")};
  const BuildInput& input = of("FROM scratch\n");
  const auto contexts = input.named_contexts();
  ASSERT_EQ(contexts.size(), 5U);
  EXPECT_TRUE(std::holds_alternative<plan::FileContext>(contexts.at("dir")));
  EXPECT_EQ(std::get<oci::Reference>(contexts.at("alpine::linux/arm64")).familiar(),
            "debian:latest");
  EXPECT_TRUE(std::holds_alternative<plan::EmptyContext>(contexts.at("none")));
  EXPECT_EQ(std::get<plan::StageContext>(contexts.at("stage")).stage, "other");
  // A layout goes by a name that stands for it alone.
  const plan::ImageRequest layout{std::get<oci::Reference>(contexts.at("layout")),
                                  oci::parse_platform("linux/amd64")};
  EXPECT_THROW(input.find_layout_image(layout), base::Error);
  EXPECT_FALSE(input.find_layout_image({oci::parse_reference("debian"), layout.platform}));
}

class Fetched : public Inputs {
 protected:
  static plan::FetchFile fetch(const std::string& checksum = "") {
    return {"https://host/f", checksum, "/0/f"};
  }
  std::string identity(const plan::FetchFile& file) {
    return FetchedSource(file, *input_, {}).identity();
  }
};

TEST_F(Fetched, AFileIsItsContentAndTime) {
  of("FROM scratch\n");
  serve("one");
  const std::string first = identity(fetch());
  EXPECT_EQ(identity(fetch()), first);
  serve("two");
  EXPECT_EQ(identity(fetch()), first);  // within a build it stays what it was
  open();
  const std::string second = identity(fetch());
  EXPECT_NE(second, first);
  EXPECT_FALSE(pinned_identity(fetch()));
}

TEST_F(Fetched, AChecksumTellsTheIdentityWithoutTheServer) {
  of("FROM scratch\n");
  const std::string right = base::Digest::of("one").str();
  ASSERT_TRUE(pinned_identity(fetch(right)));
  EXPECT_TRUE(http_.requests().empty());
  serve("one");
  EXPECT_EQ(identity(fetch(right)), pinned_identity(fetch(right)));
  EXPECT_THROW(identity(fetch(base::Digest::of("two").str())), base::Error);
  EXPECT_NE(pinned_identity(fetch(right)), pinned_identity(fetch(base::Digest::of("two").str())));
}

// Rule 46: 0600, and the time that the server says.
TEST_F(Fetched, AFileIsPutWithTheTimeOfTheServer) {
  of("FROM scratch\n");
  serve("content");
  FetchedSource source(fetch(), *input_, {});
  const Tree empty;
  const base::RootedDirectory below = empty.root();
  LayerDraft draft(below);
  source.put_into(draft);
  base::StringSink tar;
  layers::LayerWriter writer(store_.make_ingest("test-"),
                             {.xattrs = store_.xattr_namespace(), .also = &tar});
  draft.write(writer);
  std::move(writer).finish();
  base::StringSource bytes(tar.text);
  layers::TarReader reader(bytes);
  EXPECT_EQ(reader.next()->path, "0");
  const auto file = reader.next();
  ASSERT_TRUE(file);
  EXPECT_EQ(file->path, "0/f");
  EXPECT_EQ(file->mode, 0600U);
  EXPECT_EQ(file->mtime.tv_sec, 1485449953);
  EXPECT_EQ(file->size_bytes, 7U);
}

TEST_F(Fetched, ARepositoryIsPinnedByAWholeCommitName) {
  const std::string commit(40, 'a'), other(40, 'b');
  const auto pinned = [](const std::string& url, const std::string& checksum = "",
                         bool keep = false) {
    return pinned_identity(plan::FetchGit{url, checksum, keep, "/0"});
  };
  EXPECT_FALSE(pinned("https://h/r.git"));
  EXPECT_FALSE(pinned("https://h/r.git#main"));
  EXPECT_FALSE(pinned("https://h/r.git#main", "aaaa"));
  const auto whole = pinned("https://h/r.git#" + commit);
  ASSERT_TRUE(whole);
  EXPECT_EQ(pinned("https://h/r.git#main", commit), whole);
  EXPECT_NE(pinned("https://h/r.git#" + other), whole);
  EXPECT_NE(pinned("https://h/r.git#" + commit + ":sub"), whole);
  EXPECT_NE(pinned("https://h/r.git#" + commit, "", true), whole);
  EXPECT_EQ(pinned("https://mirror/r.git#" + commit), whole);  // a commit is the same everywhere
}

}  // namespace
}  // namespace strake::builder
