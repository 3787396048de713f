#include "layers/oci/image_config.h"

#include <vector>

#include "layers/base/log.h"
#include "tests/oci/expect_error.h"

namespace strake::oci {
namespace {

using base::ErrorCode;

const std::string kDiffId = "sha256:" + std::string(64, 'a');

std::string document(const std::string& more, const std::string& diff_ids = "") {
  return R"({"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[)" +
         diff_ids + "]}" + more + "}";
}
std::string with_config(const std::string& config) {
  return document(",\"config\":{" + config + "}");
}
std::string corrupt(const std::string& text) {
  return expect_error(ErrorCode::corrupt, [&] { parse_image_config(text); });
}

ImageConfig full_config() {
  ImageConfig config;
  config.platform = {"linux", "arm", "v6", "1.2"};
  config.os_features = {"f"};
  config.created = "2024-02-03T04:05:06Z";
  config.author = "Ana";
  config.config.user = "1000:1000";
  config.config.exposed_ports = {"443/tcp", "80/tcp"};
  config.config.env = {"PATH=/bin", "B=", "A=x=y"};
  config.config.entrypoint = {{"/entry"}};
  config.config.cmd = std::vector<std::string>{};
  config.config.healthcheck = Healthcheck{{"CMD", "true"}, 1'000'000'000, 2, 3, 4, 5};
  config.config.volumes = {"/data"};
  config.config.working_dir = "/srv";
  config.config.on_build = {"RUN true"};
  config.config.labels = {{"a", "\"quoted\""}, {"b", ""}};
  config.config.stop_signal = "SIGINT";
  config.config.shell = {"/bin/bash", "-c"};
  config.config.unknown = {{"ArgsEscaped", "true"}, {"X", R"({"z":1.10,"a":[]})"}};
  config.diff_ids = {{base::Digest::of("1")}, {base::Digest::of("2")}};
  config.history = {{.created = "2024-02-03T04:05:06Z", .created_by = "ADD"},
                    {.created = "", .created_by = "ENV a=b", .comment = "c", .empty_layer = true},
                    {.created = "", .created_by = "RUN", .author = "Ana"}};
  config.unknown = {{"docker_version", "\"20\""}, {"zz", "123456789012345678901234567890"}};
  return config;
}

TEST(ImageConfigJson, RoundTrips) {
  const ImageConfig config = full_config();
  const std::string text = to_json(config);
  EXPECT_EQ(parse_image_config(text), config) << text;
  EXPECT_EQ(to_json(parse_image_config(text)), text);
}

TEST(ImageConfigJson, SortsTopLevelKeysAndOrdersConfigAsDocker) {
  ImageConfig config;
  config.platform = {"linux", "amd64", ""};
  config.config.env = {"A=b"};
  config.config.cmd = {{"sh"}};
  config.config.shell = {"/bin/sh"};
  config.config.unknown = {{"Zeta", "1"}};
  config.unknown = {{"docker_version", "\"1\""}};
  EXPECT_EQ(
      to_json(config),
      R"({"architecture":"amd64","config":{"Env":["A=b"],"Cmd":["sh"],"Shell":["/bin/sh"],)"
      R"("Zeta":1},"docker_version":"1","os":"linux","rootfs":{"type":"layers","diff_ids":[]}})");
}

TEST(ImageConfigJson, TellsAbsentFromEmptyCommands) {
  EXPECT_EQ(parse_image_config(with_config("")).config.cmd, std::nullopt);
  EXPECT_EQ(parse_image_config(with_config(R"("Cmd":null)")).config.cmd, std::nullopt);
  EXPECT_EQ(parse_image_config(with_config(R"("Cmd":[])")).config.cmd, std::vector<std::string>{});
}

// Case B21: environments of hostile configs.
TEST(ImageConfigJson, DropsEnvironmentEntriesThatAssignNothingWithAWarning) {
  std::vector<std::string> warnings;
  base::set_log_sink(
      [](base::LogLevel, std::string_view line, void* state) {
        static_cast<std::vector<std::string>*>(state)->emplace_back(line);
      },
      &warnings);
  ::setenv("STRAKE_TEST_SECRET", "never", 1);
  const auto config = parse_image_config(
      with_config(R"("Env":["HOME*","STRAKE_TEST_SECRET","=x","A=b\u0000c","","GOOD=1","E="])"));
  base::set_log_sink(nullptr, nullptr);
  EXPECT_EQ(config.config.env, (std::vector<std::string>{"GOOD=1", "E="}));
  EXPECT_EQ(warnings.size(), 5U);
}

TEST(ImageConfigJson, MakesUpForMissingHistory) {
  const std::string two = "\"" + kDiffId + "\",\"" + kDiffId + "\"";
  const auto config = parse_image_config(document(
      R"(,"history":[{"created_by":"ADD"},{"created_by":"ENV","empty_layer":true}])", two));
  ASSERT_EQ(config.history.size(), 3U);
  EXPECT_EQ(config.history[2], History{});
  EXPECT_EQ(parse_image_config(document("", two)).history.size(), 2U);
  corrupt(document(R"(,"history":[{"created_by":"ADD"}])"));
}

TEST(ImageConfigJson, NormalizesThePlatform) {
  EXPECT_EQ(
      parse_image_config(
          R"({"architecture":"aarch64","variant":"v8","os":"linux","rootfs":{"diff_ids":null}})")
          .platform,
      (Platform{"linux", "arm64", ""}));
}

TEST(ImageConfigJson, RefusesWhatIsNoImageConfig) {
  for (const std::string& text :
       {std::string(""),
        std::string("[]"),
        std::string("{}"),
        std::string("null"),
        document(",\"os\":\"linux\""),
        document(R"(,"config":[])"),
        document(R"(,"history":{})"),
        document(R"(,"history":[1])"),
        document("", "\"sha256:../x\""),
        document("", "7"),
        document(R"(,"created":7)"),
        document(R"(,"history":[{"empty_layer":"true"}])"),
        with_config(R"("Env":"A=b")"),
        with_config(R"("Env":[1])"),
        with_config(R"("User":0)"),
        with_config(R"("WorkingDir":"/a\u0000b")"),
        with_config(R"("Volumes":["/x"])"),
        with_config(R"("Labels":{"a":1})"),
        with_config(R"("Healthcheck":{"Interval":-1})"),
        with_config(R"("Healthcheck":{"Interval":1.5})"),
        with_config(R"("Healthcheck":{"Retries":4294967296})"),
        std::string(R"({"os":"linux","rootfs":{"type":"windows","diff_ids":[]}})")})
    EXPECT_NE(corrupt(text), "") << text;
}

TEST(ImageConfigJson, LimitsTheDocumentTo8Mebibytes) {
  constexpr std::size_t kLimit = 8 << 20;
  const std::string text = document("");
  parse_image_config(text + std::string(kLimit - text.size(), ' '));
  corrupt(text + std::string(kLimit - text.size() + 1, ' '));
}

TEST(ImageConfigJson, WritesTextThatIsNotUtf8) {
  ImageConfig config;
  config.config.labels = {{"a", "\xff"}};
  EXPECT_EQ(parse_image_config(to_json(config)).config.labels.at("a"), "\xEF\xBF\xBD");
}

}  // namespace
}  // namespace strake::oci
