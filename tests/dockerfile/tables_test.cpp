// Comparison with tables that docker's own parser wrote, where a developer has them: STRAKE_TABLES
// names their folder. Every row must agree exactly; rows that differ on purpose are named here.

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>

#include "builder/dockerfile/expansion.h"
#include "builder/dockerfile/ignore_file.h"
#include "builder/dockerfile/parser.h"
#include "builder/dockerfile/statement.h"
#include "builder/dockerfile/words.h"
#include "layers/base/error.h"

namespace strake::dockerfile {
namespace {

using nlohmann::json;

/// A table of the folder; null when there is no folder.
json table(const std::string& name) {
  const char* folder = std::getenv("STRAKE_TABLES");
  if (folder == nullptr) return nullptr;
  std::ifstream file(std::filesystem::path(folder) / (name + ".json"));
  return json::parse(file).at("rows");
}

#define REQUIRE_TABLE(rows, name) \
  const json rows = table(name);  \
  if (rows.is_null()) GTEST_SKIP() << "STRAKE_TABLES names no folder of tables"

/// docker refuses lines beyond 64 KiB, because of the buffer that it reads them into. A limit of
/// that size only harms generated files; limits.h bounds the file.
bool is_accepted_on_purpose(const std::string& name) {
  return name == "own/line-too-long";
}

/// docker counts the lines of directives from 0; we count them as any other line.
int expected_line(const json& row) {
  const std::string& name = row.at("name").get_ref<const std::string&>();
  const bool of_directive = name.starts_with("own/escape-") || name == "own/syntax-twice";
  return row.at("line").get<int>() + (of_directive ? 1 : 0);
}

// ---- Statements as the tables show them ---------------------------------------------------

struct Arguments {
  json list = json::array();
  bool is_json = false;
};

void append(json& list, const std::vector<std::string>& words) {
  for (const std::string& word : words) list.push_back(word);
}

Arguments arguments_of(const Statement& statement, char escape);

/// A trigger: a node of its own, without a place.
json trigger_of(const std::string& text, char escape) {
  const Statement trigger = split_statement(text);
  const Arguments arguments = arguments_of(trigger, escape);
  json node = {{"args", arguments.list},
               {"end", 0},
               {"instruction", trigger.keyword},
               {"original", trigger.original},
               {"start", 0}};
  if (arguments.is_json) node["json"] = true;
  if (!trigger.flags.empty()) node["flags"] = trigger.flags;
  return {{"children", json::array({node})}};
}

json pairs_of(const std::string& text, char escape) {
  json list = json::array();
  const std::vector<std::string> words = split_quoted_words(text, escape);
  if (!words.empty() && words[0].find('=') == std::string::npos) {
    const auto [key, value] = cut_blanks(text);
    return {std::string(key), std::string(value.value_or("")), ""};
  }
  for (const std::string& word : words) {
    const std::size_t equals = word.find('=');
    append(list, {word.substr(0, equals), word.substr(equals + 1), "="});
  }
  return list;
}

Arguments arguments_of(const Statement& statement, char escape) {
  Arguments arguments;
  const std::string& name = statement.name;
  const auto is_one_of = [&](std::initializer_list<const char*> names) {
    return std::find(names.begin(), names.end(), name) != names.end();
  };
  std::string text = statement.arguments;
  if (name == "HEALTHCHECK") {
    const auto [type, rest] = cut_blanks(statement.arguments);
    if (!type.empty()) arguments.list.push_back(std::string(type));
    text = rest.value_or("");
  }
  if (is_one_of({"RUN", "CMD", "ENTRYPOINT", "SHELL", "ADD", "COPY", "VOLUME", "HEALTHCHECK"})) {
    const std::optional<std::vector<std::string>> words = parse_exec_form(text);
    arguments.is_json = words.has_value();
    if (words) {
      append(arguments.list, *words);
    } else if (is_one_of({"ADD", "COPY", "VOLUME"})) {
      append(arguments.list, split_blanks(text));
    } else if (!text.empty()) {
      arguments.list.push_back(text);
    }
  } else if (is_one_of({"ENV", "LABEL"})) {
    arguments.list = pairs_of(text, escape);
  } else if (name == "ARG") {
    append(arguments.list, split_quoted_words(text, escape));
  } else if (is_one_of({"EXPOSE", "FROM"})) {
    append(arguments.list, split_blanks(text));
  } else if (name == "ONBUILD") {
    if (!text.empty()) arguments.list.push_back(trigger_of(text, escape));
  } else if (is_one_of({"MAINTAINER", "STOPSIGNAL", "USER", "WORKDIR"})) {
    if (!text.empty()) arguments.list.push_back(text);
  } else {  // unknown to docker's parser too, which gives it one empty word
    arguments.list.push_back("");
  }
  return arguments;
}

json node_of(const Statement& statement, char escape) {
  const Arguments arguments = arguments_of(statement, escape);
  json node = {{"args", arguments.list},
               {"start", statement.where.first_line},
               {"end", statement.where.last_line},
               {"instruction", statement.keyword},
               {"original", statement.original}};
  if (arguments.is_json) node["json"] = true;
  if (!statement.flags.empty()) node["flags"] = statement.flags;
  if (!statement.comments.empty()) node["prev_comment"] = statement.comments;
  for (const Heredoc& heredoc : statement.heredocs)
    node["heredocs"].push_back({{"chomp", heredoc.strip_tabs},
                                {"content", heredoc.content},
                                {"expand", heredoc.expand},
                                {"fd", heredoc.descriptor},
                                {"name", heredoc.name}});
  return node;
}

// ---- The tables ----------------------------------------------------------------------------

TEST(Tables, DockerfilesAreReadAsDockerReadsThem) {
  REQUIRE_TABLE(rows, "parser_good");
  for (const json& row : rows) {
    SCOPED_TRACE(row.at("name").get<std::string>());
    const SourceFile source("Dockerfile", row.at("dockerfile"));
    const DirectiveBlock block = read_directives(source);
    const char escape = block.directives.escape;
    StatementReader reader(source.text(), escape, block.lines,
                           [&](int first, int last) { return source.range(first, last); });
    json nodes = json::array(), warnings = json::array();
    while (const std::optional<Statement> statement = reader.next())
      nodes.push_back(node_of(*statement, escape));
    for (const ParseWarning& warning : reader.take_warnings()) warnings.push_back(warning.message);
    EXPECT_EQ(nodes, row.at("nodes"));
    EXPECT_EQ(warnings, row.value("warnings", json::array()));
    EXPECT_EQ(std::string(1, escape), row.at("escape"));
  }
}

TEST(Tables, WhatDockerRefusesIsRefusedAtTheSameLine) {
  REQUIRE_TABLE(rows, "parser_bad");
  for (const json& row : rows) {
    SCOPED_TRACE(row.at("name").get<std::string>() + ": " + row.at("error").get<std::string>());
    const SourceFile source("Dockerfile", row.at("dockerfile"));
    try {
      parse(source);
      EXPECT_TRUE(is_accepted_on_purpose(row.at("name")));
    } catch (const base::Error& error) {
      EXPECT_FALSE(is_accepted_on_purpose(row.at("name")));
      ASSERT_TRUE(error.location());
      EXPECT_LE(error.location()->first_line, expected_line(row)) << error.what();
      EXPECT_GE(error.location()->last_line, expected_line(row)) << error.what();
    }
  }
}

/// The variables and options of a row of the two tables on expansion.
struct ExpansionCase {
  std::map<std::string, std::string, std::less<>> env;
  ExpansionOptions options;

  explicit ExpansionCase(const json& row) {
    for (const std::string variable : row.at("env")) {
      const std::size_t equals = variable.find('=');
      env[variable.substr(0, equals)] =
          equals == std::string::npos ? "" : variable.substr(equals + 1);
    }
    if (row.contains("escape")) options.escape = row["escape"].get<std::string>()[0];
  }

  Lookup lookup() const {
    return [this](std::string_view name) -> std::optional<std::string_view> {
      const auto found = env.find(name);
      if (found == env.end()) return std::nullopt;
      return found->second;
    };
  }
};

TEST(Tables, WordsAreExpandedAsDockerExpandsThem) {
  REQUIRE_TABLE(rows, "env_expand");
  for (const json& row : rows) {
    SCOPED_TRACE(row.dump());
    const ExpansionCase given(row);
    try {
      const ExpandedWord word =
          expand_word(row.at("input").get_ref<const std::string&>(), given.lookup(), given.options);
      EXPECT_FALSE(row.contains("error"));
      EXPECT_EQ(word.text, row.value("result", ""));
      EXPECT_EQ(json(word.variables.used), row.value("matched", json::array()));
      EXPECT_EQ(json(word.variables.unmatched), row.value("unmatched", json::array()));
    } catch (const base::Error& error) {
      EXPECT_TRUE(row.contains("error")) << error.what();
    }
  }
}

TEST(Tables, TextsAreSplitIntoWordsAsDockerSplitsThem) {
  REQUIRE_TABLE(rows, "shell_words");
  for (const json& row : rows) {
    SCOPED_TRACE(row.dump());
    const ExpansionCase given(row);
    try {
      const ExpandedWords got = expand_to_words(row.at("input").get_ref<const std::string&>(),
                                                given.lookup(), given.options);
      EXPECT_FALSE(row.contains("error"));
      const json want = row.value("words", json());
      EXPECT_EQ(json(got.words), want.is_null() ? json::array() : want);
    } catch (const base::Error& error) {
      EXPECT_TRUE(row.contains("error")) << error.what();
    }
  }
}

TEST(Tables, IgnorePatternsLeaveOutWhatDockerLeavesOut) {
  REQUIRE_TABLE(rows, "dockerignore");
  for (const json& row : rows) {
    SCOPED_TRACE(row.dump());
    const SourceFile source(".dockerignore", row.value("file", ""));
    try {
      const std::vector<IgnorePattern> patterns =
          row.contains("file")
              ? parse_ignore_file(source)
              : parse_ignore_patterns(row.at("patterns").get<std::vector<std::string>>());
      if (row.contains("patterns_read")) {
        json read = json::array();
        for (const IgnorePattern& pattern : patterns)
          read.push_back((pattern.negated ? "!" : "") + pattern.path);
        const json& want = row["patterns_read"];
        EXPECT_EQ(read, want.is_null() ? json::array() : want);
      }
      const IgnoreMatcher matcher(patterns, &source);
      EXPECT_FALSE(row.contains("error"));
      const json ignored = row.value("ignored", json::object());
      for (const auto& [path, want] : ignored.items())
        EXPECT_EQ(matcher.excludes(path), want.get<bool>()) << path;
    } catch (const base::Error& error) {
      EXPECT_TRUE(row.contains("error")) << error.what();
    }
  }
}

}  // namespace
}  // namespace strake::dockerfile
