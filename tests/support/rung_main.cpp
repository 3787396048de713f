// main() of tests that can run on every rung of the ladder.

#include <gtest/gtest.h>

#include "tests/support/rung.h"

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  strake::test::take_rung();
  return RUN_ALL_TESTS();
}
