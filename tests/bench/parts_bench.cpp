// What the parts of a build cost. Build with -DSTRAKE_BENCH=ON.

#include <benchmark/benchmark.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <random>
#include <string>

#include "builder/dockerfile/parser.h"
#include "builder/exec/copy_selection.h"
#include "cache/disk_cache.h"
#include "cache/stat_memo.h"
#include "layers/archive/compression.h"
#include "layers/archive/parallel_tar_writer.h"
#include "layers/archive/tar_reader.h"
#include "layers/archive/tar_writer.h"
#include "layers/base/digest.h"
#include "layers/base/fd.h"
#include "layers/base/files.h"
#include "layers/snapshot/apply.h"

namespace {

using namespace strake;

// ---- Content ----

enum Content { text, noise, floats, machine_code };
constexpr const char* kNames[] = {"text", "noise", "floats", "machine code"};

/// Deterministic, and compressible as sources are.
std::string text_of(std::size_t size) {
  std::string text;
  text.reserve(size + 64);
  std::uint64_t state = 42;
  while (text.size() < size) {
    state = state * 6364136223846793005U + 1442695040888963407U;
    text += "value_" + std::to_string(state >> 50) + " = compute(" + std::to_string(state >> 56) +
            ");\n";
  }
  text.resize(size);
  return text;
}

std::string noise_of(std::size_t size) {
  std::mt19937_64 chance(1);
  std::string bytes(size, '\0');
  for (std::size_t i = 0; i + 8 <= size; i += 8) {
    const std::uint64_t word = chance();
    std::memcpy(bytes.data() + i, &word, 8);
  }
  return bytes;
}

/// Weights of a model: small, and around zero.
std::string floats_of(std::size_t size) {
  std::mt19937_64 chance(2);
  std::normal_distribution<float> weight(0, 0.02F);
  std::string bytes(size, '\0');
  for (std::size_t i = 0; i + 4 <= size; i += 4) {
    const float value = weight(chance);
    std::memcpy(bytes.data() + i, &value, 4);
  }
  return bytes;
}

/// This program's own, again and again, which 1 MiB blocks and 32 KiB windows do not see.
std::string machine_code_of(std::size_t size) {
  std::ifstream self("/proc/self/exe", std::ios::binary);
  const std::string program(std::istreambuf_iterator<char>(self), {});
  std::string bytes;
  while (bytes.size() < size) bytes += program;
  bytes.resize(size);
  return bytes;
}

std::string sample(std::int64_t content, std::size_t size) {
  switch (content) {
    case noise:
      return noise_of(size);
    case floats:
      return floats_of(size);
    case machine_code:
      return machine_code_of(size);
    default:
      return text_of(size);
  }
}

struct Discard final : base::ByteSink {
  void write(std::span<const std::byte> bytes) override { count += bytes.size(); }
  std::uint64_t count = 0;
};

/// A directory of `count` files of 2 KiB, a hundred in a directory.
class SmallFiles {
 public:
  explicit SmallFiles(int count) {
    const std::string content = text_of(2048);
    for (int i = 0; i < count; ++i) {
      const auto directory = path() / std::to_string(i / 100);
      if (i % 100 == 0) std::filesystem::create_directory(directory);
      std::ofstream(directory / std::to_string(i)) << content;
    }
  }
  const std::filesystem::path& path() const { return directory_.path(); }

 private:
  base::TempDirectory directory_{std::filesystem::temp_directory_path(), "parts-bench-"};
};

base::FileDescriptor open_directory(const std::filesystem::path& path) {
  return base::FileDescriptor(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
}

layers::TarEntry file_entry(std::string path, std::uint64_t size) {
  layers::TarEntry entry;
  entry.path = std::move(path);
  entry.size_bytes = size;
  return entry;
}

// ---- Bytes ----

void sha256(benchmark::State& state) {
  const std::string data = text_of(1 << 20);
  for (auto _ : state) benchmark::DoNotOptimize(base::Digest::of(data));
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations() * data.size()));
}
BENCHMARK(sha256);

constexpr auto kGzip = static_cast<std::int64_t>(oci::Compression::gzip);
constexpr auto kZstd = static_cast<std::int64_t>(oci::Compression::zstd);

void compress(benchmark::State& state) {
  const auto compression = static_cast<oci::Compression>(state.range(0));
  const std::string data = sample(state.range(1), 32 << 20);
  std::uint64_t size = 0;
  for (auto _ : state) {
    Discard out;
    const auto sink =
        layers::make_compressor(compression, std::nullopt, out, base::WorkerPool::shared());
    sink->write(base::bytes_of(data));
    sink->finish();
    size = out.count;
  }
  state.SetLabel(kNames[state.range(1)]);
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations() * data.size()));
  state.counters["ratio"] = static_cast<double>(size) / static_cast<double>(data.size());
}
BENCHMARK(compress)
    ->ArgsProduct({{kGzip, kZstd}, {text, noise, floats, machine_code}})
    ->MeasureProcessCPUTime()
    ->UseRealTime();

void decompress(benchmark::State& state) {
  const auto compression = static_cast<oci::Compression>(state.range(0));
  const std::string data = sample(state.range(1), 16 << 20);
  base::StringSink compressed;
  const auto sink =
      layers::make_compressor(compression, std::nullopt, compressed, base::WorkerPool::shared());
  sink->write(base::bytes_of(data));
  sink->finish();
  for (auto _ : state) {
    Discard out;
    const auto source =
        layers::make_decompressor(std::make_unique<base::StringSource>(compressed.text),
                                  layers::archive_compression(compression));
    base::copy(*source, out);
  }
  state.SetLabel(kNames[state.range(1)]);
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations() * data.size()));
}
BENCHMARK(decompress)
    ->ArgsProduct({{kGzip, kZstd}, {text, machine_code}})
    ->MeasureProcessCPUTime()
    ->UseRealTime();

// ---- Tars ----

constexpr int kFiles = 2000;

void tar_of_small_files(benchmark::State& state) {
  const std::string content = text_of(2048);
  for (auto _ : state) {
    Discard out;
    layers::TarWriter tar(out);
    for (int i = 0; i < kFiles; ++i) {
      tar.begin(file_entry("usr/share/doc/package/file" + std::to_string(i), content.size()));
      tar.write(base::bytes_of(content));
    }
    tar.finish();
  }
  state.SetItemsProcessed(state.iterations() * kFiles);
}
BENCHMARK(tar_of_small_files);

/// The same from files, opened and read by the threads of the pool.
void tar_of_files_on_disk(benchmark::State& state) {
  const SmallFiles files(kFiles);
  const auto directory = std::make_shared<const base::FileDescriptor>(open_directory(files.path()));
  for (auto _ : state) {
    Discard out;
    layers::ParallelTarWriter tar(out);
    for (int i = 0; i < kFiles; ++i) {
      const std::string path = std::to_string(i / 100) + "/" + std::to_string(i);
      tar.add(file_entry(path, 2048), layers::content_at(directory, path, path));
    }
    tar.finish();
  }
  state.SetItemsProcessed(state.iterations() * kFiles);
}
BENCHMARK(tar_of_files_on_disk)->MeasureProcessCPUTime()->UseRealTime();

void unpack(benchmark::State& state) {
  const std::string content = text_of(2048);
  base::StringSink archive;
  layers::TarWriter tar(archive);
  for (int i = 0; i < kFiles; ++i) {
    tar.begin(file_entry(std::to_string(i / 100) + "/" + std::to_string(i), content.size()));
    tar.write(base::bytes_of(content));
  }
  tar.finish();
  for (auto _ : state) {
    const base::TempDirectory to(std::filesystem::temp_directory_path(), "parts-bench-");
    base::StringSource source(archive.text);
    layers::apply_layer(source, open_directory(to.path()).get(),
                        {.xattrs = layers::XattrNamespace::user});
    state.PauseTiming();  // while the tree is removed
    std::filesystem::remove_all(to.path());
    state.ResumeTiming();
  }
  state.SetItemsProcessed(state.iterations() * kFiles);
}
BENCHMARK(unpack)->MeasureProcessCPUTime()->UseRealTime();

// ---- What a cached build does ----

/// COPY . of a context: the walk, with nothing known and with every file known.
void select_files(benchmark::State& state) {
  const SmallFiles files(10 * kFiles);
  const base::RootedDirectory root(open_directory(files.path()));
  cache::StatMemo memo;
  if (state.range(0) != 0)
    for (const auto& entry : std::filesystem::recursive_directory_iterator(files.path())) {
      struct ::stat status {};
      ::lstat(entry.path().c_str(), &status);
      memo.remember(cache::stamp_of(status), base::Digest::of(entry.path().native()),
                    std::chrono::system_clock::now() + std::chrono::hours(1), true);
    }
  plan::Copy copy;
  copy.sources = {"."};
  for (auto _ : state)
    benchmark::DoNotOptimize(builder::select_files(
        copy, {.root = root, .is_context = true, .shown_name = "", .memo = &memo}));
  state.SetLabel(state.range(0) != 0 ? "known" : "unknown");
  state.SetItemsProcessed(state.iterations() * 10 * kFiles);
}
BENCHMARK(select_files)->Arg(0)->Arg(1)->MeasureProcessCPUTime()->UseRealTime();

void probe_of_the_cache(benchmark::State& state) {
  const base::TempDirectory directory(std::filesystem::temp_directory_path(), "parts-bench-");
  cache::DiskCache cache(directory.path() / "cache", directory.path() / "locks");
  cache::KeyBuilder builder("run/1");
  builder.field("command", "echo");
  const cache::CacheKey key = builder.finish();
  cache.store(key, {.fields = builder.fields(), .title = "RUN echo"});
  for (auto _ : state) benchmark::DoNotOptimize(cache.find(key));
}
BENCHMARK(probe_of_the_cache);

void cache_key(benchmark::State& state) {
  for (auto _ : state) {
    cache::KeyBuilder key("run/1");
    for (int i = 0; i < 20; ++i) key.field("env VARIABLE", "a value of usual length");
    benchmark::DoNotOptimize(key.finish());
  }
}
BENCHMARK(cache_key);

void parse_dockerfile(benchmark::State& state) {
  std::string text = "FROM debian:bookworm\n";
  for (int i = 0; i < 20; ++i)
    text += "RUN apt-get install -y \\\n    package" + std::to_string(i) + "\nENV A" +
            std::to_string(i) + "=\"$PATH:/x\"\nCOPY src/ /app/\n";
  const dockerfile::SourceFile source("Dockerfile", text);
  for (auto _ : state) benchmark::DoNotOptimize(dockerfile::parse(source));
}
BENCHMARK(parse_dockerfile);

}  // namespace
