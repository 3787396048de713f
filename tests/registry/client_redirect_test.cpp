#include "tests/registry/client_fixture.h"

namespace strake::registry {
namespace {

using support::ServerRequest;
using support::ServerResponse;
using testing::code_of;
using ::testing::ElementsAre;
using testing::error_of;
using testing::ErrorCode;
using ::testing::HasSubstr;

/// A registry with Basic authentication that redirects its blobs to `location_`.
class ClientRedirect : public testing::ClientTest {
 protected:
  ClientRedirect() {
    credentials_.set(kHost, {"me", "password"});
    http_.serve(kOrigin, [this](const ServerRequest& request) {
      if (request.header("Authorization").empty()) {
        return ServerResponse{.status = 401,
                              .headers = {{"WWW-Authenticate", "Basic realm=\"r\""}}};
      }
      if (request.target.starts_with("/moved")) return ServerResponse{.body = bytes_};
      return ServerResponse{.status = status_, .headers = {{"Location", location_}}};
    });
    for (const char* origin :
         {"https://storage.example.net", "https://reg.example.com:8443", "https://10.0.0.5",
          "http://storage.example.net", "http://reg.example.com"}) {
      http_.serve(origin, [this](const ServerRequest&) { return ServerResponse{.body = bytes_}; });
    }
  }

  const std::string bytes_ = "blob";
  std::string location_;
  int status_ = 307;
};

TEST_F(ClientRedirect, CredentialsStayWithTheirOrigin) {
  struct Row {
    const char* location;
    bool credentials;
  };
  const Row rows[] = {
      {"/moved/x", true},
      {"https://reg.example.com/moved/x", true},
      {"https://reg.example.com:443/moved", true},
      {"http://reg.example.com/moved/x", true},  // its own name as seen behind a TLS proxy
      {"https://reg.example.com:8443/x", false},
      {"https://storage.example.net/x?X-Amz-Signature=s", false},
  };
  for (const Row& row : rows) {
    location_ = row.location;
    EXPECT_EQ(pull(blob_of(bytes_)), bytes_) << row.location;
    const ServerRequest last = http_.requests().back();
    EXPECT_EQ(!last.header("Authorization").empty(), row.credentials) << row.location;
    EXPECT_THAT(last.origin, HasSubstr("https://")) << row.location;
  }
}

TEST_F(ClientRedirect, AllRedirectStatusesAreFollowed) {
  location_ = "https://storage.example.net/x";
  for (const int status : {301, 302, 303, 307, 308}) {
    status_ = status;
    EXPECT_EQ(pull(blob_of(bytes_)), bytes_) << status;
  }
}

TEST_F(ClientRedirect, UnsafeTargetsAreRefused) {
  const std::pair<const char*, ErrorCode> rows[] = {
      {"http://storage.example.net/x", ErrorCode::denied},
      {"https://10.0.0.5/x", ErrorCode::denied},
      {"https://127.0.0.1/x", ErrorCode::denied},
      {"https://169.254.169.254/latest", ErrorCode::denied},
      {"file:///etc/passwd", ErrorCode::corrupt},
      {"gopher://h/", ErrorCode::corrupt},
      {"https://user:pw@storage.example.net/", ErrorCode::corrupt},
      {"", ErrorCode::corrupt},
  };
  for (const auto& [location, code] : rows) {
    location_ = location;
    const std::size_t before = http_.requests().size();
    EXPECT_EQ(code_of([&] { pull(blob_of(bytes_)); }), code) << location;
    for (std::size_t i = before; i < http_.requests().size(); ++i) {
      EXPECT_EQ(http_.requests()[i].origin, kOrigin) << location;
    }
  }
  location_ = "https://storage.example.net/" + std::string(1 << 20, 'a');
  EXPECT_EQ(code_of([&] { pull(blob_of(bytes_)); }), ErrorCode::corrupt);
}

TEST_F(ClientRedirect, PrivateTargetsAreFollowedWhenAllowed) {
  options_.allow_private_redirects = true;
  location_ = "https://10.0.0.5/x";
  EXPECT_EQ(pull(blob_of(bytes_)), bytes_);
}

TEST_F(ClientRedirect, FiveAreTheLimit) {
  int hops = 5;
  int left = 0;
  http_.serve("https://storage.example.net", [&](const ServerRequest&) {
    if (--left > 0) return ServerResponse{.status = 302, .headers = {{"Location", "/again"}}};
    return ServerResponse{.body = bytes_};
  });
  location_ = "https://storage.example.net/x";
  left = hops;
  EXPECT_EQ(pull(blob_of(bytes_)), bytes_);
  left = hops + 1;
  EXPECT_EQ(code_of([&] { pull(blob_of(bytes_)); }), ErrorCode::corrupt);
}

TEST_F(ClientRedirect, CredentialsDoNotComeBackByADetour) {
  http_.serve("https://storage.example.net", [](const ServerRequest&) {
    return ServerResponse{.status = 302,
                          .headers = {{"Location", "https://reg.example.com/moved"}}};
  });
  location_ = "https://storage.example.net/x";
  EXPECT_EQ(code_of([&] { pull(blob_of(bytes_)); }),
            ErrorCode::denied);  // 401, and no answer to it
  EXPECT_EQ(http_.requests().back().header("Authorization"), "");
}

TEST_F(ClientRedirect, ChallengeOfTheTargetIsNotAnswered) {
  http_.serve("https://storage.example.net", [](const ServerRequest&) {
    return ServerResponse{.status = 401, .headers = {{"WWW-Authenticate", "Basic realm=\"r\""}}};
  });
  location_ = "https://storage.example.net/x";
  EXPECT_EQ(code_of([&] { pull(blob_of(bytes_)); }), ErrorCode::denied);
  for (const ServerRequest& request : http_.requests()) {
    EXPECT_TRUE(request.origin == kOrigin || request.header("Authorization").empty());
  }
}

TEST_F(ClientRedirect, UploadsAreNotRedirected) {
  http_.serve(kOrigin, [](const ServerRequest&) {
    return ServerResponse{.status = 307, .headers = {{"Location", "https://storage.example.net/"}}};
  });
  EXPECT_THROW(client().put_blob(repository_, blob_of(bytes_), opener(bytes_)), base::Error);
  EXPECT_EQ(http_.requests().size(), 1u);
}

TEST_F(ClientRedirect, ErrorsDoNotShowSignatures) {
  location_ = "http://storage.example.net/x?X-Amz-Signature=S3CR3T";
  EXPECT_THAT(error_of([&] { pull(blob_of(bytes_)); }).what(), ::testing::Not(HasSubstr("S3CR3T")));
}

TEST_F(ClientRedirect, RangesGoAlong) {
  const std::string bytes = text_of_size(5000);
  http_.serve("https://storage.example.net", [&](const ServerRequest& request) {
    if (request.header("Range").empty()) return ServerResponse{.body = bytes, .cut_after = 2000};
    return ServerResponse{.status = 206,
                          .headers = {{"Content-Range", "bytes 2000-4999/5000"}},
                          .body = bytes.substr(2000)};
  });
  location_ = "https://storage.example.net/x";
  EXPECT_EQ(pull(blob_of(bytes)), bytes);
}

}  // namespace
}  // namespace strake::registry
