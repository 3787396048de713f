#include "layers/base/digest.h"

#include "tests/base/expect_error.h"

namespace strake::base {
namespace {

// FIPS 180-4 example values.
constexpr const char* kEmpty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
constexpr const char* kAbc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

DiffId diff_id(char digit) {
  return {Digest::from_hex(std::string(64, digit))};
}

TEST(Digest, IsSha256) {
  EXPECT_EQ(Digest::of("").hex(), kEmpty);
  EXPECT_EQ(Digest::of("abc").str(), std::string("sha256:") + kAbc);
}

TEST(Digest, ParsesWhatItPrints) {
  const Digest digest = Digest::of("abc");
  EXPECT_EQ(Digest::parse(digest.str()), digest);
  EXPECT_EQ(Digest::from_hex(digest.hex()), digest);
}

TEST(Digest, RefusesEverythingButTheOneSpelling) {
  const std::string hex(64, 'a');
  const std::string rows[] = {"",
                              "sha256:",
                              hex,
                              "sha256:" + hex.substr(1),
                              "sha256:" + hex + "a",
                              "sha256:" + std::string(64, 'A'),
                              "SHA256:" + hex,
                              "sha512:" + hex + hex,
                              "md5:" + hex.substr(32),
                              "sha256:../../x",
                              "sha256:" + hex.substr(1) + "g",
                              "sha256:" + hex.substr(1) + std::string(1, '\0'),
                              " sha256:" + hex,
                              "sha256:" + hex + "\n",
                              std::string(1 << 20, 'a')};
  for (const std::string& text : rows) {
    const std::string message =
        expect_error(ErrorCode::invalid_input, [&] { Digest::parse(text); });
    EXPECT_LT(message.size(), 200U);
  }
  expect_error(ErrorCode::invalid_input, [&] { Digest::from_hex("sha256:" + hex); });
}

TEST(Sha256, TakesItsInputInPiecesAndStartsAgain) {
  Sha256 hash;
  EXPECT_EQ(hash.update("a").update("").update("bc").finish().hex(), kAbc);
  EXPECT_EQ(hash.finish().hex(), kEmpty);
  std::string million(1000000, 'a');
  EXPECT_EQ(hash.update(million).finish().hex(),
            "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

// The vectors are those of image-spec's config.md formula, computed with sha256sum(1).
TEST(ChainId, OfOneLayerIsItsDiffId) {
  EXPECT_EQ(chain_id(std::vector{diff_id('a')}).digest, diff_id('a').digest);
  EXPECT_EQ(chain_id(std::vector<DiffId>{}), ChainId{});
}

TEST(ChainId, FoldsTheLayersFromTheBottom) {
  const std::vector<DiffId> layers = {diff_id('a'), diff_id('b'), diff_id('c')};
  const ChainId two = chain_id(std::span(layers).first(2));
  EXPECT_EQ(two.digest.hex(), "ccd722928bd92476ba1745586fed6e45a102504185ad88cd89e01ff116fd146c");
  EXPECT_EQ(chain_id(layers).digest.hex(),
            "c1377126441fb2f5ec2c21ae2a60255331d639e830f0ee1b40a36e52d4c40588");
  EXPECT_EQ(chain_id(two, layers[2]), chain_id(layers));
  const std::vector<DiffId> swapped = {layers[1], layers[0]};
  EXPECT_NE(chain_id(swapped), two);
}

}  // namespace
}  // namespace strake::base
