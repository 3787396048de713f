// Challenges and tokens that never end, lie about their life, or change what they are for.

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
using ::testing::Not;
using namespace std::chrono_literals;

/// A registry that takes the token valid_, and a token server that issues "t1", "t2", … as token_
/// says.
class RegistryAuth : public testing::ClientTest {
 protected:
  RegistryAuth() {
    http_.serve(kOrigin, [this](const ServerRequest& request) {
      const std::lock_guard lock(token_mutex_);
      if (!accept_(request)) return ServerResponse{.status = status_, .headers = challenges_};
      return registry_(request);
    });
    http_.serve("https://auth.example.com", [this](const ServerRequest& request) {
      const std::lock_guard lock(token_mutex_);
      token_requests_.push_back(request);
      valid_ = "t" + std::to_string(token_requests_.size());
      return ServerResponse{.body = "{\"token\":\"" + valid_ + "\"" + token_ + "}"};
    });
    registry_.add_manifest("team/app", "1", manifest_, testing::kManifestType);
  }

  void get() { client().get_manifest({repository_, "1", std::nullopt}); }
  bool has_token(const ServerRequest& request) const {
    return request.header("Authorization") == "Bearer " + valid_;
  }

  static constexpr const char* kBearer =
      R"(Bearer realm="https://auth.example.com/token",service="reg",scope="repository:team/app:pull")";
  const std::string manifest_ = testing::manifest_json();
  std::mutex token_mutex_;  // guards what follows
  std::function<bool(const ServerRequest&)> accept_ = [this](const ServerRequest& request) {
    return has_token(request);
  };
  std::vector<std::pair<std::string, std::string>> challenges_ = {{"WWW-Authenticate", kBearer}};
  int status_ = 401;
  std::string token_ = ",\"expires_in\":100";  // members besides the token
  std::string valid_ = "none yet";
  std::vector<ServerRequest> token_requests_;
};

// Case B11: challenges without end, tokens that live too long or not at all, clocks that differ.
TEST_F(RegistryAuth, EndsAfterTwoRounds) {
  accept_ = [](const ServerRequest&) { return false; };
  for (const char* user : {"", "me"}) {
    if (*user != '\0') credentials_.set(kHost, {user, "password"});
    Client fresh(http_, credentials_, options_);
    const std::size_t before = http_.requests().size();
    const std::size_t tokens = token_requests_.size();
    EXPECT_EQ(code_of([&] { fresh.get_manifest({repository_, "1", {}}); }), ErrorCode::denied);
    EXPECT_EQ(token_requests_.size() - tokens, 2U);
    EXPECT_EQ(http_.requests().size() - before, 5U);
  }
  // Refused for good is not asked about again.
  status_ = 403;
  const std::size_t tokens = token_requests_.size();
  EXPECT_EQ(code_of([&] { get(); }), ErrorCode::denied);
  EXPECT_LE(token_requests_.size() - tokens, 1U);
}

TEST_F(RegistryAuth, ALifeIsCountedFromReceiptByASteadyClock) {
  struct Row {
    const char* members;
    std::chrono::seconds life;
  };
  const Row rows[] = {
      {"", 60s},
      {",\"expires_in\":null", 60s},
      {",\"expires_in\":0", 60s},
      {",\"expires_in\":-5", 60s},
      {",\"expires_in\":\"300\"", 60s},
      {",\"expires_in\":[]", 60s},
      {",\"expires_in\":1e9", 60s},
      {",\"expires_in\":300", 300s},
      {",\"expires_in\":99999999999", 86'400s},
      {",\"expires_in\":18446744073709551615", 86'400s},
      {",\"expires_in\":300,\"issued_at\":\"2000-01-01T00:00:00Z\"", 300s},
      {",\"expires_in\":300,\"issued_at\":\"2999-01-01T00:00:00Z\"", 300s},
      {",\"expires_in\":300,\"issued_at\":\"yesterday\"", 300s},
      {",\"expires_in\":300,\"issued_at\":5", 300s},
  };
  for (const Row& row : rows) {
    token_ = row.members;
    Client fresh(http_, credentials_, options_);
    const auto fetch = [&] { fresh.get_manifest({repository_, "1", {}}); };
    const std::size_t before = token_requests_.size();
    fetch();
    now_ += row.life * 9 / 10 - 1s;
    fetch();
    EXPECT_EQ(token_requests_.size() - before, 1U) << row.members;
    now_ += 2s;
    fetch();
    EXPECT_EQ(token_requests_.size() - before, 2U) << row.members;
  }
}

TEST_F(RegistryAuth, AnExpiredTokenIsRenewedInTheMiddleOfAPush) {
  // Each token is good for three requests.
  std::map<std::string, int> uses;
  accept_ = [&](const ServerRequest& request) { return has_token(request) && ++uses[valid_] <= 3; };
  challenges_ = {{"WWW-Authenticate",
                  R"(Bearer realm="https://auth.example.com/token",service="reg",)"
                  R"(scope="repository:team/app:pull,push")"}};
  options_.sizes.monolithic_bytes = 1000;
  options_.sizes.chunk_bytes = 1000;
  for (const std::size_t size : {500U, 10'000U}) {
    const std::string bytes = text_of_size(size);
    client().put_blob(repository_, blob_of(bytes), opener(bytes));
    EXPECT_TRUE(registry_.has_blob("team/app", base::Digest::of(bytes))) << size;
    EXPECT_EQ(pull(blob_of(bytes)), bytes) << size;
  }
  EXPECT_GT(token_requests_.size(), 2U);
}

TEST_F(RegistryAuth, ChallengesAreReadHoweverTheyAreWritten) {
  using Fields = std::vector<std::pair<std::string, std::string>>;
  const std::string realm = R"(realm="https://auth.example.com/token")";
  const Fields rows[] = {
      {{"WWW-Authenticate", "Bearer " + realm}},
      {{"www-authenticate", "bEARER REALM=\"https://auth.example.com/token\""}},
      {{"WWW-Authenticate", "Bearer realm=https://auth.example.com/token"}},
      {{"WWW-Authenticate",
        "Basic realm=\"a, b=\\\"c\\\"\", Bearer " + realm + ",service=\"s, t\""}},
      {{"WWW-Authenticate", "Bearer service=\"s\" , " + realm + " , scope=\"a:b:c d:e:f\""}},
      {{"WWW-Authenticate", "Negotiate"}, {"WWW-Authenticate", "Bearer " + realm}},
      {{"WWW-Authenticate", "Negotiate dG9rZW4="}, {"WWW-Authenticate", "Bearer " + realm}},
      {{"WWW-Authenticate", "Negotiate, NTLM, Digest nonce=\"x\", Bearer " + realm}},
      {{"WWW-Authenticate", "Bearer"}, {"WWW-Authenticate", "Bearer " + realm}},
      {{"WWW-Authenticate", ""}, {"WWW-Authenticate", "Bearer " + realm}},
      {{"WWW-Authenticate", "Bearer realm=\""}, {"WWW-Authenticate", "Bearer " + realm}},
  };
  for (const Fields& fields : rows) {
    challenges_ = fields;
    Client fresh(http_, credentials_, options_);
    EXPECT_NO_THROW(fresh.get_manifest({repository_, "1", {}})) << fields.back().second;
  }
  // None that is understood: one request, no password.
  credentials_.set(kHost, {"me", "c4n4ry"});
  for (const char* field : {"Negotiate", "Digest realm=\"r\"", "Bearer", "", "Basi realm=\"r\""}) {
    challenges_ = {{"WWW-Authenticate", field}};
    Client fresh(http_, credentials_, options_);
    const std::size_t before = http_.requests().size();
    EXPECT_EQ(code_of([&] { fresh.get_manifest({repository_, "1", {}}); }), ErrorCode::denied);
    EXPECT_EQ(http_.requests().size(), before + 1) << field;
    EXPECT_EQ(http_.requests().back().header("Authorization"), "");
  }
}

TEST_F(RegistryAuth, ScopesDoNotGrowWithoutEnd) {
  int round = 0;
  http_.serve(kOrigin, [&](const ServerRequest&) {
    return ServerResponse{
        .status = 401,
        .headers = {{"WWW-Authenticate",
                     "Bearer realm=\"https://auth.example.com/token\",scope=\"repository:x" +
                         std::to_string(round++) + ":pull\""}}};
  });
  for (int i = 0; i < 50; ++i) EXPECT_THROW(get(), base::Error);
  EXPECT_LT(token_requests_.back().target.size(), 4000U);
}

TEST_F(RegistryAuth, AWrongPasswordSaysHowToGoOn) {
  credentials_.set(kHost, {"me", "c4n4ry-wrong"});
  http_.serve("https://auth.example.com", [](const ServerRequest&) {
    return ServerResponse{.status = 401,
                          .body = R"({"details":"unknown user, or another secret"})"};
  });
  base::Error error = error_of([&] { get(); });
  EXPECT_EQ(error.code(), ErrorCode::denied);
  EXPECT_STREQ(
      error.what(),
      "cannot get a token from \"auth.example.com\": denied (401, unknown user, or another "
      "secret)");
  EXPECT_EQ(error.hint(),
            "log in again, what is stored for it is refused: strake login reg.example.com");
  // The registry itself asks for it.
  challenges_ = {{"WWW-Authenticate", "Basic realm=\"r\""}};
  error = error_of([&] {
    Client(http_, credentials_, options_).get_manifest({repository_, "1", {}});
  });
  EXPECT_EQ(error.code(), ErrorCode::denied);
  EXPECT_THAT(error.hint(), HasSubstr("log in"));
  EXPECT_THAT(std::string(error.what()) + error.hint(), Not(HasSubstr("c4n4ry")));
}

TEST_F(RegistryAuth, ManyThreadsFetchOneToken) {
  client();
  for (int round = 1; round <= 3; ++round) {
    std::vector<std::jthread> threads;
    for (int i = 0; i < 8; ++i) threads.emplace_back([&] { get(); });
    threads.clear();
    EXPECT_EQ(token_requests_.size(), static_cast<std::size_t>(round));
    now_ += 95s;  // all of them find it too old
  }
}

TEST_F(RegistryAuth, IdentityTokensAreForTokenServersOnly) {
  credentials_.set(kHost, {"<token>", "", "c4n4ry-refresh", ""});
  get();
  ASSERT_EQ(token_requests_.size(), 1U);
  EXPECT_EQ(token_requests_[0].method, "POST");
  EXPECT_THAT(token_requests_[0].body, HasSubstr("grant_type=refresh_token"));
  EXPECT_THAT(token_requests_[0].target, Not(HasSubstr("c4n4ry")));
  challenges_ = {{"WWW-Authenticate", "Basic realm=\"r\""}};
  Client fresh(http_, credentials_, options_);
  EXPECT_EQ(code_of([&] { fresh.get_manifest({repository_, "1", {}}); }), ErrorCode::denied);
  for (const ServerRequest& request : http_.requests()) {
    const bool basic = request.header("Authorization").find("Basic") != std::string::npos;
    EXPECT_FALSE(basic && request.origin == kOrigin);
  }
}

TEST_F(RegistryAuth, ARefusedHeadIsNoEnd) {
  registry_.add_blob("team/app", "x");
  const auto allowed = accept_;
  accept_ = [&](const ServerRequest& request) {
    return request.method != "HEAD" && allowed(request);
  };
  status_ = 401;
  get();  // so that a token is known
  status_ = 403;
  EXPECT_FALSE(client().has_blob(repository_, base::Digest::of("x")));
  EXPECT_EQ(client().resolve({repository_, "1", {}}).digest, base::Digest::of(manifest_));
}

}  // namespace
}  // namespace strake::registry
