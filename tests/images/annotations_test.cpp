#include "builder/output/annotations.h"

#include <gtest/gtest.h>

#include "layers/base/error.h"

namespace strake::builder {
namespace {

using Place = AnnotationPlace;
using Annotations = std::vector<Annotation>;

Annotations parsed(std::string_view text) {
  return parse_annotations(text, Place::manifest);
}

TEST(Annotations, AreForTheUsualPlaceUnlessTheySayOtherwise) {
  EXPECT_EQ(parsed("org.example=a=b"), (Annotations{{Place::manifest, {}, "org.example", "a=b"}}));
  EXPECT_EQ(parsed("index:k=v"), (Annotations{{Place::index, {}, "k", "v"}}));
  EXPECT_EQ(parsed("index-descriptor:k="), (Annotations{{Place::index_descriptor, {}, "k", ""}}));
}

TEST(Annotations, CanBeForSeveralPlacesAndOnePlatform) {
  EXPECT_EQ(
      parsed("index,manifest-descriptor[linux/arm/v7]:k=v"),
      (Annotations{{Place::index, {}, "k", "v"},
                   {Place::manifest_descriptor, oci::Platform{"linux", "arm", "v7"}, "k", "v"}}));
}

TEST(Annotations, KeysMayHaveColons) {
  EXPECT_EQ(parsed("org.example:x=v")[0].key, "org.example:x");
  EXPECT_EQ(parsed("k=http://x")[0].value, "http://x");
}

TEST(Annotations, RefusesWhatIsNoPlace) {
  for (const char* text : {"indx:k=v", "k", "index:=v", "=v", "index[linux/amd64]:k=v",
                           "manifest[linux/amd64:k=v", "manifest,:k=v"})
    EXPECT_THROW(parsed(text), base::Error) << text;
}

TEST(Annotations, ChosenByPlaceAndPlatform) {
  const oci::Platform arm{"linux", "arm64", ""}, amd{"linux", "amd64", ""};
  const Annotations all{{Place::manifest, {}, "a", "1"},
                        {Place::manifest, arm, "a", "2"},
                        {Place::index, {}, "b", "3"}};
  EXPECT_EQ(annotations_at(all, Place::manifest, amd),
            (std::map<std::string, std::string>{{"a", "1"}}));
  EXPECT_EQ(annotations_at(all, Place::manifest, arm),
            (std::map<std::string, std::string>{{"a", "2"}}));
  EXPECT_EQ(annotations_at(all, Place::index).size(), 1U);
}

}  // namespace
}  // namespace strake::builder
