// Layers whose files are made by several threads: what order the tar has them in must not show.

#include <gmock/gmock.h>
#include <sys/resource.h>

#include <csignal>
#include <functional>
#include <random>

#include "tests/snapshot/unpacking_fixture.h"

namespace strake::layers {
namespace {

using test::is_whiteout_at;
using test::stat_of;
using test::TarBuilder;
using testing::HasSubstr;

std::string number(int i) {
  return std::to_string(i);
}

class ApplyBeside : public test::UnpackingTest {
 protected:
  void apply(const std::string& tar) { apply_to(tree(), tar, {.helpers = &helpers()}); }
  std::string text_of(const std::string& path) { return test::read_file(tree() / path); }
};

TEST_F(ApplyBeside, ManyFilesAreMadeWhole) {
  TarBuilder tar;
  for (int d = 0; d < 40; ++d) {
    tar.directory("d" + number(d), {.mode = 0555, .mtime = 100 + d});
    for (int f = 0; f < 50; ++f)
      tar.file("d" + number(d) + "/f" + number(f),
               std::string(static_cast<std::size_t>(f * 2000), static_cast<char>('a' + f % 26)),
               {.mode = 0640, .uid = 7, .mtime = 1000 + f});
  }
  expect_the_same_by_threads(tar.str());
  apply(tar.str());
  EXPECT_EQ(text_of("d39/f49"), std::string(98'000, 'x'));
  EXPECT_EQ(stat_of(tree() / "d0").st_mtim.tv_sec, 100);  // after all files in it were made
  EXPECT_EQ(stat_of(tree() / "d0").st_mode, S_IFDIR | 0555U);
  EXPECT_EQ(stat_of(tree() / "d39/f30").st_uid, 7U);
}

TEST_F(ApplyBeside, HardLinkFindsTheFileThatAnotherThreadMakes) {
  TarBuilder tar;
  for (int i = 0; i < 200; ++i)
    tar.file("f" + number(i), std::string(50'000, 'x'), {.mode = 0600, .mtime = 1})
        .hardlink("l" + number(i), "f" + number(i), {.mode = 0644, .mtime = 2});
  apply(tar.str());
  for (int i = 0; i < 200; ++i) {
    const auto file = stat_of(tree() / ("f" + number(i)));
    EXPECT_EQ(file.st_ino, stat_of(tree() / ("l" + number(i))).st_ino);
    EXPECT_EQ(file.st_size, 50'000);
    EXPECT_EQ(file.st_mtim.tv_sec, 2);  // the last word on the inode
    EXPECT_EQ(file.st_mode, S_IFREG | 0644U);
  }
}

TEST_F(ApplyBeside, LastEntryOfAPathWins) {
  TarBuilder tar;
  for (int i = 0; i < 300; ++i) tar.file("same" + number(i % 3), "version " + number(i));
  apply(tar.str());
  for (int i = 0; i < 3; ++i) EXPECT_EQ(text_of("same" + number(i)), "version " + number(297 + i));
}

TEST_F(ApplyBeside, FilesAndDirectoriesTakeEachOthersPlace) {
  apply(TarBuilder()
            .file("a", "file")
            .directory("a", {.mtime = 5})
            .file("a/inside", "x")
            .directory("b")
            .file("b/x", "x")
            .file("b", "file")
            .symlink("c", "a")
            .directory("c")
            .file("c/x", "x")
            .str());
  EXPECT_EQ(text_of("a/inside"), "x");
  EXPECT_EQ(text_of("b"), "file");
  EXPECT_EQ(text_of("c/x"), "x");
  EXPECT_FALSE(test::fs::exists(tree() / "a/x"));
  EXPECT_TRUE(test::is_opaque_at(tree() / "a"));
}

TEST_F(ApplyBeside, WhiteoutAfterTheEntryDoesNotHideIt) {
  apply(TarBuilder().file("a", "new").file(".wh.a").file(".wh.b").file("b", "new").str());
  EXPECT_EQ(text_of("a"), "new");
  EXPECT_EQ(text_of("b"), "new");
}

TEST_F(ApplyBeside, WhatIsReachedThroughASymlinkWaitsForIt) {
  TarBuilder tar;
  for (int i = 0; i < 50; ++i) {
    const std::string link = "l" + number(i);
    tar.directory("d" + number(i)).symlink(link, "d" + number(i)).file(link + "/x", number(i));
    tar.file(link + "/.wh.gone").hardlink(link + "/y", link + "/x");
  }
  tar.symlink("there", "not/yet").file("there/x", "x");
  apply(tar.str());
  EXPECT_EQ(text_of("d49/x"), "49");
  EXPECT_EQ(text_of("d49/y"), "49");
  EXPECT_TRUE(is_whiteout_at(tree() / "d49/gone"));
  EXPECT_TRUE(S_ISLNK(stat_of(tree() / "l49").st_mode));
  EXPECT_EQ(text_of("not/yet/x"), "x");
}

TEST_F(ApplyBeside, NothingIsMadeBelowAFileThatIsNotYetThere) {
  const std::string tar = TarBuilder().file("f", "x").file("f/x", "x").str();
  EXPECT_THAT(unpacked(tar, &helpers()), HasSubstr("\"f\" is not a directory"));
}

/// Anything at any place, again and again: many collisions, and many errors.
TEST_F(ApplyBeside, RandomLayersAreTheSame) {
  for (unsigned seed = 0; seed < 60; ++seed) {
    std::mt19937 random(seed);
    const auto pick = [&](unsigned count) { return static_cast<unsigned>(random() % count); };
    const auto path = [&] {
      std::string name(1, static_cast<char>('a' + pick(6)));
      for (unsigned depth = pick(3); depth > 0; --depth)
        name += std::string("/") + static_cast<char>('a' + pick(6));
      return name;
    };
    const auto below = [&](const char* name) { return path() + "/" + name; };
    TarBuilder tar;
    std::vector<std::string> files;
    for (int i = 0; i < 60; ++i) {
      const std::int64_t mtime = 1000 + i;
      switch (pick(12)) {
        case 0:
        case 1:
          tar.directory(path(), {.mode = pick(2) == 0 ? 0755U : 0700U, .mtime = mtime});
          break;
        case 2:
          tar.symlink("s" + number(i % 4), path(), {.mtime = mtime});
          break;
        case 3:
          if (files.empty()) break;
          tar.hardlink("h" + number(i), files[pick(static_cast<unsigned>(files.size()))],
                       {.mtime = mtime});
          break;
        case 4:
          tar.file(below((".wh." + std::string(1, static_cast<char>('a' + pick(6)))).c_str()));
          break;
        case 5:
          tar.file("s" + number(i % 4) + "/n" + number(i), "through", {.mtime = mtime});
          break;
        case 6:
          tar.file(below("large"), std::string(100'000, 'l'), {.mtime = mtime});
          break;
        case 7:
          if (pick(20) == 0) tar.file(path(), "in the way", {.mtime = mtime});
          break;
        default:
          files.push_back("n" + number(i));
          tar.file(files.back(), number(i), {.mode = 0600, .mtime = mtime});
          tar.file(below("file"), number(i), {.mtime = mtime});
      }
    }
    expect_the_same_by_threads(tar.str());
    if (HasFailure()) FAIL() << "seed " << seed;
  }
}

/// No file may become longer than this while the object lives.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) : signal_(std::signal(SIGXFSZ, SIG_IGN)) {
    ::getrlimit(RLIMIT_FSIZE, &before_);
    const struct ::rlimit limit = {bytes, before_.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &limit);
  }
  FileSizeLimit(const FileSizeLimit&) = delete;
  FileSizeLimit& operator=(const FileSizeLimit&) = delete;
  ~FileSizeLimit() {
    ::setrlimit(RLIMIT_FSIZE, &before_);
    std::signal(SIGXFSZ, signal_);
  }

 private:
  void (*signal_)(int);
  struct ::rlimit before_ = {};
};

TEST_F(ApplyBeside, TheFirstErrorOfTheTarIsToldWhoeverMeetsIt) {
  const auto with = [](const std::function<void(TarBuilder&)>& last) {
    TarBuilder tar;
    for (int i = 0; i < 500; ++i) {
      if (i == 250) tar.file("too-large-1", std::string(30'000, 'x'));
      if (i == 300) tar.file("too-large-2", std::string(30'000, 'x'));
      tar.file("f" + number(i), "small");
    }
    last(tar);
    return tar.str();
  };
  const FileSizeLimit limit(20'000);
  for (const std::string& tar : {
           with([](TarBuilder&) {}), with([](TarBuilder& more) { more.hardlink("l", "missing"); }),
           with([](TarBuilder& more) { more.file("f1", "again"); }), with([](TarBuilder& more) {
             more.file("written-by-the-reader", std::string(99'999, 'x'));
           }),
           with([](TarBuilder&) {}).substr(0, 300'000),  // truncated
       }) {
    const std::string error = unpacked(tar, &helpers());
    EXPECT_THAT(error, HasSubstr("file too large"));
    EXPECT_THAT(error, HasSubstr("; unpacking \"too-large-1\""));
    EXPECT_EQ(error, unpacked(tar, nullptr));
  }
}

TEST_F(ApplyBeside, ErrorsOfTheTarNameTheirEntry) {
  const std::string tar = TarBuilder().file("f", "x").hardlink("l", "missing").str();
  EXPECT_THAT(unpacked(tar, &helpers()), HasSubstr("; unpacking \"l\""));
  const std::string cut = TarBuilder().file("f", std::string(5000, 'x')).str().substr(0, 1024);
  EXPECT_EQ(unpacked(cut, &helpers()), unpacked(cut, nullptr));
}

}  // namespace
}  // namespace strake::layers
