#include "builder/context/named_context.h"

#include <gtest/gtest.h>

#include "layers/base/error.h"

namespace strake::builder {
namespace {

using Kind = NamedContext::Kind;

TEST(NamedContextParse, TellsThePlaceByItsForm) {
  struct Row {
    const char* text;
    const char* name;
    Kind kind;
    const char* value;
  };
  const Row rows[] = {
      {"extra=dir/a", "extra", Kind::directory, "dir/a"},
      {"extra=/srv/a=b", "extra", Kind::directory, "/srv/a=b"},
      {"alpine:latest=docker-image://busybox:1", "alpine", Kind::image, "busybox:1"},
      {"docker.io/library/alpine:3=docker-image://scratch", "alpine:3", Kind::image, "scratch"},
      {"ghcr.io/a/b=oci-layout://dir:tag", "ghcr.io/a/b", Kind::oci_layout, "dir:tag"},
      {"st=target:other", "st", Kind::target, "other"},
      {"src=https://h/r.git#main", "src", Kind::git, "https://h/r.git#main"},
      {"src=github.com/a/b", "src", Kind::git, "github.com/a/b"},
      {"file=https://h/x", "file", Kind::http, "https://h/x"},
  };
  for (const Row& row : rows) {
    const NamedContext context = parse_named_context(row.text);
    EXPECT_EQ(context.name, row.name) << row.text;
    EXPECT_EQ(context.kind, row.kind) << row.text;
    EXPECT_EQ(context.value, row.value) << row.text;
    EXPECT_FALSE(context.platform) << row.text;
  }
}

TEST(NamedContextParse, KnowsContextsOfOnePlatform) {
  const NamedContext context = parse_named_context("base::linux/arm64=dir");
  EXPECT_EQ(context.name, "base");
  ASSERT_TRUE(context.platform);
  EXPECT_EQ(context.platform->str(), "linux/arm64");
}

TEST(NamedContextParse, RefusesWhatHasNoNameOrPlace) {
  for (const char* text : {"", "dir", "=dir", "name=", "Upper=dir", "a b=dir", "x=docker-image://"})
    EXPECT_THROW(parse_named_context(text), base::Error) << text;
}

TEST(ContextName, IsNormalised) {
  EXPECT_EQ(context_name("docker.io/library/golang:latest"), "golang");
  EXPECT_EQ(context_name("golang:1.22"), "golang:1.22");
  EXPECT_EQ(context_name("localhost:5000/x"), "localhost:5000/x");
  EXPECT_EQ(context_name("UPPER"), std::nullopt);
}

}  // namespace
}  // namespace strake::builder
