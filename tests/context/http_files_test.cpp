#include "builder/context/http_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "layers/blob_store.h"
#include "layers/store.h"
#include "tests/base/expect_error.h"
#include "tests/context/web_fixture.h"
#include "tests/support/fake_transport.h"

namespace strake::builder {
namespace {

namespace fs = std::filesystem;
using base::Digest;
using base::ErrorCode;
using base::expect_error;
using support::FakeTransport;
using support::ServerRequest;
using support::ServerResponse;
using testing::HasSubstr;

const char* const kUrl = "https://h/x";

class HttpFilesTest : public testing::Test {
 protected:
  /// As a build of its own would.
  HttpFile fetch(const HttpFileRequest& request = {.url = kUrl}) {
    return HttpFiles(web_, store_, blobs_, hasty()).fetch(request, {});
  }
  std::string content(const HttpFile& file) {
    const auto source = blobs_.open(file.blob);
    return base::read_all(*source, 1 << 20, "blob");
  }
  fs::path record() { return store_.memo() / "http" / Digest::of(kUrl).hex(); }
  std::size_t requests() { return web_.requests().size(); }

  base::TempDirectory directory_{"/tmp", "strake-http-"};
  layers::Store store_ = layers::Store::open(directory_.path() / "store");
  layers::BlobStore blobs_{store_};
  FakeTransport web_;
};

TEST_F(HttpFilesTest, KeepsAFileAsABlob) {
  web_.serve("https://h", file_server("text", "\"e\""));
  const HttpFile file = fetch();
  EXPECT_TRUE(file.downloaded);
  EXPECT_EQ(content(file), "text");
  EXPECT_EQ(file.blob.digest, Digest::of("text"));
  EXPECT_EQ(file.last_modified, 1485449953);
  EXPECT_EQ(file.content_type, "text/plain");
}

TEST_F(HttpFilesTest, KeepsAnEmptyFile) {
  web_.serve("https://h", [](const ServerRequest&) { return ServerResponse{}; });
  EXPECT_EQ(content(fetch()), "");
}

TEST_F(HttpFilesTest, DownloadsAgainOnlyWhatChanged) {
  web_.serve("https://h", file_server("text", "\"e\""));
  fetch();
  const HttpFile again = fetch();
  EXPECT_FALSE(again.downloaded);
  EXPECT_EQ(content(again), "text");
  EXPECT_EQ(again.last_modified, 1485449953);
  EXPECT_EQ(again.content_type, "text/plain");
  EXPECT_EQ(web_.requests()[1].header("If-None-Match"), "\"e\"");

  web_.serve("https://h", file_server("other", "\"f\""));
  EXPECT_EQ(content(fetch()), "other");
  EXPECT_FALSE(fetch().downloaded);
}

TEST_F(HttpFilesTest, DownloadsAgainWithoutValidators) {
  web_.serve("https://h", [](const ServerRequest&) { return ServerResponse{.body = "text"}; });
  fetch();
  EXPECT_TRUE(fetch().downloaded);
  EXPECT_EQ(web_.requests()[1].header("If-None-Match"), "");
}

TEST_F(HttpFilesTest, AsksOnceInABuild) {
  web_.serve("https://h", file_server("text", "\"e\""));
  HttpFiles files(web_, store_, blobs_, hasty());
  files.fetch({.url = kUrl}, {});
  files.fetch({.url = kUrl}, {});
  EXPECT_EQ(requests(), 1U);
  files.fetch({.url = kUrl, .authorization = "Bearer other"}, {});
  EXPECT_EQ(requests(), 2U);
}

TEST_F(HttpFilesTest, NeedsNoNetworkForAFileItHasByChecksum) {
  web_.serve("https://h", file_server("text", "\"e\""));
  const HttpFileRequest pinned{.url = kUrl, .checksum = Digest::of("text")};
  EXPECT_TRUE(fetch(pinned).downloaded);
  EXPECT_EQ(content(fetch(pinned)), "text");
  EXPECT_EQ(requests(), 1U);
}

TEST_F(HttpFilesTest, RefusesAnotherChecksumShowingBoth) {
  web_.serve("https://h", file_server("text", "\"e\""));
  const HttpFileRequest pinned{.url = kUrl, .checksum = Digest::of("other")};
  for (int i = 0; i < 2; ++i) {
    const std::string message = expect_error(ErrorCode::corrupt, [&] { fetch(pinned); });
    EXPECT_THAT(message, HasSubstr(Digest::of("text").str()));
    EXPECT_THAT(message, HasSubstr(Digest::of("other").str()));
    fetch();  // known now, and still not what is wanted
  }
}

TEST_F(HttpFilesTest, DoesNotRememberWhatHadTheWrongChecksum) {
  web_.serve("https://h", file_server("text", "\"e\""));
  expect_error(ErrorCode::corrupt, [&] { fetch({.url = kUrl, .checksum = Digest::of("other")}); });
  EXPECT_FALSE(fs::exists(record()));
}

TEST_F(HttpFilesTest, SurvivesDamagedRecordsAndPrunedBlobs) {
  web_.serve("https://h", file_server("text", "\"e\""));
  blobs_.remove(fetch().blob.digest);
  EXPECT_TRUE(fetch().downloaded);
  for (const char* damage : {"", "strake-http 1 \n", "garbage\nmore\n"}) {
    std::ofstream(record(), std::ios::trunc) << damage;
    EXPECT_TRUE(fetch().downloaded) << damage;
  }
  std::string text = *base::read_file(record());
  text[text.size() / 2] ^= 1;
  std::ofstream(record(), std::ios::trunc) << text;
  EXPECT_TRUE(fetch().downloaded);
  EXPECT_FALSE(fetch().downloaded);
}

TEST(Checksum, IsSha256) {
  const std::string digest = Digest::of("x").str();
  EXPECT_EQ(parse_checksum(digest), Digest::of("x"));
  EXPECT_THAT(expect_error(ErrorCode::unsupported, [] { parse_checksum("sha512:00"); }),
              HasSubstr("sha512"));
  expect_error(ErrorCode::invalid_input, [] { parse_checksum("sha256:12"); });
  expect_error(ErrorCode::invalid_input, [] { parse_checksum("md5:12"); });
}

}  // namespace
}  // namespace strake::builder
