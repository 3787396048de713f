#include "cache/explain.h"

#include <gtest/gtest.h>

#include "layers/base/log.h"

namespace strake::cache {
namespace {

using Fields = std::vector<KeyField>;

std::string explained(const Fields& before, const Fields& now) {
  return explain_miss({before, nullptr}, {now, nullptr});
}

struct Case {
  Fields before, now;
  std::string sentence;
};

TEST(Explain, SaysWhichFieldDiffers) {
  const std::string long_command(200, 'x');
  const Case cases[] = {
      {{}, {}, ""},
      {{{"command", "make"}}, {{"command", "make"}}, ""},
      {{{"command", "make"}},
       {{"command", "make -j"}},
       "the command changed: \"make\" → \"make -j\""},
      {{{"command", "make"}},
       {{"command", "make"}, {"command", "install"}},
       "the command changed: \"make\" → \"make install\""},
      {{{"command", "make install"}},
       {{"command", "make"}, {"command", "install"}},
       "the command is divided into other words"},
      {{{"base", "sha256:1"}}, {{"base", "sha256:2"}}, "the step below gave another result"},
      {{{"env A", "1"}}, {{"env A", "2"}}, "variable A changed: \"1\" → \"2\""},
      {{}, {{"env A", "2"}}, "variable A is new: \"2\""},
      {{{"env A", "1"}}, {}, "variable A is gone"},
      {{{"env A", "1"}, {"env B", "1"}},
       {{"env B", "1"}, {"env A", "1"}},
       "the order of variables changed"},
      {{{"env API_TOKEN", "s1"}}, {{"env API_TOKEN", "s2"}}, "variable API_TOKEN changed"},
      {{}, {{"env API_TOKEN", "s2"}}, "variable API_TOKEN is new"},
      {{{"env A", "sha256:1 (5000 bytes)"}},
       {{"env A", "sha256:2 (5001 bytes)"}},
       "variable A changed"},
      {{{"user", "0:0"}}, {{"user", "app"}}, "user changed: \"0:0\" → \"app\""},
      {{{"mount", "type=cache"}, {"mount", "type=bind,ro"}},
       {{"mount", "type=cache"}, {"mount", "type=bind,rw"}},
       "mount changed: \"type=bind,ro\" → \"type=bind,rw\""},
      {{{"mount", "type=cache"}},
       {{"mount", "type=cache"}, {"mount", "type=tmpfs"}},
       "mount is new: \"type=tmpfs\""},
      {{{"files", "sha256:1"}}, {{"files", "sha256:2"}}, "the content of the files changed"},
      {{{"files src/", "sha256:1"}}, {{"files src/", "sha256:2"}}, "the content of src/ changed"},
      {{{"base", "1"}, {"env A", "1"}, {"gone", ""}},
       {{"base", "2"}, {"env A", "2"}},
       "the step below gave another result; variable A changed: \"1\" → \"2\"; gone is gone"},
      {{{"command", "a\nb"}},
       {{"command", "a\x1b[31m"}},
       "the command changed: \"a\\nb\" → \"a\\x1b[31m\""},
      {{{"command", long_command + "old"}},
       {{"command", long_command + "new"}},
       "the command changed: \"…xxxxxxxxxxxxold\" → \"…xxxxxxxxxxxxnew\""},
      {{{"command", "old" + long_command}},
       {{"command", "new" + long_command}},
       "the command changed: \"old" + std::string(57, 'x') + "…\" → \"new" + std::string(57, 'x') +
           "…\""},
  };
  for (const Case& c : cases) EXPECT_EQ(explained(c.before, c.now), c.sentence);
}

TEST(Explain, CutsBetweenCharactersOnly) {
  std::string umlauts;
  for (int i = 0; i < 100; ++i) umlauts += "ü";
  const std::string sentence =
      explained({{"command", umlauts + "a"}}, {{"command", umlauts + "b"}});
  EXPECT_EQ(sentence.find("\\x"), std::string::npos) << sentence;
  EXPECT_NE(sentence.find("üa\""), std::string::npos) << sentence;
}

TEST(Explain, DoesNotShowRegisteredSecrets) {
  base::redact("correct horse");
  EXPECT_EQ(explained({{"command", "login x"}}, {{"command", "login correct horse"}}),
            "the command changed: \"login x\" → \"login ****\"");
}

// --- files ----------------------------------------------------------------------------------

ManifestEntry file(std::string path, std::uint64_t content = 1, std::uint32_t mode = 0100644) {
  return {.path = std::move(path), .mode = mode, .content = content};
}
ManifestEntry directory(std::string path) {
  return {.path = std::move(path), .mode = 040755};
}

struct FilesCase {
  std::vector<ManifestEntry> before, now;
  std::string sentence;
};

TEST(ExplainFiles, SaysWhatHappenedToEachFile) {
  ManifestEntry owned = file("a"), marked = file("a"), both = file("a", 2, 0100755);
  owned.uid = 1000;
  owned.gid = 50;
  marked.attributes = 9;
  const FilesCase cases[] = {
      {{file("a")}, {file("a")}, ""},
      {{file("src/a.py")}, {file("src/a.py", 2)}, "\"src/a.py\" changed"},
      {{file("run.sh")}, {file("run.sh", 1, 0100755)}, "\"run.sh\" mode 644 → 755"},
      {{file("su")}, {file("su", 1, 0104755)}, "\"su\" mode 644 → 4755"},
      {{file("a")}, {both}, "\"a\" changed and mode 644 → 755"},
      {{file("a")}, {owned}, "\"a\" owner 0:0 → 1000:50"},
      {{file("a")}, {marked}, "\"a\" attributes changed"},
      {{file("a", 1, 0120777)}, {file("a", 2, 0120777)}, "\"a\" points elsewhere"},
      {{file("a")}, {file("a", 2, 0120777)}, "\"a\" is now a symlink"},
      {{file("a")}, {directory("a")}, "\"a\" is now a directory"},
      {{}, {file("a")}, "\"a\" added"},
      {{file("a")}, {}, "\"a\" removed"},
      {{file("b")}, {file("a")}, "\"a\" added, \"b\" removed"},
      {{file("lib.c")},
       {directory("lib"), file("lib/a"), file("lib/b"), file("lib.c", 2)},
       "\"lib\" added, \"lib.c\" changed"},
      {{directory("d"), directory("d/e"), file("d/e/f")}, {}, "\"d\" removed"},
      {{file("new\nline")}, {}, "\"new\\nline\" removed"},
  };
  for (const FilesCase& c : cases) EXPECT_EQ(explain_files({c.before}, {c.now}), c.sentence);
}

TEST(ExplainFiles, NamesAFewAndCountsTheRest) {
  FileManifest before, now;
  for (int i = 0; i < 17; ++i) {
    before.entries.push_back(file("f" + std::to_string(10 + i), 1));
    now.entries.push_back(file("f" + std::to_string(10 + i), 2));
  }
  EXPECT_EQ(explain_files(before, now),
            "\"f10\" changed, \"f11\" changed, \"f12\" changed, \"f13\" changed, \"f14\" changed, "
            "and 12 more");
}

TEST(Explain, NamesFilesInsteadOfTheirDigestWhenItCan) {
  const Fields before = {{"base", "b"}, {"files a", "sha256:1"}, {"files b", "sha256:1"}};
  const Fields now = {{"base", "b"}, {"files a", "sha256:2"}, {"files b", "sha256:2"}};
  const FileManifest old_files = {{file("a"), file("b")}},
                     new_files = {{file("a", 2), file("b", 2)}};
  EXPECT_EQ(explain_miss({before, &old_files}, {now, &new_files}), "\"a\" changed, \"b\" changed");
  EXPECT_EQ(explain_miss({before, nullptr}, {now, &new_files}),
            "the content of a changed; the content of b changed");
  EXPECT_EQ(explain_miss({before, &old_files}, {before, &new_files}), "");
}

}  // namespace
}  // namespace strake::cache
