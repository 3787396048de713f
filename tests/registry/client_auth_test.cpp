#include <thread>

#include "registry/base64.h"
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

/// A registry that wants bearer tokens, and its token server, which issues "t1", "t2", ….
class ClientAuth : public testing::ClientTest {
 protected:
  ClientAuth() {
    http_.serve(kOrigin, [this](const ServerRequest& request) {
      if (request.header("Authorization") != "Bearer " + valid_) {
        return ServerResponse{.status = 401,
                              .headers = {{"WWW-Authenticate", challenge_}},
                              .body = R"({"errors":[{"code":"UNAUTHORIZED"}]})"};
      }
      return registry_(request);
    });
    http_.serve("https://auth.example.com", [this](const ServerRequest& request) {
      const std::lock_guard lock(token_mutex_);
      token_requests_.push_back(request);
      valid_ = "t" + std::to_string(token_requests_.size());
      return ServerResponse{.body = "{\"token\":\"" + valid_ + "\",\"expires_in\":100}"};
    });
    registry_.add_manifest("team/app", "1", manifest_, testing::kManifestType);
  }

  void get() { client().get_manifest({repository_, "1", std::nullopt}); }

  const std::string manifest_ = testing::manifest_json();
  std::string challenge_ =
      R"(Bearer realm="https://auth.example.com/token",service="reg",scope="repository:team/app:pull")";
  std::string valid_ = "none yet";
  std::mutex token_mutex_;
  std::vector<ServerRequest> token_requests_;
};

TEST_F(ClientAuth, AnonymousFirstThenAToken) {
  get();
  EXPECT_THAT(http_.lines(),
              ElementsAre("GET https://reg.example.com/v2/team/app/manifests/1",
                          "GET https://auth.example.com/token?service=reg&scope=repository%3Ateam%"
                          "2Fapp%3Apull",
                          "GET https://reg.example.com/v2/team/app/manifests/1"));
  EXPECT_EQ(http_.requests()[0].header("Authorization"), "");
  EXPECT_EQ(http_.requests()[1].header("Authorization"), "");
}

TEST_F(ClientAuth, TokenIsUsedAgainUntilNinetyPercentOfItsLife) {
  get();
  now_ += std::chrono::seconds(89);
  get();
  EXPECT_EQ(token_requests_.size(), 1u);
  now_ += std::chrono::seconds(2);
  get();
  EXPECT_EQ(token_requests_.size(), 2u);
  EXPECT_EQ(http_.requests().size(), 6u);  // the second token was fetched without another 401
}

TEST_F(ClientAuth, TokenThatExpiredEarlyIsRenewedOnce) {
  get();
  valid_ = "revoked";
  get();
  EXPECT_EQ(token_requests_.size(), 2u);
}

TEST_F(ClientAuth, EndlessRefusalEndsAfterTwoRounds) {
  http_.serve(kOrigin, [this](const ServerRequest&) {
    return ServerResponse{.status = 401, .headers = {{"WWW-Authenticate", challenge_}}};
  });
  EXPECT_EQ(code_of([&] { get(); }), ErrorCode::denied);
  EXPECT_EQ(token_requests_.size(), 2u);
  EXPECT_EQ(http_.requests().size(), 5u);
}

TEST_F(ClientAuth, MissingScopeOfTheChallengeIsAskedForFirst) {
  get();
  valid_ = "needs more";
  challenge_ =
      R"(Bearer realm="https://auth.example.com/token",service="reg",)"
      R"(scope="repository:team/app:delete registry:catalog:*",error="insufficient_scope")";
  get();
  EXPECT_THAT(token_requests_.back().target,
              HasSubstr("scope=repository%3Ateam%2Fapp%3Adelete%2Cpull&scope=registry%3Acatalog"));
}

TEST_F(ClientAuth, PushAsksForItsOwnToken) {
  get();
  client().check_push_permission(repository_);
  ASSERT_EQ(token_requests_.size(), 2u);
  EXPECT_THAT(token_requests_[1].target, HasSubstr("team%2Fapp%3Apull%2Cpush"));
}

TEST_F(ClientAuth, MountTokenCoversBothRepositories) {
  client().mount_blob(repository_, {kHost, "base/image"}, base::Digest::of("x"));
  EXPECT_THAT(token_requests_.at(0).target, HasSubstr("team%2Fapp%3Apull%2Cpush"));
  EXPECT_THAT(token_requests_.at(0).target, HasSubstr("base%2Fimage%3Apull"));
}

TEST_F(ClientAuth, CredentialsGoToTheTokenServerOnly) {
  credentials_.set(kHost, {"me", "password"});
  get();
  EXPECT_EQ(http_.requests()[1].header("Authorization"), "Basic " + base64_encoded("me:password"));
  EXPECT_EQ(http_.requests()[2].header("Authorization"), "Bearer t1");
}

TEST_F(ClientAuth, ForeignTokenServerIsAskedAnonymously) {
  credentials_.set(kHost, {"me", "password"});
  challenge_ = R"(Bearer realm="https://evil.com/token",service="reg")";
  http_.serve("https://evil.com", [this](const ServerRequest& request) {
    token_requests_.push_back(request);
    valid_ = "evil";
    return ServerResponse{.body = R"({"token":"evil"})"};
  });
  get();
  ASSERT_EQ(token_requests_.size(), 1u);
  EXPECT_EQ(token_requests_[0].header("Authorization"), "");
  EXPECT_THAT(token_requests_[0].target, ::testing::Not(HasSubstr("account")));
}

TEST_F(ClientAuth, ListedTokenServerGetsCredentials) {
  options_.trusted_realm_hosts = {"sso.corp.net"};
  credentials_.set(kHost, {"me", "password"});
  challenge_ = R"(Bearer realm="https://sso.corp.net/token",service="reg")";
  http_.serve("https://sso.corp.net", [this](const ServerRequest& request) {
    token_requests_.push_back(request);
    valid_ = "sso";
    return ServerResponse{.body = R"({"token":"sso"})"};
  });
  get();
  EXPECT_NE(token_requests_.at(0).header("Authorization"), "");
}

TEST_F(ClientAuth, RealmInAPrivateNetworkIsRefused) {
  challenge_ = R"(Bearer realm="http://169.254.169.254/latest/meta-data")";
  EXPECT_EQ(code_of([&] { get(); }), ErrorCode::denied);
  // Asked again for a better answer, a few times; nothing went where it pointed.
  EXPECT_EQ(http_.requests().size(), 3u);
  for (const auto& request : http_.requests()) EXPECT_EQ(request.origin, kOrigin);
}

TEST_F(ClientAuth, ARefusedRealmMayBeAnAccident) {
  http_.serve(kOrigin, [&, asked = 0](const ServerRequest& request) mutable {
    if (++asked > 1) return registry_(request);
    const std::string elsewhere = "Bearer realm=\"http://169.254.169.254/\"";
    return ServerResponse{.status = 401, .headers = {{"WWW-Authenticate", elsewhere}}};
  });
  EXPECT_NO_THROW(get());
}

TEST_F(ClientAuth, BearerIsPreferredOverBasic) {
  credentials_.set(kHost, {"me", "password"});
  challenge_ = "Basic realm=\"x\", " + challenge_;
  get();
  EXPECT_EQ(http_.requests().back().header("Authorization"), "Bearer t1");
}

TEST_F(ClientAuth, BasicIsSentOnlyAfterItsChallengeAndThenAtOnce) {
  const std::string basic = "Basic " + base64_encoded("me:password");
  http_.serve(kOrigin, [&](const ServerRequest& request) {
    if (request.header("Authorization") != basic) {
      return ServerResponse{.status = 401, .headers = {{"WWW-Authenticate", "Basic realm=\"r\""}}};
    }
    return registry_(request);
  });
  credentials_.set(kHost, {"me", "password"});
  get();
  get();
  std::vector<std::string> sent;
  for (const ServerRequest& request : http_.requests()) {
    sent.push_back(request.header("Authorization"));
  }
  EXPECT_THAT(sent, ElementsAre("", basic, basic));
}

TEST_F(ClientAuth, RefusedBasicIsNotRepeatedAndExplained) {
  http_.serve(kOrigin, [](const ServerRequest&) {
    return ServerResponse{.status = 401, .headers = {{"WWW-Authenticate", "Basic realm=\"r\""}}};
  });
  credentials_.set(kHost, {"me", "wrong-password"});
  const base::Error error = error_of([&] { get(); });
  EXPECT_EQ(error.code(), ErrorCode::denied);
  EXPECT_THAT(error.hint(), HasSubstr("log in"));
  EXPECT_EQ(http_.requests().size(), 2u);
}

TEST_F(ClientAuth, NoCredentialsMeansOneRequest) {
  http_.serve(kOrigin, [](const ServerRequest&) {
    return ServerResponse{.status = 401, .headers = {{"WWW-Authenticate", "Basic realm=\"r\""}}};
  });
  EXPECT_EQ(code_of([&] { get(); }), ErrorCode::denied);
  EXPECT_EQ(http_.requests().size(), 1u);
}

TEST_F(ClientAuth, ReadyMadeTokensAreUsedAsTheyAre) {
  valid_ = "ready-made";
  credentials_.set(kHost, {"", "", "", "ready-made"});
  get();
  EXPECT_TRUE(token_requests_.empty());
}

TEST_F(ClientAuth, ParallelRequestsShareOneToken) {
  client();  // made here, not by the first thread
  std::vector<std::jthread> threads;
  for (int i = 0; i < 8; ++i) threads.emplace_back([&] { get(); });
  threads.clear();
  EXPECT_EQ(token_requests_.size(), 1u);
}

TEST_F(ClientAuth, TokenServerThatFailsIsAskedAgain) {
  int failures = 2;
  http_.serve("https://auth.example.com", [&](const ServerRequest&) {
    if (failures-- > 0) return ServerResponse{.status = 503};
    valid_ = "late";
    return ServerResponse{.body = R"({"token":"late"})"};
  });
  EXPECT_NO_THROW(get());
  EXPECT_EQ(sleeps_, 2);
}

TEST_F(ClientAuth, TokenServerThatSendsAWebPageIsAskedAgain) {
  bool page = true;
  http_.serve("https://auth.example.com", [&](const ServerRequest&) {
    if (std::exchange(page, false)) return ServerResponse{.body = "<html>Welcome</html>"};
    valid_ = "late";
    return ServerResponse{.body = R"({"token":"late"})"};
  });
  EXPECT_NO_THROW(get());
  EXPECT_EQ(sleeps_, 1);
}

TEST_F(ClientAuth, RefusalWithoutAChallengeIsAnsweredAsTheLastOne) {
  get();
  http_.serve(kOrigin, [this, refused = false](const ServerRequest& request) mutable {
    if (!std::exchange(refused, true)) return ServerResponse{.status = 401};
    EXPECT_EQ(request.header("Authorization"), "Bearer t2");
    return registry_(request);
  });
  EXPECT_NO_THROW(get());
}

TEST_F(ClientAuth, RefusalAfterItWasLetInMayPass) {
  get();
  int refusals = 6;
  http_.serve(kOrigin, [&](const ServerRequest& request) {
    if (refusals-- > 0) {
      return ServerResponse{.status = 401, .headers = {{"WWW-Authenticate", challenge_}}};
    }
    return registry_(request);
  });
  EXPECT_NO_THROW(get());
  EXPECT_EQ(sleeps_, 2);  // three refusals end an attempt
  refusals = 1000;
  const base::Error error = error_of([&] { get(); });
  EXPECT_EQ(error.code(), ErrorCode::unavailable);
  EXPECT_THAT(error.what(), ::testing::HasSubstr("refuses what it allowed before (401"));
}

TEST_F(ClientAuth, PingChecksTheCredentials) {
  credentials_.set(kHost, {"me", "password"});
  challenge_ = R"(Bearer realm="https://auth.example.com/token",service="reg")";
  EXPECT_NO_THROW(client().ping(kHost));
  http_.serve("https://auth.example.com",
              [](const ServerRequest&) { return ServerResponse{.status = 401}; });
  Client other(http_, credentials_, options_);
  valid_ = "renewed";
  EXPECT_EQ(code_of([&] { other.ping(kHost); }), ErrorCode::denied);
}

}  // namespace
}  // namespace strake::registry
