#include "registry/courier.h"

#include <fcntl.h>
#include <sys/socket.h>

#include <fstream>
#include <latch>
#include <thread>

#include "tests/registry/expect_error.h"
#include "tests/support/fake_transport.h"

namespace strake::registry {
namespace {

namespace fs = std::filesystem;
using base::Error;
using base::ErrorCode;
using base::FileDescriptor;
using support::ServerRequest;
using support::ServerResponse;
using testing::code_of;

/// A courier in a thread of this process, at whose other end is a fake transport.
class CourierTest : public ::testing::Test {
 protected:
  CourierTest() {
    int ends[2];
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
    courier_.emplace(FileDescriptor(ends[0]));
    there_ = std::jthread(
        [this, socket = FileDescriptor(ends[1])] { run_courier(http_, socket.get()); });
    std::ofstream(directory_.path() / "blob") << "0123456789";
    file_ = FileDescriptor(::open((directory_.path() / "blob").c_str(), O_RDONLY | O_CLOEXEC));
  }
  ~CourierTest() override { courier_.reset(); }

  HttpResponse deliver(std::stop_token stop = {}) {
    HttpRequest request;
    request.method = "PATCH";
    request.url = "https://reg.example.com/v2/app/blobs/uploads/1?_state=a";
    request.headers.add("Content-Range", "3-7");
    request.headers.add("Authorization", "Bearer t");
    request.body_size = 5;
    return courier_->deliver(request, {file_.get(), 3, *record_}, {}, std::move(stop));
  }
  std::optional<UploadSessions::Record> open_record() {
    return UploadSessions(directory_.path() / "uploads")
        .open({"reg.example.com", "app"}, base::Digest::of("blob"));
  }

  const base::TempDirectory directory_{fs::temp_directory_path(), "strake-courier-"};
  support::FakeTransport http_;
  std::optional<UploadSessions::Record> record_ = open_record();
  FileDescriptor file_;
  std::optional<Courier> courier_;
  std::jthread there_;
};

TEST_F(CourierTest, SendsAPartOfAFileAndBringsTheAnswer) {
  http_.serve("https://reg.example.com", [](const ServerRequest& request) {
    EXPECT_EQ(request.line(), "PATCH /v2/app/blobs/uploads/1?_state=a");
    EXPECT_EQ(request.header("Content-Range"), "3-7");
    EXPECT_EQ(request.header("Authorization"), "Bearer t");
    EXPECT_EQ(request.body, "34567");
    return ServerResponse{.status = 416, .headers = {{"Range", "0-2"}}, .body = "no\xff"};
  });
  const HttpResponse response = deliver();
  EXPECT_EQ(response.status, 416);
  EXPECT_EQ(response.headers.get("Range"), "0-2");
  EXPECT_EQ(response.body.substr(0, 2), "no");
  record_.reset();
  EXPECT_FALSE(open_record()->found());
}

TEST_F(CourierTest, WritesDownWhereTheUploadGoesOn) {
  http_.serve("https://reg.example.com", [](const ServerRequest&) {
    return ServerResponse{.status = 202, .headers = {{"Location", "/v2/app/up/2?_state=b"}}};
  });
  deliver();
  record_.reset();
  const auto record = open_record();
  ASSERT_TRUE(record && record->found());
  EXPECT_EQ(record->found()->location, "https://reg.example.com/v2/app/up/2?_state=b");
  EXPECT_EQ(record->found()->offset_bytes, 8u);
}

TEST_F(CourierTest, FinishesAndHoldsTheLockWhenItsMasterIsGone) {
  std::latch begun(1), finish(1);
  http_.serve("https://reg.example.com", [&](const ServerRequest&) {
    begun.count_down();
    finish.wait();
    return ServerResponse{.status = 202, .headers = {{"Location", "/v2/app/up/2"}}};
  });
  record_->write({"https://reg.example.com/v2/app/blobs/uploads/1?_state=a", 3});
  std::stop_source stop;
  std::jthread master(
      [&] { EXPECT_EQ(code_of([&] { deliver(stop.get_token()); }), ErrorCode::cancelled); });
  begun.wait();
  stop.request_stop();
  master.join();
  courier_.reset();  // all that a process that is killed leaves: closed descriptors
  record_.reset();
  EXPECT_FALSE(open_record());
  finish.count_down();
  there_.join();
  const auto record = open_record();
  ASSERT_TRUE(record && record->found());
  EXPECT_EQ(record->found()->location, "https://reg.example.com/v2/app/up/2");
}

TEST_F(CourierTest, ErrorsComeBack) {
  http_.serve("https://reg.example.com", [](const ServerRequest&) -> ServerResponse {
    throw Error(ErrorCode::denied, "not trusted").hint("trust it");
  });
  const Error error = testing::error_of([&] { deliver(); });
  EXPECT_EQ(error.code(), ErrorCode::denied);
  EXPECT_EQ(std::string(error.what()), "not trusted");
  EXPECT_EQ(error.hint(), "trust it");
}

TEST(Courier, OneThatEndsIsUnavailable) {
  const base::TempDirectory directory(fs::temp_directory_path(), "strake-courier-");
  const auto record = UploadSessions(directory.path()).open({"h", "p"}, base::Digest::of("x"));
  Courier courier({"/bin/true"});
  EXPECT_EQ(code_of([&] { courier.deliver({}, {0, 0, *record}, {}, {}); }), ErrorCode::unavailable);
}

TEST(Courier, GetsTheEnvironmentOfATransportOnly) {
  const base::TempDirectory directory(fs::temp_directory_path(), "strake-courier-");
  const std::string output = directory.path() / "environment";
  ::setenv("https_proxy", "http://proxy.example.com", 1);
  ::setenv("DOCKER_AUTH_CONFIG", "{}", 1);
  { const Courier courier({"/bin/sh", "-c", "env >" + output}); }
  ::unsetenv("https_proxy");
  ::unsetenv("DOCKER_AUTH_CONFIG");
  const std::string environment = *base::read_file(output);
  EXPECT_THAT(environment, ::testing::HasSubstr("https_proxy=http://proxy.example.com"));
  EXPECT_THAT(environment, ::testing::Not(::testing::HasSubstr("DOCKER_AUTH_CONFIG")));
}

TEST(Courier, OneThatCannotBeStartedIsAnError) {
  EXPECT_THROW(Courier({"/nonexistent/program"}), Error);
}

}  // namespace
}  // namespace strake::registry
