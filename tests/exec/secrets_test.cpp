#include "builder/exec/secrets.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "layers/base/error.h"
#include "tests/exec/exec_support.h"

namespace strake::builder {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

std::string failure_of(const std::function<void()>& act) {
  try {
    act();
  } catch (const base::Error& error) {
    return std::string(error.what()) + error.hint();
  }
  return "no error";
}

TEST(SecretsOfABuild, ComeFromFilesAndVariables) {
  Tree tree;
  tree.file("token", std::string("a\0b\n", 4));
  const std::vector<SecretSource> sources = {{"file", std::nullopt, tree.path() / "token"},
                                             {"value", "v", {}}};
  Secrets secrets(sources);
  ASSERT_NE(secrets.find("file"), nullptr);
  EXPECT_EQ(*secrets.find("file"), std::string("a\0b\n", 4));
  EXPECT_EQ(*secrets.find("value"), "v");
  EXPECT_EQ(secrets.find("other"), nullptr);
  EXPECT_THAT(secrets.ids(), ElementsAre("file", "value"));
}

TEST(SecretsOfABuild, TheLastOfOneIdCounts) {
  const std::vector<SecretSource> sources = {{"a", "1", {}}, {"a", "2", {}}};
  EXPECT_EQ(*Secrets(sources).find("a"), "2");
}

// Each step of a build sees the same, whatever becomes of the file; a pipe can be read only once.
TEST(SecretsOfABuild, AreReadOnce) {
  Tree tree;
  tree.file("token", "first");
  const std::vector<SecretSource> sources = {{"a", std::nullopt, tree.path() / "token"}};
  Secrets secrets(sources);
  const std::string* found = secrets.find("a");
  tree.file("token", "second");
  EXPECT_EQ(secrets.find("a"), found);
  EXPECT_EQ(*found, "first");

  base::Pipe pipe = base::make_pipe();
  ASSERT_EQ(::write(pipe.write_end.get(), "piped", 5), 5);
  pipe.write_end.reset();
  const std::string path = "/dev/fd/" + std::to_string(pipe.read_end.get());
  const std::vector<SecretSource> piped = {{"p", std::nullopt, path}};
  Secrets once(piped);
  EXPECT_EQ(*once.find("p"), "piped");
  EXPECT_EQ(*once.find("p"), "piped");
}

TEST(SecretsOfABuild, FilesThatAreNotThereAreFoundBeforeAnythingIsBuilt) {
  const std::vector<SecretSource> sources = {{"a", std::nullopt, "/nowhere/token"}};
  EXPECT_THAT(failure_of([&] { Secrets secrets(sources); }), HasSubstr("/nowhere/token"));
}

// E04: as large as docker takes them, and no larger.
TEST(SecretsOfABuild, HaveALimit) {
  Tree tree;
  tree.file("full", std::string(kMaxSecretBytes, 'x'))
      .file("over", std::string(kMaxSecretBytes + 1, 'x'));
  const std::vector<SecretSource> sources = {{"full", std::nullopt, tree.path() / "full"},
                                             {"over", std::nullopt, tree.path() / "over"},
                                             {"value", std::string(kMaxSecretBytes + 1, 'x'), {}}};
  Secrets secrets(sources);
  EXPECT_EQ(secrets.find("full")->size(), kMaxSecretBytes);
  EXPECT_THAT(failure_of([&] { secrets.find("over"); }), HasSubstr("over"));
  EXPECT_THAT(failure_of([&] { secrets.find("value"); }), HasSubstr("500 KiB"));
}

// E01: a message is read by more people than the secret may be.
TEST(SecretsOfABuild, MessagesDoNotShowThem) {
  Tree tree;
  tree.directory("directory");
  const std::vector<SecretSource> sources = {
      {"a", std::nullopt, tree.path() / "directory"},
      {"value", "hush" + std::string(kMaxSecretBytes, 'x'), {}}};
  Secrets secrets(sources);
  EXPECT_THAT(failure_of([&] { secrets.find("value"); }), Not(HasSubstr("hush")));
  EXPECT_THAT(failure_of([&] { secrets.find("a"); }), HasSubstr("directory"));
}

}  // namespace
}  // namespace strake::builder
