#include "registry/proxy.h"

#include <gtest/gtest.h>

#include <map>

namespace strake::registry {
namespace {

using Values = std::map<std::string, std::string>;

std::string proxy(const char* url, const Values& values) {
  return proxy_for(parse_url(url).origin, [&](const std::string& name) {
    const auto found = values.find(name);
    return found == values.end() ? std::nullopt : std::optional(found->second);
  });
}

TEST(Proxy, IsThatOfTheScheme) {
  struct Row {
    const char* url;
    Values values;
    const char* proxy;
  };
  const Row rows[] = {
      {"https://reg.example.com/", {}, ""},
      {"https://reg.example.com/", {{"HTTPS_PROXY", "http://p:1"}}, "http://p:1"},
      {"https://reg.example.com/", {{"https_proxy", "http://p:1"}}, "http://p:1"},
      {"https://reg.example.com/", {{"https_proxy", "a"}, {"HTTPS_PROXY", "b"}}, "http://b"},
      {"https://reg.example.com/", {{"HTTP_PROXY", "http://p:1"}}, ""},
      {"http://reg.example.com/", {{"HTTP_PROXY", "p:1"}}, "http://p:1"},
      {"http://reg.example.com/", {{"http_proxy", "p:1"}}, "http://p:1"},
      {"http://reg.example.com/", {{"HTTPS_PROXY", "p:1"}}, ""},
      {"https://reg.example.com/", {{"ALL_PROXY", "socks5://p:1"}}, "socks5://p:1"},
      {"https://reg.example.com/", {{"all_proxy", "a"}, {"HTTPS_PROXY", "b"}}, "http://b"},
      {"https://reg.example.com/", {{"HTTPS_PROXY", ""}, {"https_proxy", "b"}}, "http://b"},
      // A header "Proxy:" of a request is HTTP_PROXY to a CGI program.
      {"http://reg.example.com/", {{"HTTP_PROXY", "evil"}, {"REQUEST_METHOD", "GET"}}, ""},
      {"http://reg.example.com/",
       {{"http_proxy", "good"}, {"REQUEST_METHOD", "GET"}},
       "http://good"},
      {"https://reg.example.com/", {{"HTTPS_PROXY", "p"}, {"NO_PROXY", "x, reg.example.com"}}, ""},
      {"https://reg.example.com/", {{"HTTPS_PROXY", "p"}, {"no_proxy", "example.com"}}, ""},
  };
  for (const Row& row : rows) EXPECT_EQ(proxy(row.url, row.values), row.proxy) << row.url;
}

TEST(Proxy, IsNeverUsedForThisMachine) {
  for (const char* url : {"http://localhost:5000/", "http://127.0.0.1/", "http://127.8.9.10:1/",
                          "https://[::1]:5000/", "http://x.localhost/"}) {
    EXPECT_EQ(proxy(url, {{"ALL_PROXY", "p"}}), "") << url;
  }
}

TEST(Proxy, ExclusionsAreReadAsGoReadsThem) {
  struct Row {
    const char* list;
    const char* url;
    bool excluded;
  };
  const Row rows[] = {
      {"", "https://a.b/", false},
      {"*", "https://a.b/", true},
      {"x,*", "https://a.b/", true},
      {"example.com", "https://example.com/", true},
      {"Example.COM", "https://reg.example.com/", true},
      {"example.com", "https://badexample.com/", false},
      {"example.com", "https://example.com.evil.org/", false},
      {".example.com", "https://example.com/", false},
      {".example.com", "https://reg.example.com/", true},
      {"*.example.com", "https://reg.example.com/", true},
      {"*.example.com", "https://example.com/", false},
      {" example.com , b", "https://example.com:5000/", true},
      {"example.com:5000", "https://example.com:5000/", true},
      {"example.com:5000", "https://example.com/", false},
      {"example.com:443", "https://example.com/", true},
      {".example.com:80", "http://reg.example.com/", true},
      {"10.0.0.0/8", "https://10.2.3.4:5000/", true},
      {"10.0.0.0/8", "https://11.2.3.4/", false},
      {"10.0.0.0/8", "https://ten.example.com/", false},
      {"10.2.3.4", "https://10.2.3.4/", true},
      {"10.2.3.4:5000", "https://10.2.3.4/", false},
      {"fd00::/8", "https://[fd00::1]/", true},
      {"fd00::1", "https://[fd00::1]:5000/", true},
      {"[fd00::1]:5000", "https://[fd00::1]:5000/", true},
      {"[fd00::1]:5000", "https://[fd00::1]/", false},
      {",,", "https://a.b/", false},
  };
  for (const Row& row : rows) {
    EXPECT_EQ(is_excluded(row.list, parse_url(row.url).origin), row.excluded)
        << row.list << " " << row.url;
  }
}

}  // namespace
}  // namespace strake::registry
