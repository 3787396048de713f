// Stands in for libFuzzer where there is no clang: puts every file of the given folders through the
// target once, and every prefix of the small ones, since text that stops too early is what parsers
// get wrong first.

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

constexpr std::size_t kSmall = 2048;

void feed(const std::string& input) {
  // Of its own size, so that a sanitizer sees a read beyond the end.
  const std::vector<std::uint8_t> bytes(input.begin(), input.end());
  LLVMFuzzerTestOneInput(bytes.data(), bytes.size());
}

void replay(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  const std::string input{std::istreambuf_iterator<char>(file), {}};
  feed(input);
  for (std::size_t size = 0; size < std::min(input.size(), kSmall); ++size)
    feed(input.substr(0, size));
}

}  // namespace

int main(int argc, char** argv) {
  int replayed = 0;
  for (int i = 1; i < argc; ++i) {
    for (const auto& entry : std::filesystem::recursive_directory_iterator(argv[i])) {
      if (!entry.is_regular_file()) continue;
      std::fprintf(stderr, "%s\n", entry.path().c_str());  // the last one is the one that crashed
      replay(entry.path());
      ++replayed;
    }
  }
  std::fprintf(stderr, "%d seeds\n", replayed);
  return replayed > 0 ? 0 : 1;
}
