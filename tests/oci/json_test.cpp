#include "layers/oci/json.h"

#include <nlohmann/json.hpp>

#include "layers/oci/raw_json.h"
#include "tests/oci/expect_error.h"

namespace strake::oci {
namespace {

using base::ErrorCode;

std::string refused(std::string_view text) {
  return expect_error(ErrorCode::corrupt, [&] { parse_json(text, "the test"); });
}

std::string nested(std::size_t depth) {
  return std::string(depth, '[') + std::string(depth, ']');
}

TEST(ParseJson, BuildsTheSameValueAsTheLibrary) {
  const std::string text =
      R"({"a":[1,-2,3.5,true,false,null,"x\u00e9",{}],"b":{"c":{"d":[]}},"":18446744073709551615})";
  EXPECT_EQ(parse_json(text, "the test"), nlohmann::json::parse(text));
  EXPECT_EQ(parse_json(" \"word\"\n", "the test"), "word");
}

TEST(ParseJson, RefusesDuplicateKeys) {
  EXPECT_EQ(refused(R"({"digest":1,"digest":2})"), R"(the test has the key "digest" twice)");
  refused(R"({"a":{"b":1,"\u0062":2}})");
  parse_json(R"({"a":{"b":1},"c":{"b":2}})", "the test");
}

TEST(ParseJson, RefusesWhatIsNotJson) {
  for (const char* text : {"",
                           "{",
                           "{}{}",
                           "{} x",
                           "[1,]",
                           "{\"a\":1,}",
                           "// c\n{}",
                           "/* c */{}",
                           "NaN",
                           "[Infinity]",
                           "1e400",
                           "'a'",
                           "{a:1}",
                           "\"\\ud800\"",
                           "\"\\udc00\\ud800\"",
                           "\"\xff\"",
                           "\"\xc0\x80\"",
                           "\"\xed\xa0\x80\"",
                           "\"a\nb\"",
                           "\xEF\xBB\xBF{}",
                           "01",
                           "+1",
                           "tru"})
    EXPECT_NE(refused(text), "") << text;
  using namespace std::string_literals;
  for (const std::string& text : {"{}\0"s, "{}\0{}"s, "\0{}"s}) EXPECT_NE(refused(text), "");
}

TEST(ParseJson, LimitsTheNestingTo64Levels) {
  parse_json(nested(63), "the test");
  parse_json(nested(64), "the test");
  EXPECT_EQ(refused(nested(65)), "the test is nested more than 64 levels deep");
  refused(std::string(1000000, '['));
  std::string objects;
  for (int i = 0; i < 65; ++i) objects += "{\"a\":";
  refused(objects);
}

TEST(ParseJson, LimitsStringsAndKeysToOneMebibyte) {
  const std::string longest(1 << 20, 'x');
  parse_json("\"" + longest + "\"", "the test");
  refused("\"" + longest + "x\"");
  parse_json("{\"" + longest + "\":1}", "the test");
  refused("{\"" + longest + "x\":1}");
}

TEST(JsonMembers, AbsentAndNullAreEmpty) {
  const auto object = parse_json(R"({"null":null})", "the test");
  for (const char* key : {"null", "absent"}) {
    EXPECT_EQ(string_member(object, key), "");
    EXPECT_TRUE(strings_member(object, key).empty());
    EXPECT_TRUE(string_map_member(object, key).empty());
    EXPECT_EQ(integer_member(object, key), 0);
    EXPECT_FALSE(bool_member(object, key));
    expect_error(ErrorCode::corrupt, [&] { size_member(object, key); });
  }
}

TEST(JsonMembers, OfAnotherTypeAreRefused) {
  const auto object = parse_json(R"({"n":1,"s":"x","a":[1],"nul":"a\u0000b","o":{"k":1}})", "t");
  const auto corrupt = [](auto action) { return expect_error(ErrorCode::corrupt, action); };
  EXPECT_EQ(corrupt([&] { string_member(object, "n"); }), "\"n\" is not a string");
  EXPECT_EQ(corrupt([&] { string_member(object, "nul"); }), "\"nul\" holds a NUL character");
  corrupt([&] { strings_member(object, "s"); });
  corrupt([&] { strings_member(object, "a"); });
  corrupt([&] { string_map_member(object, "a"); });
  corrupt([&] { string_map_member(object, "o"); });
  corrupt([&] { bool_member(object, "n"); });
  corrupt([&] { integer_member(object, "s"); });
  corrupt([&] { string_member(object["a"], "s"); });
}

TEST(JsonMembers, SizesAreWholeNumbersFromZeroToTheSignedLimit) {
  const auto size = [](const std::string& value) {
    return size_member(parse_json("{\"size\":" + value + "}", "t"), "size");
  };
  EXPECT_EQ(size("0"), 0U);
  EXPECT_EQ(size("9223372036854775807"), 9223372036854775807U);
  for (const char* value :
       {"-1", "9223372036854775808", "18446744073709551616", "1e3", "1.0", "\"1\"", "null", "[]"})
    expect_error(ErrorCode::corrupt, [&] { size(value); });
}

TEST(RawMembers, KeepSpellingAndOrderButNotTheSpace) {
  const auto members = raw_members(
      " { \"b\" : { \"z\" : 1.10 , \"a\" : [ 1e5 , \"x y\\\"}\" ] } ,\n\"\\u0061\" : "
      "123456789012345678901234567890, \"e\":{} ,\"s\": \"\\\\\" } ");
  const std::map<std::string, std::string> expected = {{"a", "123456789012345678901234567890"},
                                                       {"b", R"({"z":1.10,"a":[1e5,"x y\"}"]})"},
                                                       {"e", "{}"},
                                                       {"s", R"("\\")"}};
  EXPECT_EQ(members, expected);
  EXPECT_TRUE(raw_members("{ }").empty());
}

}  // namespace
}  // namespace strake::oci
