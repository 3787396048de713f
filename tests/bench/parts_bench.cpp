// What the parts of a build cost. Build with -DSTRAKE_BENCH=ON.

#include <benchmark/benchmark.h>

#include <string>

#include "builder/dockerfile/parser.h"
#include "cache/cache_key.h"
#include "layers/archive/compression.h"
#include "layers/archive/tar_reader.h"
#include "layers/archive/tar_writer.h"
#include "layers/base/digest.h"
#include "layers/base/fd.h"

namespace {

using namespace strake;

/// Text-like bytes: deterministic, and compressible as sources are.
std::string sample(std::size_t size) {
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

struct Discard final : base::ByteSink {
  void write(std::span<const std::byte> bytes) override { count += bytes.size(); }
  std::uint64_t count = 0;
};

void sha256(benchmark::State& state) {
  const std::string data = sample(1 << 20);
  for (auto _ : state) benchmark::DoNotOptimize(base::Digest::of(data));
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations() * data.size()));
}
BENCHMARK(sha256);

void compress(benchmark::State& state) {
  const std::string data = sample(16 << 20);
  const auto compression = static_cast<oci::Compression>(state.range(0));
  std::uint64_t size = 0;
  for (auto _ : state) {
    Discard out;
    const auto sink =
        layers::make_compressor(compression, std::nullopt, out, base::WorkerPool::shared());
    sink->write(base::bytes_of(data));
    sink->finish();
    size = out.count;
  }
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations() * data.size()));
  state.counters["ratio"] = static_cast<double>(size) / static_cast<double>(data.size());
}
BENCHMARK(compress)
    ->Arg(static_cast<int>(oci::Compression::gzip))
    ->Arg(static_cast<int>(oci::Compression::zstd))
    ->UseRealTime();

void decompress(benchmark::State& state) {
  const std::string data = sample(16 << 20);
  const auto compression = static_cast<oci::Compression>(state.range(0));
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
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations() * data.size()));
}
BENCHMARK(decompress)
    ->Arg(static_cast<int>(oci::Compression::gzip))
    ->Arg(static_cast<int>(oci::Compression::zstd));

void tar_of_small_files(benchmark::State& state) {
  const std::string content = sample(2048);
  for (auto _ : state) {
    Discard out;
    layers::TarWriter tar(out);
    for (int i = 0; i < 1000; ++i) {
      layers::TarEntry entry;
      entry.path = "usr/share/doc/package/file" + std::to_string(i);
      entry.size_bytes = content.size();
      tar.begin(entry);
      tar.write(base::bytes_of(content));
    }
    tar.finish();
  }
  state.SetItemsProcessed(state.iterations() * 1000);
}
BENCHMARK(tar_of_small_files);

void parse_dockerfile(benchmark::State& state) {
  std::string text = "FROM debian:bookworm\n";
  for (int i = 0; i < 20; ++i)
    text += "RUN apt-get install -y \\\n    package" + std::to_string(i) + "\nENV A" +
            std::to_string(i) + "=\"$PATH:/x\"\nCOPY src/ /app/\n";
  const dockerfile::SourceFile source("Dockerfile", text);
  for (auto _ : state) benchmark::DoNotOptimize(dockerfile::parse(source));
}
BENCHMARK(parse_dockerfile);

void cache_key(benchmark::State& state) {
  for (auto _ : state) {
    cache::KeyBuilder key("run/1");
    for (int i = 0; i < 20; ++i) key.field("env VARIABLE", "a value of usual length");
    benchmark::DoNotOptimize(key.finish());
  }
}
BENCHMARK(cache_key);

}  // namespace
