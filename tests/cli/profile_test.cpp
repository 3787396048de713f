#include "builder/cli/profile.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <nlohmann/json.hpp>
#include <thread>

#include "layers/base/error.h"
#include "layers/base/files.h"
#include "layers/base/log.h"

namespace strake::cli {
namespace {

using nlohmann::json;

class ProfileTest : public testing::Test {
 protected:
  json events() const {
    return json::parse(base::read_file(file_, 1 << 20).value()).at("traceEvents");
  }

  base::TempDirectory directory_{std::filesystem::temp_directory_path(), "profile-test-"};
  std::filesystem::path file_ = directory_.path() / "trace.json";
};

TEST_F(ProfileTest, IsAChromeTraceWithNamedThreads) {
  {
    const Profile profile(file_);
    base::TraceSpan outer("step", "RUN \"a\\b\"\n");
    outer.add_bytes(4096);
    const base::TraceSpan inner("hash");
    std::thread([] {
      base::name_trace_thread("helper");
      const base::TraceSpan span("compress");
    }).join();
  }
  std::map<std::string, json> spans;
  std::map<int, std::string> threads;
  for (const json& event : events()) {
    EXPECT_EQ(event.at("pid"), 1);
    if (event.at("ph") == "X") spans[event.at("name")] = event;
    if (event.at("name") == "thread_name") threads[event.at("tid")] = event.at("args").at("name");
  }
  ASSERT_EQ(spans.size(), 3U);
  EXPECT_EQ(spans["step"].at("args").at("of"), "RUN \"a\\b\"\n");
  EXPECT_EQ(spans["step"].at("args").at("bytes"), 4096);
  EXPECT_LE(spans["step"].at("ts"), spans["hash"].at("ts"));
  EXPECT_GE(spans["step"].at("dur"), spans["hash"].at("dur"));
  EXPECT_EQ(threads[spans["step"].at("tid")], "main");
  EXPECT_EQ(threads[spans["compress"].at("tid")], "helper");
}

TEST_F(ProfileTest, IsJsonWhateverTheNamesAre) {
  {
    const Profile profile(file_);
    const base::TraceSpan span("copy", "\xff\xfe \x01 \xc3");
  }
  EXPECT_FALSE(events().empty());
}

TEST_F(ProfileTest, ReplacesALongerFile) {
  base::write_file_atomically(file_, std::string(100'000, 'x'), 0644, base::Durability::none);
  { const Profile profile(file_); }
  EXPECT_FALSE(events().empty());
}

TEST_F(ProfileTest, HidesSecrets) {
  base::redact("hunter2hunter2");
  {
    const Profile profile(file_);
    const base::TraceSpan span("step", "RUN login hunter2hunter2");
  }
  EXPECT_EQ(events().dump().find("hunter2"), std::string::npos);
}

TEST_F(ProfileTest, RefusesWhatCannotBeWrittenAtOnce) {
  EXPECT_THROW(Profile(directory_.path() / "no/such/directory"), base::Error);
  EXPECT_THROW(Profile(directory_.path()), base::Error);
  ASSERT_EQ(mkfifo((directory_.path() / "fifo").c_str(), 0600), 0);
  EXPECT_THROW(Profile(directory_.path() / "fifo"), base::Error);
  std::filesystem::create_symlink("elsewhere", directory_.path() / "link");
  EXPECT_THROW(Profile(directory_.path() / "link"), base::Error);
}

}  // namespace
}  // namespace strake::cli
