#pragma once

#include <gtest/gtest.h>

#include <string>

#include "layers/base/error.h"

namespace strake::base {

/// Runs `action`, which must throw an Error of the code `code`; returns its message.
template <typename Action>
std::string expect_error(ErrorCode code, const Action& action) {
  try {
    action();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), code) << error.what();
    return error.what();
  }
  ADD_FAILURE() << "no error";
  return "";
}

}  // namespace strake::base
