#include "layers/snapshot/whiteout.h"

#include <gtest/gtest.h>

#include "layers/snapshot/diff.h"

namespace strake::layers {
namespace {

using Kind = WhiteoutName::Kind;

TEST(Whiteout, NamesMeanWhatTheSpecSays) {
  const struct {
    const char* name;
    Kind kind;
    const char* target;
  } rows[] = {
      {"file", Kind::none, ""},
      {".wh", Kind::none, ""},
      {".whx", Kind::none, ""},
      {"x.wh.y", Kind::none, ""},
      {".wh.file", Kind::remove, "file"},
      {".wh..hidden", Kind::remove, ".hidden"},
      {".wh....", Kind::remove, "..."},
      {".wh..wh..opq", Kind::opaque, ""},
      {".wh..wh.plnk", Kind::ignored, ""},
      {".wh..wh.aufs", Kind::ignored, ""},
      {".wh..wh.orph", Kind::ignored, ""},
      {".wh.", Kind::invalid, ""},
      {".wh..", Kind::invalid, ""},
      {".wh...", Kind::invalid, ""},
  };
  for (const auto& row : rows) {
    const WhiteoutName whiteout = parse_whiteout(row.name);
    EXPECT_EQ(whiteout.kind, row.kind) << row.name;
    EXPECT_EQ(whiteout.target, row.target) << row.name;
  }
}

TEST(Whiteout, NameOfATargetIsParsedBack) {
  EXPECT_EQ(whiteout_name("a b"), ".wh.a b");
  EXPECT_EQ(parse_whiteout(whiteout_name("a b")).target, "a b");
}

TEST(PathOrder, PutsASubtreeBeforeTheNextSibling) {
  const std::vector<std::string> ordered = {"a",   "a/x",   "a/x/y", "a/x-y",
                                            "a-b", "a.txt", "ab",    "b"};
  for (std::size_t i = 0; i < ordered.size(); ++i)
    for (std::size_t j = 0; j < ordered.size(); ++j)
      EXPECT_EQ(path_before(ordered[i], ordered[j]), i < j) << ordered[i] << " " << ordered[j];
}

}  // namespace
}  // namespace strake::layers
