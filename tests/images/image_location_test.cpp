#include "builder/images/image_location.h"

#include <gtest/gtest.h>

#include "layers/base/error.h"

namespace strake::builder {
namespace {

using Kind = ImageLocation::Kind;

TEST(ImageLocation, IsANameOfARegistryUnlessItSaysOtherwise) {
  EXPECT_EQ(parse_location("alpine:3"), (ImageLocation{Kind::registry, "", "alpine:3"}));
  EXPECT_EQ(parse_location("docker://a/b:1"), (ImageLocation{Kind::registry, "", "a/b:1"}));
  EXPECT_EQ(parse_location("store:app"), (ImageLocation{Kind::store, "", "app"}));
}

TEST(ImageLocation, LayoutsHaveTagsOrDigestsBehindTheirLastComponent) {
  EXPECT_EQ(parse_location("oci:dir"), (ImageLocation{Kind::layout, "dir", ""}));
  EXPECT_EQ(parse_location("oci:/a:b/dir:v1"), (ImageLocation{Kind::layout, "/a:b/dir", "v1"}));
  EXPECT_EQ(parse_location("oci-layout://dir@sha256:12"),
            (ImageLocation{Kind::layout, "dir", "sha256:12"}));
  EXPECT_EQ(parse_location("oci-archive:./x.tar:1"),
            (ImageLocation{Kind::oci_archive, "./x.tar", "1"}));
}

TEST(ImageLocation, DockerArchivesHaveWholeNames) {
  EXPECT_EQ(parse_location("docker-archive:/t/x.tar:reg:5000/a/b:1"),
            (ImageLocation{Kind::docker_archive, "/t/x.tar", "reg:5000/a/b:1"}));
}

TEST(ImageLocation, RefusesWhatNamesNothing) {
  for (const char* text : {"oci:", "oci-archive::tag", "store:", "docker://", "docker-daemon:app",
                           "containers-storage:app", "dir:/x"})
    EXPECT_THROW(parse_location(text), base::Error) << text;
}

}  // namespace
}  // namespace strake::builder
