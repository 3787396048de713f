#include "builder/dockerfile/source_url.h"

#include <gtest/gtest.h>

namespace strake::dockerfile {
namespace {

// Rule 47: what a source of ADD is depends on its form alone.
TEST(AddSourceClassify, GoesByTheForm) {
  struct Row {
    const char* word;
    AddSource source;
  };
  const Row rows[] = {
      {"file.txt", AddSource::local},
      {"http", AddSource::local},
      {"dir/https://x", AddSource::local},
      {"a:b", AddSource::local},
      {"./git@host:x", AddSource::local},
      {"github.com/a/b", AddSource::local},
      {"file:///srv/r.git", AddSource::local},
      {"ftp://host/x", AddSource::local},
      {"http://host/x", AddSource::http},
      {"https://host/x.tar.gz", AddSource::http},
      {"https://host/x.git/file", AddSource::http},
      {"https://host/x?name=r.git", AddSource::http},
      {"https://host/", AddSource::http},
      {"https://host/r.git", AddSource::git},
      {"https://host/r.git#main:sub", AddSource::git},
      {"https://host/r.git?ref=x", AddSource::git},
      {"https://host/r.git?nonsense=1", AddSource::git},
      {"git://host/r", AddSource::git},
      {"ssh://git@host/r", AddSource::git},
      {"git@host:r", AddSource::git},
  };
  for (const Row& row : rows) EXPECT_EQ(classify_add_source(row.word), row.source) << row.word;
}

TEST(ContextClassify, GoesByTheForm) {
  EXPECT_EQ(classify_context("-"), ContextKind::stdin_bytes);
  EXPECT_EQ(classify_context("."), ContextKind::directory);
  EXPECT_EQ(classify_context("/srv/x"), ContextKind::directory);
  EXPECT_EQ(classify_context("github.com/a/b"), ContextKind::git);
  EXPECT_EQ(classify_context("https://host/r.git"), ContextKind::git);
  EXPECT_EQ(classify_context("https://host/Dockerfile"), ContextKind::http);
}

// Rule 46: a file is named like the last element of the path.
TEST(UrlFileName, IsTheLastElementOfThePath) {
  struct Row {
    const char* url;
    const char* name;
  };
  const Row rows[] = {
      {"http://h/a/b.txt", "b.txt"},
      {"http://h/a/b.txt?x=/c#/d", "b.txt"},
      {"http://h/a/b/", "b"},
      {"http://h/a%20b", "a b"},
      {"http://h/a%2Fb", "b"},
      {"http://h/", "__unnamed__"},
      {"http://h", "__unnamed__"},
      {"http://h?x=y", "__unnamed__"},
      {"http://h/a/..", "__unnamed__"},
      {"http://h/%2e%2e", "__unnamed__"},
      {"http://h/a%00b", "__unnamed__"},
      {"http://h/%E2%82%AC", "\xE2\x82\xAC"},
  };
  for (const Row& row : rows) EXPECT_EQ(url_file_name(row.url), row.name) << row.url;
  EXPECT_EQ(url_file_name("http://h/" + std::string(256, 'x')), "__unnamed__");
}

TEST(DispositionFileName, IsABareName) {
  struct Row {
    const char* value;
    const char* name;
  };
  const Row rows[] = {
      {"attachment; filename=\"a b.bin\"", "a b.bin"},
      {"attachment; filename=plain.txt", "plain.txt"},
      {"attachment; filename = spaced ; x=y", "spaced"},
      {"inline; FILENAME=\"q\\\"uote\"", "q\"uote"},
      {"attachment; filename=\"x\"; filename*=UTF-8''caf%C3%A9", "caf\xC3\xA9"},
      {"attachment; filename*=UTF-8'en'%2e%2e%2fup; filename=\"safe\"", "up"},
      {"attachment; filename*=latin1''x; filename=y", "y"},
      {"attachment; filename=\"../../etc/passwd\"", "passwd"},
      {"attachment; filename=\"c:\\\\dir\\\\f\"", "f"},
      {"attachment; filename=\"..\"", ""},
      {"attachment; filename=\"dir/\"", ""},
      {"attachment; filename=\"\"", ""},
      {"attachment; filename", ""},
      {"attachment; filename=\"unterminated", "unterminated"},
      {"attachment", ""},
      {"", ""},
  };
  for (const Row& row : rows) EXPECT_EQ(disposition_file_name(row.value), row.name) << row.value;
}

TEST(ShownUrl, HidesWhatMayBeSecret) {
  EXPECT_EQ(shown_url("https://ana:pw@h/x?sig=abc").find("pw"), std::string::npos);
  EXPECT_EQ(shown_url("https://ana:pw@h/x?sig=abc").find("abc"), std::string::npos);
  EXPECT_NE(shown_url("https://h/x").find("https://h/x"), std::string::npos);
}

}  // namespace
}  // namespace strake::dockerfile
