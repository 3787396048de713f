#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "layers/base/error.h"

namespace strake::registry::testing {

/// The Error that `action` throws; fails the test and gives an empty one if it throws none.
template <typename Action>
base::Error error_of(Action action) {
  try {
    action();
  } catch (const base::Error& e) {
    return e;
  }
  ADD_FAILURE() << "no Error was thrown";
  return base::Error(base::ErrorCode::system, "");
}

template <typename Action>
base::ErrorCode code_of(Action action) {
  return error_of(action).code();
}

}  // namespace strake::registry::testing
