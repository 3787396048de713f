#pragma once

#include <exception>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace strake::base {

enum class ErrorCode {
  invalid_input,  // the user can fix it: bad Dockerfile, bad flag, bad reference
  not_found,      // file in the context, tag in a registry
  denied,         // 401/403, EACCES, EPERM
  corrupt,        // digest or size mismatch, malformed tar or JSON
  unsupported,    // the kernel, the registry or this version cannot do it
  step_failed,    // a RUN command exited non-zero
  unavailable,    // a server did not answer, or not in time
  system,         // any other failed system call
  cancelled,
};

/// Lines [first, last] of a file, counted from 1. `text` holds the whole file when it is known,
/// so that a message can show the lines.
struct SourceRange {
  std::filesystem::path file;
  int first_line = 0;
  int last_line = 0;
  std::shared_ptr<const std::string> text = nullptr;  // shared by all ranges of one file

  bool operator==(const SourceRange& other) const {
    return file == other.file && first_line == other.first_line && last_line == other.last_line;
  }
};

/// The one exception type. Thrown when the operation the user asked for cannot
/// go on. An outcome the caller is expected to handle (cache miss, absent blob)
/// is a value, never an Error.
class Error : public std::exception {
 public:
  Error(ErrorCode code, std::string what);

  void add_context(std::string outer);   // "pulling alpine:3.20", outermost last
  void set_location(SourceRange where);  // kept if already set: the innermost place is the best
  void set_hint(std::string advice);     // one imperative sentence; kept if already set
  void add_note(std::string line);  // a fact shown below the excerpt: "context: /home/ana/shop"

  /// For `throw Error(...).hint("...")`.
  Error&& hint(std::string advice) &&;
  Error&& at(SourceRange where) &&;
  Error&& note(std::string line) &&;

  ErrorCode code() const noexcept { return code_; }
  const char* what() const noexcept override { return what_.c_str(); }
  std::span<const std::string> context() const noexcept { return context_; }
  std::span<const std::string> notes() const noexcept { return notes_; }
  const std::optional<SourceRange>& location() const noexcept { return where_; }
  const std::string& hint() const noexcept { return hint_; }

 private:
  ErrorCode code_;
  std::string what_;
  std::vector<std::string> context_;
  std::vector<std::string> notes_;
  std::optional<SourceRange> where_;
  std::string hint_;
};

/// Error for a failed system call: "cannot <operation> "<subject>": <reason of errnum>". The code
/// follows errnum (ENOENT → not_found, EACCES/EPERM → denied, else system); ENOSPC gets a hint.
Error system_error(int errnum, std::string_view operation, std::string_view subject);

/// `text` in double quotes, control characters and invalid UTF-8 escaped: safe to print anywhere.
std::string quoted(std::string_view text);

/// The candidate nearest to `word` (edit distance, case ignored), if near enough to be a likely
/// misspelling; else empty.
std::string nearest(std::string_view word, std::span<const std::string> candidates);

}  // namespace strake::base
