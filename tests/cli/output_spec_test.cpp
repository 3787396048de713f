#include "builder/cli/output_spec.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "layers/base/error.h"

namespace strake::cli {
namespace {

using Kind = builder::OutputSpec::Kind;
using testing::ElementsAre;
using testing::HasSubstr;

builder::OutputSpec only(const std::string& text) {
  const ParsedOutput parsed = parse_output(text);
  EXPECT_EQ(parsed.outputs.size(), 1U);
  return parsed.outputs.front();
}

std::string refusal(const std::string& text) {
  try {
    parse_output(text);
  } catch (const base::Error& error) {
    return std::string(error.what()) + " | " + error.hint();
  }
  return "accepted";
}

TEST(OutputSpec, ALoneWordIsADirectoryAndADashATarOnStdout) {
  EXPECT_EQ(only("out").kind, Kind::local);
  EXPECT_EQ(only("out").dest, "out");
  EXPECT_EQ(only("-").kind, Kind::tar);
  EXPECT_EQ(only("-").dest, "-");
}

TEST(OutputSpec, KnowsEveryType) {
  EXPECT_EQ(only("type=image").kind, Kind::image);
  EXPECT_EQ(only("type=registry").kind, Kind::registry);
  EXPECT_EQ(only("type=oci,dest=a.tar").kind, Kind::oci);
  EXPECT_EQ(only("type=docker,dest=a.tar").kind, Kind::docker);
  EXPECT_EQ(only("type=tar,dest=a.tar").kind, Kind::tar);
  EXPECT_EQ(only("type=local,dest=a").kind, Kind::local);
}

TEST(OutputSpec, ArchivesGoToStdoutWhenNoFileIsNamed) {
  EXPECT_EQ(only("type=oci").dest, "-");
  EXPECT_EQ(only("type=tar").dest, "-");
}

TEST(OutputSpec, OciLayoutMayBeADirectory) {
  EXPECT_TRUE(only("type=oci,tar=false,dest=layout").directory);
  EXPECT_FALSE(only("type=oci,dest=layout.tar").directory);
}

TEST(OutputSpec, PushingAnImageIsTwoOutputs) {
  const ParsedOutput parsed = parse_output("type=image,\"name=a,r.io/b:2\",push=true");
  ASSERT_EQ(parsed.outputs.size(), 2U);
  EXPECT_EQ(parsed.outputs[0].kind, Kind::image);
  EXPECT_EQ(parsed.outputs[1].kind, Kind::registry);
  ASSERT_EQ(parsed.outputs[1].names.size(), 2U);
  EXPECT_EQ(parsed.outputs[1].names[1].str(), "r.io/b:2");
}

TEST(OutputSpec, PushByDigest) {
  EXPECT_TRUE(only("type=registry,name=r.io/a,push-by-digest=true").push_by_digest);
}

TEST(OutputSpec, TakesCompressionWithItsLevel) {
  const ParsedOutput parsed = parse_output("type=oci,dest=a,compression=zstd,compression-level=22");
  EXPECT_EQ(parsed.compression, oci::Compression::zstd);
  EXPECT_EQ(parsed.compression_level, 22);
  EXPECT_EQ(parse_output("type=oci,dest=a,compression=uncompressed").compression,
            oci::Compression::none);
}

TEST(OutputSpec, RefusesWhatIsNotUnderstood) {
  EXPECT_THAT(refusal(""), HasSubstr("empty"));
  EXPECT_THAT(refusal("dest=a"), HasSubstr("has no type"));
  EXPECT_THAT(refusal("type=cacheonly"), HasSubstr("\"cacheonly\" is not known"));
  EXPECT_THAT(refusal("type=oci,dst=a"), HasSubstr("did you mean \"dest\"?"));
  EXPECT_THAT(refusal("type=oci,foo"), HasSubstr("name=value"));
  EXPECT_THAT(refusal("type=oci,annotation.a=b,dest=x"), HasSubstr("not supported"));
  EXPECT_THAT(refusal("type=oci,type=tar"), HasSubstr("given twice"));
  EXPECT_THAT(refusal("type=local"), HasSubstr("dest=DIRECTORY"));
  EXPECT_THAT(refusal("type=docker"), HasSubstr("docker load"));
  EXPECT_THAT(refusal("type=oci,tar=false"), HasSubstr("directory"));
  EXPECT_THAT(refusal("type=tar,tar=false,dest=a"), HasSubstr("belongs to type=oci"));
  EXPECT_THAT(refusal("type=image,dest=a"), HasSubstr("takes no dest"));
  EXPECT_THAT(refusal("type=oci,dest=a,push=true"), HasSubstr("belongs to type=image"));
  EXPECT_THAT(refusal("type=image,oci-mediatypes=false"), HasSubstr("oci-mediatypes=false"));
  EXPECT_THAT(refusal("type=image,push=perhaps"), HasSubstr("true or false"));
  EXPECT_THAT(refusal("type=oci,dest=a,compression=estargz"), HasSubstr("estargz"));
  EXPECT_THAT(refusal("type=oci,dest=a,compression-level=13"), HasSubstr("from 0 to 12"));
  EXPECT_THAT(refusal("type=oci,dest=a,compression=none,compression-level=1"),
              HasSubstr("no sense"));
}

TEST(SplitCsv, HonoursQuotes) {
  EXPECT_THAT(split_csv("a,\"b,c\",\"d\"\"e\","), ElementsAre("a", "b,c", "d\"e", ""));
  EXPECT_THROW(split_csv("a,\"b"), base::Error);
}

}  // namespace
}  // namespace strake::cli
