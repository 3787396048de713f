#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "builder/cli/arguments.h"
#include "layers/base/error.h"

namespace strake::cli {
namespace {

using ::testing::HasSubstr;
using Words = std::vector<std::string>;

template <typename T>
T parsed(const Words& words) {
  const auto none = [](const std::string&) -> std::optional<std::string> { return std::nullopt; };
  return std::get<T>(parse_arguments(words, none).command);
}

base::Error error_of(const Words& words) {
  try {
    parsed<HelpCommand>(words);
  } catch (const base::Error& error) {
    return error;
  }
  ADD_FAILURE() << "no Error was thrown";
  return base::Error(base::ErrorCode::system, "");
}

Words platforms(const std::vector<oci::Platform>& all) {
  Words names;
  for (const oci::Platform& platform : all) names.push_back(platform.str());
  return names;
}

TEST(PushInto, TakesPlatformsAsAListOrOneByOne) {
  const auto command = parsed<PushCommand>({"push", "app", "--into", "reg/app:1", "--require",
                                            "amd64,arm64", "--require", "linux/arm/v7"});
  EXPECT_EQ(command.into->str(), "docker.io/reg/app:1");
  EXPECT_EQ(platforms(command.required), (Words{"linux/amd64", "linux/arm64", "linux/arm/v7"}));
}

TEST(PushInto, ItsOptionsAreOfNoUseWithoutIt) {
  EXPECT_THAT(error_of({"push", "app", "--require", "amd64"}).what(), HasSubstr("--into"));
  EXPECT_THAT(error_of({"push", "app", "--platform", "amd64"}).what(), HasSubstr("--into"));
  EXPECT_THAT(error_of({"push", "a", "b", "--into", "r:1"}).what(), HasSubstr("one image"));
}

TEST(IndexCreate, TakesDockersWords) {
  const auto command = parsed<IndexCreateCommand>(
      {"buildx", "imagetools", "create", "--append", "-t", "reg.io/app:1", "--prefer-index=false",
       "--annotation", "index:a=b", "reg.io/app:amd", "reg.io/app:arm"});
  EXPECT_EQ(command.request.targets.at(0).str(), "reg.io/app:1");
  EXPECT_EQ(command.request.sources.size(), 2U);
  EXPECT_EQ(command.request.append, builder::Append::yes);
  EXPECT_EQ(command.request.single, builder::SingleSource::as_it_is);
  EXPECT_EQ(command.request.annotations.at(0).key, "a");
}

TEST(IndexCreate, FirstOperandIsTheTagWithoutOne) {
  const auto command =
      parsed<IndexCreateCommand>({"manifest", "create", "reg.io/app:1", "reg.io/app:amd"});
  EXPECT_EQ(command.request.targets.at(0).str(), "reg.io/app:1");
  EXPECT_EQ(command.request.sources.at(0).str(), "reg.io/app:amd");
}

TEST(IndexCreate, RefusesWhatMakesNoIndex) {
  EXPECT_THAT(error_of({"index", "create", "-t", "reg.io/app:1"}).what(), HasSubstr("no image"));
  EXPECT_THAT(error_of({"index", "create"}).what(), HasSubstr("--tag"));
  EXPECT_THAT(error_of({"index", "create", "--dry-run"}).what(), HasSubstr("no image"));
  EXPECT_THAT(error_of({"index", "nothing"}).what(), HasSubstr("index nothing"));
}

TEST(IndexRemove, TakesPlatformsAndDigests) {
  const auto command = parsed<IndexRemoveCommand>({"index", "rm", "reg.io/app:1", "linux/arm64"});
  EXPECT_EQ(command.entries, Words{"linux/arm64"});
  EXPECT_THROW(parsed<IndexRemoveCommand>({"index", "rm", "reg.io/app:1", "sha256:12"}),
               base::Error);
}

TEST(Copy, OptionsOfRegistriesAreRefusedElsewhere) {
  EXPECT_THAT(error_of({"copy", "--all-tags", "a", "oci:b"}).what(), HasSubstr("--all-tags"));
  EXPECT_THAT(error_of({"copy", "--referrers", "a", "oci:b"}).what(), HasSubstr("--referrers"));
  EXPECT_TRUE(parsed<CopyCommand>({"copy", "--referrers", "a", "b"}).referrers);
}

TEST(Delete, WantsATagOrADigest) {
  EXPECT_THAT(error_of({"delete", "reg.io:5000/app"}).what(), HasSubstr("neither"));
  EXPECT_EQ(parsed<DeleteCommand>({"delete", "reg.io:5000/app:latest"}).names.size(), 1U);
}

TEST(Attach, FilesMayHaveMediaTypes) {
  const auto command = parsed<AttachCommand>({"attach", "app", "a.json:application/json", "./dir/b",
                                              "--artifact-type", "x/y", "-a", "k=v"});
  EXPECT_EQ(command.files.at(0).path, "a.json");
  EXPECT_EQ(command.files.at(0).media_type, "application/json");
  EXPECT_EQ(command.files.at(1).path, "./dir/b");
  EXPECT_EQ(command.annotations.at("k"), "v");
  EXPECT_THAT(error_of({"attach", "app", "f"}).what(), HasSubstr("--artifact-type"));
}

TEST(BuildAnnotation, IsForTheManifestUnlessItSaysOtherwise) {
  const auto command = parsed<BuildCommand>({"build", ".", "--platform", "amd64,arm64",
                                             "--annotation", "a=1", "--annotation", "index:b=2"});
  ASSERT_EQ(command.request.annotations.size(), 2U);
  EXPECT_EQ(command.request.annotations[0].place, builder::AnnotationPlace::manifest);
  EXPECT_EQ(command.request.annotations[1].place, builder::AnnotationPlace::index);
  EXPECT_THAT(error_of({"build", ".", "--annotation", "index:a=1"}).what(), HasSubstr("has none"));
}

}  // namespace
}  // namespace strake::cli
