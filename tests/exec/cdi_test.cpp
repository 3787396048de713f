#include "builder/exec/cdi.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "builder/exec/run_devices.h"
#include "layers/base/error.h"
#include "layers/base/files.h"

namespace strake::builder {
namespace {

using base::Error;
using base::ErrorCode;
using testing::ElementsAre;
using testing::HasSubstr;

constexpr const char* kGpus = R"(
cdiVersion: "0.6.0"
kind: vendor.com/gpu
annotations:
  team: ml
containerEdits:
  env: [DRIVER=5]
  hooks:
    - hookName: createContainer
      path: /usr/bin/hook
devices:
  - name: "1"
    annotations:
      org.mobyproject.buildkit.device.class: big
    containerEdits:
      deviceNodes:
        - path: /dev/gpu1
          hostPath: /dev/zero
          type: c
          major: 1
          minor: 5
          fileMode: 0640
          uid: 7
  - name: "0"
    containerEdits:
      env: [GPU=0, DRIVER=6]
      deviceNodes:
        - path: /dev/full
      mounts:
        - hostPath: /usr/lib
          containerPath: /opt/driver/lib
          options: [ro, nosuid, nodev, rbind]
      additionalGids: [44, 0]
)";

std::string refusal(const std::string& text) {
  try {
    parse_cdi_spec(text, "/etc/cdi/x.yaml");
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::invalid_input);
    return error.what();
  }
  return "accepted";
}

/// Directories of specs in rising order of rank.
class CdiSpecs : public testing::Test {
 protected:
  CdiSpecs() : temporary_(std::filesystem::temp_directory_path(), "strake-cdi-") {
    for (const char* name : {"etc", "run"}) {
      std::filesystem::create_directory(temporary_.path() / name);
      directories_.push_back(temporary_.path() / name);
    }
  }
  void write(const std::string& file, const std::string& text) const {
    std::ofstream(temporary_.path() / file) << text;
  }
  static std::string spec(const std::string& device, const std::string& variable) {
    return R"({"cdiVersion": "0.5.0", "kind": "vendor.com/gpu", "devices": [
	{"name": ")" +
           device + R"(", "containerEdits": {"env": ["SEEN=)" + variable + "\"]}}]}";
  }
  std::vector<std::string> found(const std::string& request) const {
    std::vector<std::string> names;
    const CdiDevices devices(directories_);
    for (const CdiDevice* device : devices.find(request)) names.push_back(device->name);
    return names;
  }

  base::TempDirectory temporary_;
  std::vector<std::filesystem::path> directories_;
};

// ---- One spec -----------------------------------------------------------------------------------

TEST(CdiSpec, HasDevicesWithTheirEdits) {
  const std::vector<CdiDevice> devices = parse_cdi_spec(kGpus, "/etc/cdi/gpus.yaml");
  ASSERT_EQ(devices.size(), 2U);
  EXPECT_EQ(devices[0].name, "vendor.com/gpu=1");
  EXPECT_EQ(devices[0].annotations.at("team"), "ml");
  EXPECT_EQ(devices[0].common, devices[1].common);
  EXPECT_THAT(devices[0].common->env, ElementsAre("DRIVER=5"));
  EXPECT_THAT(devices[0].common->unknown, ElementsAre("hooks"));
  const CdiNode& node = devices[0].own.nodes.at(0);
  EXPECT_EQ(node.path, "/dev/gpu1");
  EXPECT_EQ(node.host_path, "/dev/zero");
  EXPECT_EQ(node.number, std::pair(1U, 5U));
  EXPECT_EQ(node.mode, mode_t{0640});
  EXPECT_EQ(node.uid, uid_t{7});
  EXPECT_FALSE(node.gid);
  EXPECT_EQ(devices[1].own.nodes.at(0).host_path, "/dev/full");
  EXPECT_EQ(devices[1].own.mounts.at(0).container_path, "/opt/driver/lib");
  EXPECT_THAT(devices[1].own.groups, ElementsAre(44, 0));
}

TEST(CdiSpec, MayBeJsonWithTabsAndEscapes) {
  const auto devices = parse_cdi_spec(
      "{\n\t\"cdiVersion\": \"1.0.0\",\n\t\"kind\": \"a.b\\/c\",\n\t\"containerEdits\": {},\n"
      "\t\"devices\": [\n\t\t{\"name\": \"all\", \"containerEdits\": {\"env\": [\"A=\\u0041\"],\n"
      "\t\t\"deviceNodes\": [{\"path\": \"/dev/x\", \"fileMode\": 438}]}}\n\t]\n}\n",
      "/etc/cdi/x.json");
  EXPECT_EQ(devices.at(0).name, "a.b/c=all");
  EXPECT_THAT(devices.at(0).own.env, ElementsAre("A=A"));
  EXPECT_EQ(devices.at(0).own.nodes.at(0).mode, mode_t{0666});
}

TEST(CdiSpec, IsRefusedWithItsFileAndLine) {
  const std::string head = "cdiVersion: \"0.6.0\"\nkind: a.com/b\ndevices:\n- name: x\n";
  EXPECT_EQ(refusal(head + "  containerEdits:\n    deviceNodes: [{path: dev/zero}]\n"),
            "CDI spec \"/etc/cdi/x.yaml\", line 6: \"path\": \"dev/zero\" is not absolute");
  EXPECT_THAT(refusal(head + "  containerEdits: {mounts: [{hostPath: /a/../b, "
                             "containerPath: /c}]}\n"),
              HasSubstr("line 5: \"hostPath\": \"/a/../b\" has \"..\" in it"));
  EXPECT_THAT(refusal(head + "  containerEdits: {mounts: [{hostPath: /a}]}\n"),
              HasSubstr("there is no \"containerPath\""));
  EXPECT_THAT(refusal(head + "  containerEdits: {env: [NAME]}\n"), HasSubstr("NAME=value"));
  EXPECT_THAT(refusal(head + "  containerEdits: {env: NAME=1}\n"), HasSubstr("is not a list"));
  EXPECT_THAT(refusal(head + "  containerEdits: {deviceNodes: [{path: /dev/x, type: q}]}\n"),
              HasSubstr("is not a type of device"));
  EXPECT_THAT(refusal(head + "  containerEdits: {deviceNodes: [{path: /dev/x, uid: -1}]}\n"),
              HasSubstr("\"uid\" is not a number"));
  EXPECT_THAT(refusal(head), HasSubstr("there is no \"containerEdits\""));
  EXPECT_THAT(refusal(head + "  containerEdits: {}\n- name: x\n  containerEdits: {}\n"),
              HasSubstr("is there twice"));
  EXPECT_THAT(refusal("kind: [a\n"), HasSubstr("it is malformed"));
  EXPECT_THAT(refusal(""), HasSubstr("it is not an object"));
  EXPECT_THAT(refusal("{cdiVersion: 0.6.0, kind: gpu, devices: []}"), HasSubstr("is not a kind"));
  EXPECT_THAT(refusal("{cdiVersion: 0.6.0, kind: a.b/, devices: []}"), HasSubstr("is not a kind"));
  EXPECT_THAT(refusal("{cdiVersion: 0.6.0, kind: a/b, devices: []}"), HasSubstr("no devices"));
  EXPECT_THAT(refusal("{cdiVersion: 2.0.0, kind: a/b, devices: []}"), HasSubstr("not known"));
  EXPECT_THAT(refusal("{cdiVersion: 0.6.0, kind: a/b, devices: [{name: a=b}]}"),
              HasSubstr("is not a name for a device"));
}

// ---- All specs ----------------------------------------------------------------------------------

TEST_F(CdiSpecs, AreFoundByNameKindClassAndWildcard) {
  write("etc/gpus.yaml", kGpus);
  write("etc/readme.txt", "not a spec");
  EXPECT_THAT(found("vendor.com/gpu=1"), ElementsAre("vendor.com/gpu=1"));
  EXPECT_THAT(found("vendor.com/gpu"), ElementsAre("vendor.com/gpu=0"));
  EXPECT_THAT(found("vendor.com/gpu=*"), ElementsAre("vendor.com/gpu=0", "vendor.com/gpu=1"));
  EXPECT_THAT(found("vendor.com/gpu=big"), ElementsAre("vendor.com/gpu=1"));
  EXPECT_THAT(found("vendor.com/gpu=2"), ElementsAre());
  EXPECT_THAT(found("vendor.com/gp=1"), ElementsAre());
  EXPECT_THROW(found("gpu"), Error);
  EXPECT_THROW(found("/=x"), Error);
}

TEST_F(CdiSpecs, OfLaterDirectoriesWin) {
  write("etc/a.json", spec("0", "etc"));
  write("run/z.json", spec("0", "run"));
  const CdiDevices devices(directories_);
  EXPECT_THAT(devices.find("vendor.com/gpu=0").at(0)->own.env, ElementsAre("SEEN=run"));
}

TEST_F(CdiSpecs, OfOneDirectoryMustNotDescribeTheSameDevice) {
  write("etc/a.json", spec("0", "a"));
  write("etc/b.json", spec("0", "b"));
  write("etc/c.json", spec("1", "c"));
  const CdiDevices devices(directories_);
  EXPECT_EQ(devices.find("vendor.com/gpu=1").size(), 1U);
  EXPECT_THROW(devices.find("vendor.com/gpu=0"), Error);
  write("run/d.json", spec("0", "d"));
  EXPECT_EQ(CdiDevices(directories_).find("vendor.com/gpu=0").size(), 1U);
}

TEST_F(CdiSpecs, NeedNotBeThere) {
  directories_.push_back(temporary_.path() / "none");
  EXPECT_THAT(found("vendor.com/gpu=*"), ElementsAre());
  EXPECT_THAT(CdiDevices(directories_).description(), HasSubstr("no CDI specs in "));
}

TEST_F(CdiSpecs, ThatAreMalformedAreRefused) {
  write("etc/bad.json", "{");
  EXPECT_THROW(CdiDevices{directories_}, Error);
}

// ---- What a RUN gets ----------------------------------------------------------------------------

class RunDevices : public CdiSpecs {
 protected:
  RunDevices() { write("etc/gpus.yaml", kGpus); }

  static plan::BuildPlan plan_with(std::vector<dockerfile::RunDevice> devices) {
    plan::Run run;
    run.devices = std::move(devices);
    plan::BuildPlan plan;
    plan.steps.push_back({.operation = run, .where = {"Dockerfile", 3, 3}});
    return plan;
  }
  DeviceTable table(const plan::BuildPlan& plan, const DeviceGrants& grants = {.all = true}) const {
    return DeviceTable(std::span(&plan, 1), directories_, grants);
  }
  /// The code of the error, if there is one.
  std::optional<ErrorCode> refused(const dockerfile::RunDevice& device,
                                   const DeviceGrants& grants) const {
    try {
      table(plan_with({device}), grants);
    } catch (const Error& error) {
      EXPECT_EQ(error.location()->first_line, 3);
      return error.code();
    }
    return std::nullopt;
  }
};

TEST_F(RunDevices, NeedAGrant) {
  const DeviceGrants none, one{.devices = {{"vendor.com/gpu=0"}}}, any{.all = true};
  const DeviceGrants kind{.devices = {{"vendor.com/gpu=*"}}};
  EXPECT_EQ(refused({"vendor.com/gpu=0"}, none), ErrorCode::denied);
  EXPECT_EQ(refused({"vendor.com/gpu=0"}, one), std::nullopt);
  EXPECT_EQ(refused({"vendor.com/gpu"}, one), std::nullopt);
  EXPECT_EQ(refused({"vendor.com/gpu=*"}, one), ErrorCode::denied);
  EXPECT_EQ(refused({"vendor.com/gpu=*"}, kind), std::nullopt);
  EXPECT_EQ(refused({"vendor.com/gpu=1"}, any), std::nullopt);
}

TEST_F(RunDevices, NeedNoGrantIfTheirSpecSaysSo) {
  write("run/open.yaml",
        "{cdiVersion: 0.6.0, kind: open.com/d, devices: [{name: x, annotations: "
        "{org.mobyproject.buildkit.device.autoallow: true}, containerEdits: {env: [A=1]}}]}");
  EXPECT_EQ(refused({"open.com/d=x"}, {}), std::nullopt);
}

TEST_F(RunDevices, MayBeMissingUnlessRequired) {
  EXPECT_EQ(refused({"other.com/gpu=0", false}, {}), std::nullopt);
  EXPECT_EQ(refused({"other.com/gpu=0", true}, {}), ErrorCode::not_found);
  EXPECT_EQ(refused({"gpu"}, {}), ErrorCode::invalid_input);
}

TEST_F(RunDevices, AreGivenInsteadOfTheirAlias) {
  const DeviceGrants grants{.devices = {{"vendor.com/gpu=1", "any.com/thing=0"}}};
  const plan::BuildPlan plan = plan_with({{"any.com/thing=0", true}});
  EXPECT_EQ(table(plan, grants).of("any.com/thing=0").at(0)->name, "vendor.com/gpu=1");
}

TEST_F(RunDevices, AddNodesMountsVariablesAndGroups) {
  const plan::BuildPlan plan = plan_with({{"vendor.com/gpu=*"}, {"none.com/x=1"}});
  const DeviceTable devices = table(plan);
  sandbox::Spec spec;
  spec.env = {"A=1", "DRIVER=4"};
  spec.uid = 1000;
  spec.gid = 100;
  std::vector<std::string> notes;
  const auto files = add_devices(std::get<plan::Run>(plan.steps[0].operation).devices, devices,
                                 spec, [&](const std::string& line) { notes.push_back(line); });
  EXPECT_THAT(spec.env, ElementsAre("A=1", "GPU=0", "DRIVER=6"));
  EXPECT_THAT(spec.groups, ElementsAre(44));
  ASSERT_EQ(spec.mounts.size(), 3U);
  ASSERT_EQ(files.size(), 3U);
  const auto& full = std::get<sandbox::DeviceNode>(spec.mounts[0]);
  EXPECT_EQ(full.target, "/dev/full");
  EXPECT_EQ(full.uid, uid_t{1000});  // of the command: the spec names nobody
  EXPECT_EQ(full.gid, gid_t{100});
  EXPECT_FALSE(full.mode);
  const auto& gpu = std::get<sandbox::DeviceNode>(spec.mounts[1]);
  EXPECT_EQ(gpu.target, "/dev/gpu1");
  EXPECT_EQ(gpu.uid, uid_t{7});
  EXPECT_EQ(gpu.mode, mode_t{0640});
  const auto& lib = std::get<sandbox::BindMount>(spec.mounts[2]);
  EXPECT_EQ(lib.target, "/opt/driver/lib");
  EXPECT_TRUE(lib.read_only);
  EXPECT_TRUE(lib.no_suid);
  EXPECT_FALSE(lib.no_exec);
  EXPECT_THAT(notes, ElementsAre(HasSubstr("the hooks of the device \"vendor.com/gpu=0\""),
                                 HasSubstr("the hooks of the device \"vendor.com/gpu=1\""),
                                 HasSubstr("\"none.com/x=1\" is not known on this machine")));
}

TEST_F(RunDevices, AreRefusedIfTheHostHasSomethingElse) {
  const auto refusal_of = [&](const std::string& edits) -> std::string {
    write("run/x.yaml", "{cdiVersion: 0.6.0, kind: x.com/d, devices: [{name: x, containerEdits: {" +
                            edits + "}}]}");
    const plan::BuildPlan plan = plan_with({{"x.com/d=x"}});
    const DeviceTable devices = table(plan);
    sandbox::Spec spec;
    try {
      (void)add_devices(std::get<plan::Run>(plan.steps[0].operation).devices, devices, spec,
                        [](const std::string&) {});
    } catch (const Error& error) {
      return error.what();
    }
    return "added";
  };
  EXPECT_EQ(refusal_of("deviceNodes: [{path: /dev/zero, type: c, major: 1, minor: 5}]"), "added");
  EXPECT_THAT(refusal_of("deviceNodes: [{path: /dev/zero, type: c, major: 1, minor: 6}]"),
              HasSubstr("\"/dev/zero\" is not what the CDI spec of \"x.com/d=x\" says"));
  EXPECT_THAT(refusal_of("deviceNodes: [{path: /dev/zero, type: b}]"), HasSubstr("is not what"));
  EXPECT_THAT(refusal_of("deviceNodes: [{path: /dev/x, hostPath: /etc}]"),
              HasSubstr("is not what"));
  EXPECT_THAT(refusal_of("deviceNodes: [{path: /dev/strake-none}]"),
              HasSubstr("there is no \"/dev/strake-none\""));
  EXPECT_THAT(refusal_of("mounts: [{hostPath: /etc, containerPath: /x, type: tmpfs}]"),
              HasSubstr("needs a mount of type \"tmpfs\""));
}

}  // namespace
}  // namespace strake::builder
