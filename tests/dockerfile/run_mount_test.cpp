#include "builder/dockerfile/run_mount.h"

#include "tests/dockerfile/support.h"

namespace strake::dockerfile {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Optional;

/// Knows one variable.
std::string expand(std::string_view word) {
  return word == "$T" ? "/target" : std::string(word);
}

Mount resolve(std::string_view text) {
  return resolve_mount(parse_run_mount(text), expand);
}

std::string error_text(std::string_view text) {
  return error_of([&] { resolve(text); }).what();
}

TEST(RunMount, KeepsItsOptionsUnexpanded) {
  const RunMount mount = parse_run_mount("Type=cache,dst=$T,rw");
  EXPECT_EQ(mount.text, "Type=cache,dst=$T,rw");
  EXPECT_THAT(mount.options, ElementsAre(MountOption{"type", "cache"}, MountOption{"target", "$T"},
                                         MountOption{"readwrite", std::nullopt}));
}

TEST(RunMount, ReadsQuotedFields) {
  EXPECT_EQ(resolve("target=/t,\"source=/a,b\"\"c\"").source, "/a,b\"c");
  EXPECT_THAT(error_text("target=/t,\"source=/a"), HasSubstr("never closed"));
  EXPECT_THAT(error_text("target=/t,sou\"rce=/a"), HasSubstr("double quote"));
  EXPECT_THAT(error_text("\"target=/t\"x"), HasSubstr("behind a closing"));
}

TEST(RunMount, HasNoVariablesInFrom) {
  EXPECT_EQ(parse_run_mount("from=build,target=/t").from, "build");
  const base::Error error = error_of([] { parse_run_mount("from=$B,target=/t"); });
  EXPECT_THAT(error.what(), HasSubstr("does not support variables"));
  EXPECT_THAT(error.hint(), HasSubstr("FROM $B AS"));
}

TEST(Mount, DefaultsFollowTheType) {
  EXPECT_EQ(resolve("target=$T"), (Mount{.target = "/target"})) << "bind, read-only";
  EXPECT_FALSE(resolve("type=cache,target=/c").read_only);
  EXPECT_FALSE(resolve("type=tmpfs,target=/c").read_only);
  EXPECT_TRUE(resolve("type=secret,id=x").read_only);
}

TEST(Mount, HasAllOptions) {
  const Mount cache =
      resolve("type=cache,id=i,target=/c,sharing=LOCKED,from=b,source=/s,mode=0750,uid=1,gid=2,ro");
  EXPECT_EQ(cache, (Mount{.type = MountType::cache,
                          .from = "b",
                          .source = "/s",
                          .target = "/c",
                          .id = "i",
                          .read_only = true,
                          .sharing = CacheSharing::locked,
                          .mode = 0750,
                          .uid = 1,
                          .gid = 2}));
  const Mount secret = resolve("required,type=secret,id=s,env=TOKEN");
  EXPECT_TRUE(secret.required) << "whatever the order";
  EXPECT_EQ(secret.variable, "TOKEN");
  EXPECT_EQ(resolve("type=tmpfs,target=/t,size=64m").size_bytes, 64U << 20);
  EXPECT_FALSE(resolve("target=/t,rw=true").read_only);
  EXPECT_TRUE(resolve("type=ssh").read_only);
}

TEST(Mount, RefusesWhatItsTypeDoesNotHave) {
  EXPECT_THAT(error_text("type=bind,target=/x,frob=1"), HasSubstr("unexpected key \"frob\""));
  EXPECT_THAT(error_text("type=bnd,target=/x"), HasSubstr("unsupported mount type \"bnd\""));
  EXPECT_THAT(error_text("target=/x,size=1"), HasSubstr("unexpected key \"size\""));
  EXPECT_THAT(error_text("target=/x,mode=1"), HasSubstr("unexpected key \"mode\""));
  EXPECT_THAT(error_text("target=/x,sharing=shared"), HasSubstr("unexpected key \"sharing\""));
  EXPECT_THAT(error_text("type=cache,target=/x,required"),
              HasSubstr("unexpected key \"required\""));
  EXPECT_THAT(error_text("type=secret,id=a,from=b"), HasSubstr("unexpected key \"from\""));
  EXPECT_THAT(error_text("type=secret"), HasSubstr("needs one of"));
  EXPECT_THAT(error_text("type=secret,id=a,source=b"), HasSubstr("both"));
  EXPECT_THAT(error_text("type=cache,target=/x,sharing=all"), HasSubstr("sharing value \"all\""));
  EXPECT_THAT(error_text("type=cache,target=/x,mode=999"), HasSubstr("invalid value \"999\""));
  EXPECT_THAT(error_text("type=cache,target=/x,mode=10000"), HasSubstr("invalid value"));
  EXPECT_THAT(error_text("type=cache,target=/x,uid=-1"), HasSubstr("invalid value \"-1\""));
  EXPECT_THAT(error_text("target=/x,ro=yes"), HasSubstr("true or false"));
  EXPECT_THAT(error_text("target"), HasSubstr("needs a value"));
}

TEST(RunDevice, HasANameThatMayHoldAnEqualsSign) {
  EXPECT_EQ(parse_run_device("nvidia.com/gpu=all"), (RunDevice{"nvidia.com/gpu=all", false}));
  EXPECT_EQ(parse_run_device("name=x,required=true"), (RunDevice{"x", true}));
  EXPECT_THAT(error_of([] { parse_run_device("required"); }).what(), HasSubstr("needs a name"));
  EXPECT_THAT(error_of([] { parse_run_device("a,b"); }).what(), HasSubstr("unexpected \"b\""));
}

TEST(Size, HasBinarySuffixes) {
  EXPECT_EQ(parse_size("512"), 512U);
  EXPECT_EQ(parse_size("1.5k"), 1536U);
  EXPECT_EQ(parse_size("64 MiB"), 64U << 20);
  EXPECT_EQ(parse_size("2Gb"), 2ULL << 30);
  for (const char* text : {"", "k", "-1", "1x", "1 2", "nan", "inf", "9000000p"})
    EXPECT_THROW(parse_size(text), base::Error) << text;
}

}  // namespace
}  // namespace strake::dockerfile
