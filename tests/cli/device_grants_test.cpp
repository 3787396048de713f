// --allow device and STRAKE_CDI_DIRS.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "builder/cli/grants.h"
#include "layers/base/error.h"

namespace strake::cli {
namespace {

using testing::ElementsAre;

TEST(DeviceGrants, AreForAllOrByName) {
  builder::Entitlements allow;
  add_entitlements("network.host", allow);
  EXPECT_FALSE(allow.devices.all);
  add_entitlements("security.insecure,device", allow);
  EXPECT_TRUE(allow.devices.all);
  EXPECT_TRUE(allow.insecure);
  EXPECT_TRUE(allow.devices.devices.empty());
  add_entitlements("device=a.com/gpu=0,device=a.com/nic", allow);
  ASSERT_EQ(allow.devices.devices.size(), 2U);
  EXPECT_EQ(allow.devices.devices[0].name, "a.com/gpu=0");
  EXPECT_EQ(allow.devices.devices[1].name, "a.com/nic");
}

TEST(DeviceGrants, MayHaveAnAlias) {
  builder::Entitlements allow;
  add_entitlements("device=a.com/gpu=0,alias=b.com/gpu=x,security.insecure", allow);
  ASSERT_EQ(allow.devices.devices.size(), 1U);
  EXPECT_EQ(allow.devices.devices[0].name, "a.com/gpu=0");
  EXPECT_EQ(allow.devices.devices[0].alias, "b.com/gpu=x");
  EXPECT_TRUE(allow.insecure);
}

TEST(DeviceGrants, AreRefusedWithoutAName) {
  builder::Entitlements allow;
  for (const char* text : {"device=", "alias=x", "device,alias=x", "device=a.com/b=0,alias=",
                           "device=a.com/b=0,security.insecure,alias=x", "devices"})
    EXPECT_THROW(add_entitlements(text, allow), base::Error) << text;
}

TEST(CdiDirectories, AreAbsoluteAndSplitAtColons) {
  EXPECT_THAT(parse_cdi_directories("/a:/b/c::"), ElementsAre("/a", "/b/c"));
  EXPECT_THAT(parse_cdi_directories(""), ElementsAre());
  EXPECT_THROW(parse_cdi_directories("/a:b"), base::Error);
}

}  // namespace
}  // namespace strake::cli
