#pragma once

#include <cstddef>
#include <filesystem>
#include <map>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace strake::builder {

/// A secret that the build was given (--secret).
struct SecretSource {
  std::string id;
  std::optional<std::string> value;  // of an environment variable; else it is read from `file`
  std::filesystem::path file;
};

/// As docker build allows.
inline constexpr std::size_t kMaxSecretBytes = 500 << 10;

/// The secrets of a build, read when a step first asks. They are never written anywhere: not to the
/// store, not to a temporary file, not to a message. Members may be called from any thread.
class Secrets {
 public:
  /// Throws Error for a file that cannot be read, before anything is built.
  explicit Secrets(std::span<const SecretSource> sources);

  /// The secret's content; nullptr if the build was not given one of this id. Stays valid as long
  /// as the object. Throws Error naming the file, or Error(invalid_input) beyond kMaxSecretBytes.
  const std::string* find(const std::string& id);

  /// The ids the build was given, for messages.
  std::vector<std::string> ids() const;

 private:
  const std::vector<SecretSource> sources_;
  std::mutex mutex_;                          // guards what follows
  std::map<std::string, std::string> known_;  // by id; nodes stay where they are
};

}  // namespace strake::builder
