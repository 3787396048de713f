#pragma once

#include <string>
#include <string_view>
#include <vector>

// Just enough understanding of C++ text for tests about the shape of the sources.

namespace strake::tests {

std::vector<std::string_view> lines_of(std::string_view text);

/// `text` with comments and literals blanked, line by line as before.
std::string code_only(std::string_view text);

struct Include {
  std::string header;
  bool quoted = false;
  int line = 0;
};

std::vector<Include> includes_of(std::string_view text);

/// How a name is written.
enum class Qualifier {
  none,        // open(…): a function of ours, a member from inside its class, or a system call
  global,      // ::open(…)
  std_,        // std::open(…)
  filesystem,  // std::filesystem::x, fs::x
  other,       // x.open(…), x->open(…), X::open(…)
};

struct Use {
  std::string_view name;
  Qualifier qualifier;
  int line = 0;
};

/// The names in a line of code, without a namespace only those that are called.
std::vector<Use> uses_in(std::string_view line, int number);

}  // namespace strake::tests
