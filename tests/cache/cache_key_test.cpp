#include "cache/cache_key.h"

#include <gtest/gtest.h>

#include <random>
#include <set>

namespace strake::cache {
namespace {

CacheKey key_of(std::string_view schema, const std::vector<KeyField>& fields) {
  KeyBuilder builder(schema);
  for (const KeyField& field : fields) builder.field(field.name, field.value);
  return builder.finish();
}

const std::vector<KeyField> kRun = {
    {"base", "sha256:1111"},
    {"platform", "linux/amd64"},
    {"command", "make install"},
    {"env PATH", "/bin"},
    {"env A", "1"},
    {"user", "0:0"},
    {"workdir", "/src"},
    {"network", "default"},
    {"mount", "type=cache,target=/c"},
};

TEST(CacheKey, EqualFieldsGiveEqualKeys) {
  EXPECT_EQ(key_of("run/1", kRun), key_of("run/1", kRun));
}

TEST(CacheKey, SchemaIsPartOfTheKey) {
  EXPECT_NE(key_of("run/1", kRun), key_of("run/2", kRun));
  EXPECT_NE(key_of("run/1", {}), key_of("copy/1", {}));
}

TEST(CacheKey, EachFieldThatChangesChangesTheKey) {
  std::set<CacheKey> keys = {key_of("run/1", kRun)};
  for (std::size_t i = 0; i < kRun.size(); ++i) {
    std::vector<KeyField> fields = kRun;
    fields[i].value += "x";
    EXPECT_TRUE(keys.insert(key_of("run/1", fields)).second) << "value of " << kRun[i].name;
    fields = kRun;
    fields[i].name += "x";
    EXPECT_TRUE(keys.insert(key_of("run/1", fields)).second) << "name of " << kRun[i].name;
    fields = kRun;
    fields.erase(fields.begin() + static_cast<std::ptrdiff_t>(i));
    EXPECT_TRUE(keys.insert(key_of("run/1", fields)).second) << "without " << kRun[i].name;
    fields = kRun;
    std::swap(fields[i], fields[(i + 1) % fields.size()]);
    EXPECT_TRUE(keys.insert(key_of("run/1", fields)).second) << "order at " << kRun[i].name;
  }
}

TEST(CacheKey, TextThatMovesBetweenFieldsChangesTheKey) {
  EXPECT_NE(key_of("s", {{"a", "bc"}}), key_of("s", {{"ab", "c"}}));
  EXPECT_NE(key_of("s", {{"argv", "a b"}}), key_of("s", {{"argv", "a"}, {"argv", "b"}}));
  EXPECT_NE(key_of("s", {{"env A", "1\nB=2"}}), key_of("s", {{"env A", "1"}, {"env B", "2"}}));
  EXPECT_NE(key_of("s", {{"a", ""}}), key_of("s", {{"", "a"}}));
  EXPECT_NE(key_of("sa", {}), key_of("s", {{"a", ""}}));
  EXPECT_NE(key_of("s", {{"a", std::string("b\0c", 3)}}), key_of("s", {{"a", "b"}}));
}

/// Texts from so small an alphabet, with bytes that look like lengths, that lists nearly collide.
std::vector<KeyField> random_fields(std::mt19937& random) {
  const auto text = [&] {
    static constexpr char kAlphabet[] = {'a', '\0', '\1', '='};
    std::string out(random() % 4, ' ');
    for (char& c : out) c = kAlphabet[random() % sizeof kAlphabet];
    return out;
  };
  std::vector<KeyField> fields(random() % 4);
  for (KeyField& field : fields) field = {text(), text()};
  return fields;
}

TEST(CacheKey, NoTwoOfManyFieldListsCollide) {
  std::mt19937 random(20240117);
  std::set<std::vector<std::pair<std::string, std::string>>> lists;
  std::set<CacheKey> keys;
  for (int i = 0; i < 40'000; ++i) {
    const std::vector<KeyField> fields = random_fields(random);
    std::vector<std::pair<std::string, std::string>> list;
    for (const KeyField& field : fields) list.emplace_back(field.name, field.value);
    lists.insert(std::move(list));
    keys.insert(key_of("s", fields));
  }
  EXPECT_GT(lists.size(), 10'000U);  // 8e8 pairs and more
  EXPECT_EQ(keys.size(), lists.size());
}

TEST(CacheKey, RecordsKeepShortValuesAndDigestsOfLongOnes) {
  KeyBuilder builder("run/1");
  builder.field("command", "make").field("script", std::string(5000, 'x'));
  ASSERT_EQ(builder.fields().size(), 2U);
  EXPECT_EQ(builder.fields()[0], (KeyField{"command", "make"}));
  EXPECT_EQ(builder.fields()[1].value,
            base::Digest::of(std::string(5000, 'x')).str() + " (5000 bytes)");
}

TEST(CacheKey, LongValuesAreHashedInFull) {
  const std::string value(5000, 'x');
  KeyBuilder builder("s");
  builder.field("a", value);
  const std::string stored = builder.fields()[0].value;
  EXPECT_NE(key_of("s", {{"a", value}}), key_of("s", {{"a", stored}}));
  EXPECT_NE(key_of("s", {{"a", value + "y"}}), key_of("s", {{"a", value + "z"}}));
}

TEST(CacheKey, RecordsDoNotKeepValuesThatLookSecret) {
  KeyBuilder builder("run/1");
  builder.field(field::variable("NPM_TOKEN"), "hunter2").field(field::variable("KEYBOARD"), "us");
  EXPECT_EQ(builder.fields()[0].name, "env NPM_TOKEN");
  EXPECT_EQ(builder.fields()[0].value.find("hunter2"), std::string::npos);
  EXPECT_EQ(builder.fields()[1].value, "us");
  EXPECT_NE(key_of("s", {{"env NPM_TOKEN", "a"}}), key_of("s", {{"env NPM_TOKEN", "b"}}));
}

TEST(LooksSecret, KnowsNamesByTheirWords) {
  for (const char* name : {"PASSWORD", "DB_PASSWORD", "db_passwd", "GITHUBTOKEN", "NPM_TOKEN",
                           "API_KEY", "api-key", "APIKEY", "AWS_SECRET_ACCESS_KEY", "DB_PWD",
                           "BASIC_AUTH", "GOOGLE_APPLICATION_CREDENTIALS"})
    EXPECT_TRUE(looks_secret(name)) << name;
  for (const char* name : {"", "PATH", "PWD", "OLDPWD", "KEYBOARD", "AUTHOR", "PUBLIC_KEY",
                           "MONKEY", "COMPASS", "SSH_PUBLIC_KEY"})
    EXPECT_FALSE(looks_secret(name)) << name;
}

}  // namespace
}  // namespace strake::cache
