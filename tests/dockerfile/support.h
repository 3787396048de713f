#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>

#include "builder/dockerfile/parser.h"

namespace strake::dockerfile {

inline Dockerfile parse_text(std::string text) {
  return parse(SourceFile("Dockerfile", std::move(text)));
}

/// The only instruction of `text`, which needs no FROM before it here.
inline Instruction parse_one(const std::string& text) {
  Dockerfile file = parse_text("FROM scratch\n" + text);
  EXPECT_EQ(file.instructions.size(), 2U);
  return std::move(file.instructions.at(1));
}

template <typename T>
T parse_as(const std::string& text) {
  return std::get<T>(parse_one(text).operation);
}

/// The error of `action`; a test fails without one.
template <typename Action>
base::Error error_of(const Action& action) {
  try {
    action();
  } catch (const base::Error& error) {
    EXPECT_EQ(error.code(), base::ErrorCode::invalid_input);
    return error;
  }
  ADD_FAILURE() << "nothing was thrown";
  return {base::ErrorCode::system, ""};
}

inline base::Error parse_error(const std::string& text) {
  return error_of([&] { parse_text(text); });
}

inline std::pair<int, int> lines_of(const base::Error& error) {
  if (!error.location()) return {-1, -1};
  return {error.location()->first_line, error.location()->last_line};
}

}  // namespace strake::dockerfile
