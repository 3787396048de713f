#include "builder/exec/redacting_sink.h"

#include <gtest/gtest.h>

#include <array>

namespace strake::builder {
namespace {

/// What is passed on when `text` comes in writes of `size` bytes.
std::string redacted(std::string_view text, std::span<const std::string_view> secrets,
                     std::size_t size) {
  base::StringSink sink;
  RedactingSink redacting(sink, secrets);
  for (std::size_t at = 0; at < text.size(); at += size)
    redacting.write(base::bytes_of(text.substr(at, size)));
  redacting.finish();
  return sink.text;
}

TEST(RedactingSink, ReplacesSecretsHoweverTheyAreCut) {
  const std::array<std::string_view, 2> secrets{"tok3n-0123456789", "tok3n-0123456789-and-more"};
  for (const std::size_t size : {1U, 2U, 5U, 7U, 100U}) {
    EXPECT_EQ(redacted("a tok3n-0123456789 b\ntok3n-0123456789-and-more", secrets, size),
              "a **** b\n****")
        << size;
    EXPECT_EQ(redacted("tok3n-012345678 tok3n-", secrets, size), "tok3n-012345678 tok3n-") << size;
    EXPECT_EQ(redacted("tok3n-tok3n-0123456789", secrets, size), "tok3n-****") << size;
  }
}

TEST(RedactingSink, TakesEachLineOfASecret) {
  const std::array<std::string_view, 1> key{"-----BEGIN KEY-----\r\nAAAABBBBCCCC\n\nxyz\n"};
  EXPECT_EQ(redacted("key: AAAABBBBCCCC xyz", key, 3), "key: **** xyz");
}

TEST(RedactingSink, LeavesShortSecretsAlone) {
  const std::array<std::string_view, 2> secrets{"root", ""};
  EXPECT_EQ(redacted("uid=0(root)", secrets, 4), "uid=0(root)");
}

TEST(RedactingSink, PassesOnAtOnceWhatIsNoSecret) {
  base::StringSink sink;
  const std::array<std::string_view, 1> secrets{"password1"};
  RedactingSink redacting(sink, secrets);
  redacting.write(base::bytes_of("progress 10%\r"));
  EXPECT_EQ(sink.text, "progress 10%\r");
}

}  // namespace
}  // namespace strake::builder
