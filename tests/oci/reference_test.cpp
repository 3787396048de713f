#include "layers/oci/reference.h"

#include "tests/oci/expect_error.h"

namespace strake::oci {
namespace {

using base::ErrorCode;

const std::string kHex(64, 'a');

TEST(ParseReference, NormalizesAsDockerDoes) {
  struct Row {
    std::string text, full, familiar;
  };
  const Row rows[] = {
      {"alpine", "docker.io/library/alpine:latest", "alpine:latest"},
      {"alpine:3.20", "docker.io/library/alpine:3.20", "alpine:3.20"},
      {"library/alpine", "docker.io/library/alpine:latest", "alpine:latest"},
      {"ana/shop", "docker.io/ana/shop:latest", "ana/shop:latest"},
      {"docker.io/alpine", "docker.io/library/alpine:latest", "alpine:latest"},
      {"index.docker.io/ana/shop:1", "docker.io/ana/shop:1", "ana/shop:1"},
      {"docker.io/library/a/b", "docker.io/library/a/b:latest", "library/a/b:latest"},
      {"docker.io/my.team/app", "docker.io/my.team/app:latest", "docker.io/my.team/app:latest"},
      {"localhost", "docker.io/library/localhost:latest", "localhost:latest"},
      {"localhost/x", "localhost/x:latest", "localhost/x:latest"},
      {"localhost:5000/x", "localhost:5000/x:latest", "localhost:5000/x:latest"},
      {"localhost:5000", "docker.io/library/localhost:5000", "localhost:5000"},
      {"Registry/x", "Registry/x:latest", "Registry/x:latest"},
      {"ghcr.io/a/b/c:v1", "ghcr.io/a/b/c:v1", "ghcr.io/a/b/c:v1"},
      {"127.0.0.1:5000/a", "127.0.0.1:5000/a:latest", "127.0.0.1:5000/a:latest"},
      {"[::1]:5000/x", "[::1]:5000/x:latest", "[::1]:5000/x:latest"},
      {"[2001:db8::1]/x", "[2001:db8::1]/x:latest", "[2001:db8::1]/x:latest"},
      {"a__b/c--d.e_f", "docker.io/a__b/c--d.e_f:latest", "a__b/c--d.e_f:latest"},
      {"x:_A.b-" + std::string(122, 'c'), "docker.io/library/x:_A.b-" + std::string(122, 'c'),
       "x:_A.b-" + std::string(122, 'c')},
      {"x@sha256:" + kHex, "docker.io/library/x@sha256:" + kHex, "x@sha256:" + kHex},
      {"x:1@sha256:" + kHex, "docker.io/library/x:1@sha256:" + kHex, "x:1@sha256:" + kHex},
      {kHex + ":1", "docker.io/library/" + kHex + ":1", kHex + ":1"},
  };
  for (const Row& row : rows) {
    const Reference reference = parse_reference(row.text);
    EXPECT_EQ(reference.str(), row.full);
    EXPECT_EQ(reference.familiar(), row.familiar);
    EXPECT_EQ(parse_reference(reference.str()), reference);
    EXPECT_EQ(parse_reference(reference.familiar()), reference);
  }
}

TEST(ParseReference, TakesTheTagOnlyWhereThereIsNoDigest) {
  EXPECT_EQ(parse_reference("x@sha256:" + kHex).tag, std::nullopt);
  EXPECT_EQ(parse_reference("x").tag, "latest");
  EXPECT_EQ(parse_reference("x:1@sha256:" + kHex).tag, "1");
}

// Case B26: names that are none; also fuzz_reference.
TEST(ParseReference, RefusesWhatTheGrammarDoesNotKnow) {
  const std::string rows[] = {"",
                              "/",
                              ":",
                              "@",
                              "a//b",
                              "/a",
                              "a/",
                              "A",
                              "a/B",
                              "host.io/A/b",
                              "../x",
                              "a/../b",
                              "a..b",
                              "a._b",
                              "a___b",
                              "-a",
                              "a-",
                              ".a",
                              "a b",
                              "a\n",
                              "a\xc3\xa9",
                              std::string("a\0b", 3),
                              "a:",
                              "a:b:c",
                              "a:-b",
                              "a:.b",
                              "a:b/c",
                              "a:" + std::string(129, 'x'),
                              "@sha256:" + kHex,
                              "a@",
                              "a@sha256:",
                              "a@sha256:" + kHex + "a",
                              "a@sha256:" + std::string(64, 'A'),
                              "a@md5:" + kHex,
                              "a@sha256:" + kHex + "@sha256:" + kHex,
                              "host:99999/x",
                              "host:0/x",
                              "host:/x",
                              "host:5x/x",
                              "-host.io/x",
                              "ho_st.io/x",
                              "host..io/x",
                              "[::1/x",
                              "[]:5000/x",
                              "[::g]/x",
                              "[::1]5000/x",
                              "https://docker.io/x",
                              kHex,
                              std::string(100000, 'a'),
                              "h.io/" + std::string(256, 'a')};
  for (const std::string& text : rows)
    EXPECT_NE(expect_error(ErrorCode::invalid_input, [&] { parse_reference(text); }), "") << text;
  parse_reference("h.io/" + std::string(255, 'a'));
  parse_reference("host:65535/x");
}

TEST(ParseRepository, TakesNamesWithoutTagAndDigest) {
  EXPECT_EQ(parse_repository("localhost:5000/team/app").str(), "localhost:5000/team/app");
  EXPECT_EQ(parse_repository("app").str(), "docker.io/library/app");
  for (const std::string& text :
       {std::string("app:1"), std::string("h:5000/app:1"), "app@sha256:" + kHex, std::string("")})
    expect_error(ErrorCode::invalid_input, [&] { parse_repository(text); });
}

}  // namespace
}  // namespace strake::oci
