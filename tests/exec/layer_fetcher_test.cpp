#include "builder/exec/layer_fetcher.h"

#include <sys/stat.h>

#include <chrono>
#include <thread>

#include "layers/archive/compression.h"
#include "layers/base/error.h"
#include "layers/base/rooted_directory.h"
#include "tests/exec/store_support.h"
#include "tests/registry/expect_error.h"
#include "tests/support/tar_builder.h"

namespace strake::builder {
namespace {

namespace fs = std::filesystem;
using base::Error;
using base::ErrorCode;
using registry::testing::code_of;
using registry::testing::error_of;
using support::ServerRequest;
using support::ServerResponse;
using test::TarBuilder;
using testing::HasSubstr;

/// Text that does not compress well and differs everywhere.
std::string noise(std::size_t size, std::uint64_t seed) {
  std::string text;
  while (text.size() < size) {
    seed = seed * 6364136223846793005U + 1442695040888963407U;
    text += static_cast<char>(seed >> 56);
  }
  return text;
}

/// A registry at https://reg.example.com that has one layer, or says so.
class LayerFetching : public MachineTest {
 protected:
  LayerFetching() {
    http_.serve("https://reg.example.com", [this](const ServerRequest& request) {
      ++requests_;
      return answer_ ? answer_(request) : answer(request);
    });
  }

  /// The layer that is served, in this form. The store knows of it as builds learn of layers.
  void serve(std::string tar, oci::Compression compression = oci::Compression::gzip) {
    tar_ = std::move(tar);
    base::StringSink blob;
    const auto compressor =
        layers::make_compressor(compression, std::nullopt, blob, base::WorkerPool::shared());
    compressor->write(base::bytes_of(tar_));
    compressor->finish();
    serve_blob(blob.text, {base::Digest::of(tar_)}, compression);
  }
  void serve_blob(std::string blob, const base::DiffId& layer,
                  oci::Compression compression = oci::Compression::gzip) {
    blob_ = std::move(blob);
    layer_ = layer;
    descriptor_ = {std::string(oci::layer_media_type(compression)), base::Digest::of(blob_),
                   blob_.size()};
    layers_.add_blob(layer_, descriptor_, &repository_);
  }

  /// As a server that knows ranges answers.
  ServerResponse answer(const ServerRequest& request) const {
    const std::string range = request.header("Range");
    if (range.empty()) return {.body = blob_};
    const std::size_t begin = std::stoul(range.substr(6));
    return {.status = 206,
            .headers = {{"Content-Range", "bytes " + std::to_string(begin) + "-" +
                                              std::to_string(blob_.size() - 1) + "/" +
                                              std::to_string(blob_.size())}},
            .body = blob_.substr(begin)};
  }

  void fetch() { LayerFetcher(machine_, stop_.get_token()).ensure_trees({&layer_, 1}); }
  std::string content(const std::string& path) const {
    const base::RootedDirectory tree(layers_.open_tree(layer_));
    base::FileSource file(tree.open(path, O_RDONLY), path);
    return base::read_all(file, 64 << 20, path);
  }
  /// What unpackings and downloads have in the store while they go on.
  std::vector<std::string> unfinished() const {
    std::vector<std::string> names;
    for (const auto& entry : fs::recursive_directory_iterator(store_.ingest()))
      if (entry.path().filename().string().starts_with("unpack-") ||
          entry.path().parent_path().filename() == "partial")
        names.push_back(entry.path().filename());
    return names;
  }
  /// Whether an unpacking that goes on has made `path`.
  bool is_being_unpacked(const std::string& path) const {
    for (const auto& process : fs::directory_iterator(store_.ingest()))
      if (process.is_directory())
        for (const auto& work : fs::directory_iterator(process.path()))
          if (fs::exists(work.path() / "tree" / path)) return true;
    return false;
  }
  void expect_nothing_is_left() const {
    EXPECT_FALSE(layers_.has_tree(layer_));
    EXPECT_FALSE(fs::exists(layers_.tree_path(layer_)));
    EXPECT_THAT(unfinished(), testing::IsEmpty());
  }

  /// Of a megabyte: many pieces, most of them come after the first file.
  static std::string big_layer() {
    TarBuilder tar;
    tar.directory("d").file("d/first", "1");
    for (int i = 0; i < 16; ++i)
      tar.file("d/f" + std::to_string(i), noise(65'000, static_cast<std::uint64_t>(i)));
    return tar.file("last", "end").str();
  }

  oci::Repository repository_{"reg.example.com", "app"};
  std::string tar_, blob_;
  base::DiffId layer_;
  oci::Descriptor descriptor_;
  std::function<ServerResponse(const ServerRequest&)> answer_;
  int requests_ = 0;
  std::stop_source stop_;
};

TEST_F(LayerFetching, UnpacksWhatItPulls) {
  for (const oci::Compression form :
       {oci::Compression::gzip, oci::Compression::zstd, oci::Compression::none}) {
    requests_ = 0;
    serve(TarBuilder().file("which", std::to_string(static_cast<int>(form))).raw(big_layer()).str(),
          form);
    fetch();
    EXPECT_EQ(content("which"), std::to_string(static_cast<int>(form)));
    EXPECT_EQ(content("d/f7"), noise(65'000, 7));
    EXPECT_EQ(content("last"), "end");
    EXPECT_TRUE(blobs_.contains(descriptor_.digest));
    EXPECT_EQ(requests_, 1);
    EXPECT_THAT(unfinished(), testing::IsEmpty());
  }
}

TEST_F(LayerFetching, UnpacksWhileTheBlobStillComes) {
  serve(big_layer());
  bool seen = false;
  answer_ = [&](const ServerRequest& request) {
    if (requests_ == 1) {
      ServerResponse half = answer(request);
      half.cut_after = blob_.size() / 2;
      return half;
    }
    // The second half is not sent before a file of the first one is on the disk.
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (!seen && std::chrono::steady_clock::now() < deadline) {
      seen = is_being_unpacked("d/first");
      std::this_thread::yield();
    }
    EXPECT_FALSE(layers_.has_tree(layer_));
    return answer(request);
  };
  fetch();
  EXPECT_TRUE(seen);
  EXPECT_EQ(content("d/f15"), noise(65'000, 15));
  EXPECT_EQ(content("last"), "end");
}

TEST_F(LayerFetching, GoesOnWithWhatAnEarlierProcessGot) {
  serve(big_layer());
  blobs_.resume(descriptor_).write(base::bytes_of(blob_).first(blob_.size() / 3));
  std::string range;
  answer_ = [&](const ServerRequest& request) {
    range = request.header("Range");
    return answer(request);
  };
  fetch();
  EXPECT_EQ(range, "bytes=" + std::to_string(blob_.size() / 3) + "-");
  EXPECT_EQ(content("last"), "end");
}

TEST_F(LayerFetching, DamagedBytesAreUnpackedAgain) {
  serve(big_layer());
  for (const std::size_t place : {std::size_t{0}, blob_.size() / 2, blob_.size() - 1}) {
    requests_ = 0;
    layers_.remove(layer_);
    blobs_.remove(descriptor_.digest);
    layers_.add_blob(layer_, descriptor_, &repository_);
    answer_ = [&](const ServerRequest& request) {
      ServerResponse response = answer(request);
      if (requests_ == 1) response.body[place] = static_cast<char>(response.body[place] ^ 0x55);
      return response;
    };
    fetch();
    EXPECT_EQ(requests_, 2);
    EXPECT_EQ(content("d/f3"), noise(65'000, 3));
    EXPECT_EQ(content("last"), "end");
    EXPECT_THAT(unfinished(), testing::IsEmpty());
  }
}

// The damage may be where it changes no file: in bytes behind the archive's end.
TEST_F(LayerFetching, NothingIsKeptOfABlobWithAnotherDigest) {
  serve(big_layer());
  const std::string wrong = blob_ + std::string(512, '\0');  // zeros after gzip mean nothing
  descriptor_ = {descriptor_.media_type, base::Digest::of("another"), wrong.size()};
  layers_.remove(layer_);
  layers_.add_blob(layer_, descriptor_, &repository_);
  answer_ = [&](const ServerRequest&) { return ServerResponse{.body = wrong}; };
  const Error error = error_of([&] { fetch(); });
  EXPECT_EQ(error.code(), ErrorCode::corrupt);
  EXPECT_THAT(error.what(), HasSubstr("has other content"));
  EXPECT_THAT(error.context(), testing::ElementsAre(HasSubstr("pulling layer ")));
  expect_nothing_is_left();
  EXPECT_FALSE(blobs_.contains(descriptor_.digest));
}

TEST_F(LayerFetching, NothingIsKeptOfALayerWithAnotherDiffId) {
  serve(big_layer());
  serve_blob(blob_, {base::Digest::of("another")});
  const Error error = error_of([&] { fetch(); });
  EXPECT_EQ(error.code(), ErrorCode::corrupt);
  EXPECT_THAT(error.what(), HasSubstr("has another content than it should"));
  EXPECT_THAT(error.context(), testing::Contains(HasSubstr("unpacking layer ")));
  expect_nothing_is_left();
}

TEST_F(LayerFetching, TruncatedLayerLeavesNothing) {
  serve(big_layer());
  layers_.remove(layer_);
  serve_blob(blob_.substr(0, blob_.size() / 2), layer_);
  const Error error = error_of([&] { fetch(); });
  EXPECT_EQ(error.code(), ErrorCode::corrupt);
  EXPECT_THAT(error.what(), HasSubstr("it ends too early"));
  EXPECT_THAT(error.context(), testing::Contains(HasSubstr("unpacking layer ")));
  expect_nothing_is_left();
}

TEST_F(LayerFetching, DownloadThatFailsLeavesNoTree) {
  serve(big_layer());
  answer_ = [&](const ServerRequest& request) {
    if (requests_ > 1) return ServerResponse{.status = 404};
    ServerResponse half = answer(request);
    half.cut_after = blob_.size() / 2;
    return half;
  };
  const Error error = error_of([&] { fetch(); });
  EXPECT_EQ(error.code(), ErrorCode::not_found);
  EXPECT_THAT(error.context(), testing::ElementsAre(HasSubstr("pulling layer ")));
  EXPECT_FALSE(layers_.has_tree(layer_));
  EXPECT_THAT(unfinished(), testing::ElementsAre(descriptor_.digest.hex()));  // to go on with
}

TEST_F(LayerFetching, CancelledDownloadLeavesNoTree) {
  serve(big_layer());
  answer_ = [&](const ServerRequest& request) {
    ServerResponse half = answer(request);
    half.cut_after = blob_.size() / 2;
    stop_.request_stop();
    return half;
  };
  EXPECT_EQ(code_of([&] { fetch(); }), ErrorCode::cancelled);
  EXPECT_FALSE(layers_.has_tree(layer_));
}

TEST_F(LayerFetching, ManyLayersAtOnce) {
  std::map<std::string, std::string> blobs;
  std::vector<base::DiffId> all;
  for (int i = 0; i < 24; ++i) {
    serve(TarBuilder().file("number", std::to_string(i)).raw(big_layer()).str());
    blobs[descriptor_.digest.str()] = blob_;
    all.push_back(layer_);
  }
  answer_ = [&](const ServerRequest& request) {
    return ServerResponse{.body = blobs.at(request.target.substr(request.target.rfind('/') + 1))};
  };
  LayerFetcher(machine_, {}).ensure_trees(all);
  for (std::size_t i = 0; i < all.size(); ++i) {
    layer_ = all[i];
    EXPECT_EQ(content("number"), std::to_string(i));
    EXPECT_EQ(content("last"), "end");
  }
}

}  // namespace
}  // namespace strake::builder
