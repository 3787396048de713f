#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <functional>
#include <mutex>
#include <set>
#include <thread>

#include "layers/base/files.h"
#include "registry/client.h"
#include "registry/curl_transport.h"
#include "registry/transfer.h"
#include "tests/registry/expect_error.h"
#include "tests/support/http_server.h"

extern char** environ;

namespace strake::registry {
namespace {

namespace fs = std::filesystem;
using base::ErrorCode;
using testing::code_of;

/// A running program without output; -1 if it cannot be started.
pid_t spawn(std::vector<std::string> words) {
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
  posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
  pid_t pid = -1;
  if (posix_spawnp(&pid, arguments[0], &actions, nullptr, arguments.data(), environ) != 0) pid = -1;
  posix_spawn_file_actions_destroy(&actions);
  return pid;
}

bool succeeds(std::vector<std::string> words) {
  const pid_t pid = spawn(std::move(words));
  int status = -1;
  return pid > 0 && waitpid(pid, &status, 0) == pid && status == 0;
}

/// The reference implementation (Debian: docker-registry) on a free port, in a directory of its
/// own.
class DockerRegistry {
 public:
  explicit DockerRegistry(const std::string& extra_config = "") {
    {
      const support::HttpServer free_port([](const auto&) { return support::ServerResponse{}; });
      host_ = free_port.host();
    }
    const fs::path config = directory_.path() / "config.yml";
    std::ofstream(config)
        << "version: 0.1\nlog:\n  level: error\n  accesslog:\n    disabled: true\n"
           "storage:\n  filesystem:\n    rootdirectory: "
        << (directory_.path() / "data").string() << "\nhttp:\n  addr: " << host_ << "\n"
        << extra_config;
    pid_ = spawn({"docker-registry", "serve", config.string()});
  }
  ~DockerRegistry() {
    if (pid_ <= 0) return;
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }
  DockerRegistry(const DockerRegistry&) = delete;
  DockerRegistry& operator=(const DockerRegistry&) = delete;

  bool started() const { return pid_ > 0; }
  const std::string& host() const { return host_; }
  const fs::path& directory() const { return directory_.path(); }

 private:
  base::TempDirectory directory_{fs::temp_directory_path(), "strake-registry-"};
  std::string host_;
  pid_t pid_ = -1;
};

oci::Descriptor descriptor(std::string_view type, const std::string& bytes) {
  return {std::string(type), base::Digest::of(bytes), bytes.size()};
}
BlobUpload upload(std::string_view type, const std::string& bytes,
                  std::vector<oci::Repository> mount_from = {}) {
  return {
      descriptor(type, bytes),
      [bytes](std::uint64_t offset) { return std::make_unique<base::StringSource>(bytes, offset); },
      std::move(mount_from)};
}

class DockerRegistryTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!registry_.started()) GTEST_SKIP() << "docker-registry is not installed";
    client_.ping(registry_.host());  // again until it is up: what is tested may not try again
  }

  /// The states the blobs of `image` went through, in any order.
  std::multiset<TransferState> push(const oci::Repository& to,
                                    std::vector<oci::Repository> mount_from = {}) {
    std::mutex mutex;
    std::multiset<TransferState> states;
    BlobUploader uploader(client_, to, {.progress = [&](const TransferProgress& progress) {
                            const std::lock_guard lock(mutex);
                            if (progress.state != TransferState::uploading) {
                              states.insert(progress.state);
                            }
                          }});
    push_image(client_, uploader,
               {upload(oci::media_type::kOciConfig, config_, mount_from),
                upload(oci::media_type::kOciLayerGzip, layer_, mount_from)},
               {}, {manifest_.descriptor, manifest_.bytes}, std::vector<std::string>{"1.0"});
    return states;
  }

  DockerRegistry registry_;
  CurlTransport http_;
  Credentials credentials_;
  Client client_{http_, credentials_};
  const oci::Repository app_{registry_.host(), "team/app"};
  const std::string config_ = R"({"architecture":"amd64","os":"linux","rootfs":{"type":"layers"}})";
  const std::string layer_ = std::string(3'000'000, 'l');
  const oci::Document<oci::Manifest> manifest_ =
      oci::make_manifest({.config = descriptor(oci::media_type::kOciConfig, config_),
                          .layers = {descriptor(oci::media_type::kOciLayerGzip, layer_)}});
};

TEST_F(DockerRegistryTest, PushSkipMountAndPull) {
  EXPECT_NO_THROW(client_.check_push_permission(app_));
  EXPECT_EQ(push(app_), (std::multiset{TransferState::done, TransferState::done}));
  EXPECT_EQ(push(app_), (std::multiset{TransferState::exists, TransferState::exists}));
  const oci::Repository other{registry_.host(), "other"};
  EXPECT_EQ(push(other, {app_}), (std::multiset{TransferState::mounted, TransferState::mounted}));

  const oci::Reference tag{other, "1.0", std::nullopt};
  EXPECT_EQ(client_.resolve(tag), manifest_.descriptor);
  const auto pulled = client_.get_manifest(tag);
  EXPECT_EQ(pulled.bytes, manifest_.bytes);
  base::StringSink config, layer;
  const oci::Manifest& manifest = std::get<oci::Manifest>(pulled.value);
  const std::vector<BlobFetch> fetches = {{manifest.config, config}, {manifest.layers[0], layer}};
  fetch_blobs(client_, other, fetches);
  EXPECT_EQ(config.text, config_);
  EXPECT_EQ(layer.text, layer_);
  EXPECT_EQ(client_.list_tags(other), (std::vector<std::string>{"1.0"}));
}

/// A blob that a thread writes while it is uploaded.
class StreamedUploadTest : public DockerRegistryTest {
 protected:
  StreamedUploadTest() { options_.sizes.streamed_bytes = 1 << 20; }

  void grow_to(std::size_t size) {
    base::write_full(file_.get(), base::bytes_of(bytes_).subspan(written_, size - written_),
                     "test file");
    written_ = size;
    blob_->grown_to(size);
  }
  /// How much the registry has of uploads that are not finished; nullopt if there is none. (Of one
  /// that was cancelled it keeps directories.)
  std::optional<std::uintmax_t> unfinished_bytes() const {
    const fs::path uploads =
        registry_.directory() / "data/docker/registry/v2/repositories/team/app/_uploads";
    std::error_code none;
    std::optional<std::uintmax_t> bytes;
    for (const auto& upload : fs::directory_iterator(uploads, none)) {
      const std::uintmax_t size = fs::file_size(upload.path() / "data", none);
      if (!none) bytes = bytes.value_or(0) + size;
    }
    return bytes;
  }
  void await_unfinished(std::uintmax_t bytes) const {
    for (int i = 0; i < 1000 && unfinished_bytes().value_or(0) < bytes; ++i)
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    ASSERT_GE(unfinished_bytes(), bytes);
  }

  /// Writes the beginning, and does `end` when the registry has got that.
  std::jthread begin_and(std::function<void()> end) {
    return std::jthread([this, end = std::move(end)] {
      grow_to(1'500'000);
      await_unfinished(1'500'000);
      end();
    });
  }

  const std::string bytes_ = [] {
    std::string text;
    for (int i = 0; text.size() < 5'000'000; ++i) text += std::to_string(i);
    return text;
  }();
  const base::TempDirectory directory_{fs::temp_directory_path(), "strake-growing-"};
  const std::string path_ = directory_.path() / "blob";
  base::FileDescriptor file_{::open(path_.c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0600)};
  std::shared_ptr<base::GrowingFile> blob_ = std::make_shared<base::GrowingFile>(file_.duplicate());
  std::size_t written_ = 0;
  ClientOptions options_;
};

TEST_F(StreamedUploadTest, ABlobIsThereWhenItIsMade) {
  Client client(http_, credentials_, options_);
  BlobUploader uploader(client, app_);
  uploader.stream(blob_);
  grow_to(1'500'000);
  await_unfinished(1'500'000);  // before the blob is whole
  grow_to(3'000'000);
  grow_to(bytes_.size());
  blob_->finish(bytes_.size(), base::Digest::of(bytes_));
  BlobUpload finished = upload("application/octet-stream", bytes_);
  finished.open = [](std::uint64_t) -> std::unique_ptr<base::ByteSource> {
    throw base::Error(ErrorCode::system, "sent twice");
  };
  uploader.enqueue(std::move(finished));
  uploader.wait_all();
  EXPECT_TRUE(client.has_blob(app_, base::Digest::of(bytes_)));
  EXPECT_EQ(unfinished_bytes(), std::nullopt);
}

TEST_F(StreamedUploadTest, WhatIsDroppedLeavesNothing) {
  Client client(http_, credentials_, options_);
  const std::jthread writer = begin_and([this] { blob_->abandon(); });
  EXPECT_FALSE(client.stream_blob(app_, *blob_));
  EXPECT_EQ(unfinished_bytes(), std::nullopt);
}

TEST_F(StreamedUploadTest, WhatWasDamagedOnTheWayIsRefused) {
  Client client(http_, credentials_, options_);
  const std::jthread writer =
      begin_and([this] { blob_->finish(written_, base::Digest::of(bytes_)); });
  EXPECT_FALSE(client.stream_blob(app_, *blob_));
  EXPECT_FALSE(client.has_blob(app_, base::Digest::of(bytes_)));
}

TEST_F(DockerRegistryTest, WhatIsNotThereIsNotFound) {
  EXPECT_EQ(code_of([&] { client_.resolve({app_, "none", {}}); }), ErrorCode::not_found);
  EXPECT_FALSE(client_.has_blob(app_, base::Digest::of("none")));
  base::StringSink sink;
  EXPECT_EQ(code_of([&] { client_.get_blob(app_, descriptor("x", "none"), sink); }),
            ErrorCode::not_found);
  EXPECT_FALSE(
      client_.mount_blob(app_, {registry_.host(), "no"}, base::Digest::of("none")).mounted);
}

TEST_F(DockerRegistryTest, ManifestWithoutItsBlobsIsRefused) {
  EXPECT_THROW(
      client_.put_manifest({app_, "1.0", {}}, manifest_.bytes, manifest_.descriptor.media_type),
      base::Error);
}

TEST_F(DockerRegistryTest, WrongBytesAreRefused) {
  EXPECT_EQ(code_of([&] {
              client_.put_blob(app_, descriptor("x", "right"), [](std::uint64_t offset) {
                return std::make_unique<base::StringSource>("wrong", offset);
              });
            }),
            ErrorCode::corrupt);
}

TEST_F(DockerRegistryTest, PasswordsAreChecked) {
  const base::TempDirectory directory(fs::temp_directory_path(), "strake-htpasswd-");
  const fs::path passwords = directory.path() / "htpasswd";
  // bcrypt of "secret-word"
  std::ofstream(passwords) << "me:$2y$04$GHg6blEi2saeRKnTloJj3.4q30WUIXVsWl5U0jigOckbvSSzc.UzK\n";
  const DockerRegistry locked(
      "auth:\n  htpasswd:\n    realm: strake\n    path: " + passwords.string() + "\n");
  ASSERT_TRUE(locked.started());
  const oci::Repository repository{locked.host(), "team/app"};
  EXPECT_EQ(code_of([&] { client_.check_push_permission(repository); }), ErrorCode::denied);
  for (const auto& [password, right] : {std::pair{"wrong-word", false}, {"secret-word", true}}) {
    Credentials credentials;
    credentials.set(locked.host(), {"me", password});
    Client client(http_, credentials);
    if (right) {
      EXPECT_NO_THROW(client.ping(locked.host()));
      EXPECT_NO_THROW(client.check_push_permission(repository));
    } else {
      EXPECT_EQ(code_of([&] { client.ping(locked.host()); }), ErrorCode::denied);
    }
  }
}

TEST_F(DockerRegistryTest, CertificatesAreVerifiedUnlessToldOtherwise) {
  const base::TempDirectory directory(fs::temp_directory_path(), "strake-tls-");
  const std::string certificate = (directory.path() / "cert.pem").string();
  const std::string key = (directory.path() / "key.pem").string();
  if (!succeeds({"openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                 "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", key, "-out", certificate,
                 "-subj", "/CN=strake", "-addext", "subjectAltName=IP:127.0.0.1"})) {
    GTEST_SKIP() << "openssl is not installed";
  }
  const DockerRegistry secure("  tls:\n    certificate: " + certificate + "\n    key: " + key +
                              "\n");
  const oci::Repository repository{secure.host(), "team/app"};
  const base::Error error = testing::error_of([&] { client_.check_push_permission(repository); });
  EXPECT_EQ(error.code(), ErrorCode::denied);
  EXPECT_THAT(error.hint(), ::testing::HasSubstr("certs.d/" + secure.host()));

  fs::create_directories(directory.path() / "certs.d" / secure.host());
  fs::copy(certificate, directory.path() / "certs.d" / secure.host() / "ca.crt");
  Client trusting(http_, credentials_,
                  {.certificate_directories = {(directory.path() / "certs.d").string()}});
  EXPECT_NO_THROW(trusting.check_push_permission(repository));

  ClientOptions options;
  options.registries.add(insecure_registries({secure.host()}, "test"));
  Client careless(http_, credentials_, options);
  EXPECT_NO_THROW(careless.check_push_permission(repository));
}

}  // namespace
}  // namespace strake::registry
