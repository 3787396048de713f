#include "registry/url.h"

#include "tests/registry/expect_error.h"

namespace strake::registry {
namespace {

using testing::code_of;

TEST(Url, SplitsOriginAndTarget) {
  const Url url = parse_url("HTTPS://Reg.Example.com:8443/v2/a?b=c#d");
  EXPECT_EQ(url.origin, (Origin{"https", "reg.example.com", 8443}));
  EXPECT_EQ(url.target, "/v2/a?b=c");
  EXPECT_EQ(url.str(), "https://reg.example.com:8443/v2/a?b=c");
  EXPECT_EQ(parse_url("http://h").str(), "http://h/");
  EXPECT_EQ(parse_url("http://h?x").target, "/?x");
  EXPECT_EQ(parse_url("https://h:443/").origin, parse_url("https://h/").origin);
  EXPECT_EQ(parse_url("https://[::1]:5000/x").origin, (Origin{"https", "[::1]", 5000}));
}

TEST(Url, RefusesWhatMayDeceive) {
  for (const char* text : {"",
                           "/v2/",
                           "ftp://h/",
                           "file:///etc/passwd",
                           "gopher://h/",
                           "https://",
                           "https:///x",
                           "https://user:pw@h/",
                           "https://user@h/",
                           "https://h:0/",
                           "https://h:99999/",
                           "https://h:/",
                           "https://h:8x/",
                           "https://h ost/",
                           "https://h\n/",
                           "https://2130706433/",
                           "https://0x7f.1/",
                           "https://127.1/",
                           "https://exämple.com/",
                           "https://a..b/",
                           "https://.a/",
                           "https://[::1/",
                           "https://[::g]/",
                           "https://%61/",
                           "https://h\\@evil/"}) {
    EXPECT_EQ(code_of([&] { parse_url(text); }), base::ErrorCode::corrupt) << text;
  }
  EXPECT_THROW(parse_url("https://h/" + std::string(17'000, 'a')), base::Error);
  EXPECT_NO_THROW(parse_url("https://h/" + std::string(16'000, 'a')));
}

TEST(Url, ErrorsDoNotShowTheQuery) {
  const base::Error e = testing::error_of([] { parse_url("ftp://h/x?sig=S3CR3T"); });
  EXPECT_THAT(e.what(), ::testing::Not(::testing::HasSubstr("S3CR3T")));
}

TEST(Url, ResolvesLocations) {
  const Url base = parse_url("https://h:5000/v2/a/blobs/uploads/?x=y");
  struct Row {
    const char* location;
    const char* want;
  };
  const Row rows[] = {
      {"https://other/x", "https://other/x"},
      {"//other/x", "https://other/x"},
      {"/v2/up?s=1", "https://h:5000/v2/up?s=1"},
      {"123?s=1", "https://h:5000/v2/a/blobs/uploads/123?s=1"},
      {"?s=1", "https://h:5000/v2/a/blobs/uploads/?s=1"},
      {"../x", "https://h:5000/v2/a/blobs/x"},
      {"../../../../../../x", "https://h:5000/x"},
      {"a:b/c", nullptr},  // a scheme, not a file
      {"", nullptr},
  };
  for (const Row& row : rows) {
    if (row.want != nullptr) {
      EXPECT_EQ(resolve_url(base, row.location).str(), row.want) << row.location;
    } else {
      EXPECT_THROW(resolve_url(base, row.location), base::Error) << row.location;
    }
  }
}

TEST(Url, AddsToTheQuery) {
  EXPECT_EQ(with_query("/u", "digest", "sha256:ab"), "/u?digest=sha256%3Aab");
  EXPECT_EQ(with_query("/u?_state=x", "digest", "d"), "/u?_state=x&digest=d");
  EXPECT_EQ(with_query("/u?", "digest", "d"), "/u?digest=d");
}

TEST(Url, KnowsLoopbackAndPrivateAddresses) {
  for (const char* host :
       {"localhost", "x.localhost", "127.0.0.1", "127.9.9.9", "[::1]", "[::ffff:127.0.0.1]"}) {
    EXPECT_TRUE(is_loopback(host)) << host;
    EXPECT_TRUE(is_private_address(host)) << host;
  }
  for (const char* host :
       {"10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "169.254.169.254", "100.64.0.1",
        "0.0.0.0", "[fe80::1]", "[fd00::1]", "[::ffff:10.0.0.1]", "224.0.0.1"}) {
    EXPECT_FALSE(is_loopback(host)) << host;
    EXPECT_TRUE(is_private_address(host)) << host;
  }
  for (const char* host : {"example.com", "8.8.8.8", "172.32.0.1", "[2001:db8::1]",
                           "localhost.example.com", "notlocalhost", "127.0.0.1.example.com"}) {
    EXPECT_FALSE(is_loopback(host)) << host;
    EXPECT_FALSE(is_private_address(host)) << host;
  }
}

TEST(Url, TellsWhoRegisteredADomain) {
  struct Row {
    const char* host;
    const char* want;
  };
  const Row rows[] = {
      {"registry-1.docker.io", "docker.io"},
      {"auth.docker.io", "docker.io"},
      {"a.b.example.co.uk", "example.co.uk"},
      {"example.co.uk", "example.co.uk"},
      {"x.example.com", "example.com"},
      {"co.uk", ""},
      {"x.azurecr.io", "x.azurecr.io"},
      {"x.azurecr.io.evil.com", "evil.com"},
      {"1.dkr.ecr.eu.amazonaws.com", "1.dkr.ecr.eu.amazonaws.com"},
      {"localhost", ""},
      {"10.0.0.1", ""},
      {"[::1]", ""},
      {"com", ""},
  };
  for (const Row& row : rows) EXPECT_EQ(registrable_domain(row.host), row.want) << row.host;
}

TEST(Url, RegistryNamesBecomeOrigins) {
  EXPECT_EQ(registry_origin("h", "https"), (Origin{"https", "h", 443}));
  EXPECT_EQ(registry_origin("h:5000", "http"), (Origin{"http", "h", 5000}));
  EXPECT_EQ(registry_origin("[::1]:5000", "http"), (Origin{"http", "[::1]", 5000}));
  EXPECT_EQ(code_of([] { registry_origin("h:99999", "https"); }), base::ErrorCode::invalid_input);
}

}  // namespace
}  // namespace strake::registry
