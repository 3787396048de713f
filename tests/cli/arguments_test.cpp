#include "builder/cli/arguments.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <map>

#include "layers/base/error.h"
#include "layers/base/files.h"

namespace strake::cli {
namespace {

using builder::OutputSpec;
using builder::PullPolicy;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Pair;

using Words = std::vector<std::string>;
using Variables = std::map<std::string, std::string>;

Invocation parse(const Words& words, const Variables& variables = {}) {
  return parse_arguments(words, [&](const std::string& name) -> std::optional<std::string> {
    const auto found = variables.find(name);
    if (found == variables.end()) return std::nullopt;
    return found->second;
  });
}

template <typename T>
T parse_as(const Words& words, const Variables& variables = {}) {
  return std::get<T>(parse(words, variables).command);
}

builder::BuildRequest build(Words words, const Variables& variables = {}) {
  words.insert(words.begin(), "build");
  return parse_as<BuildCommand>(words, variables).request;
}

std::string names(const std::vector<oci::Reference>& references) {
  std::string out;
  for (const oci::Reference& reference : references) out += reference.familiar() + " ";
  return out;
}

/// Message and hint of the refusal.
std::string refusal(const Words& words, const Variables& variables = {}) {
  try {
    parse(words, variables);
  } catch (const base::Error& error) {
    EXPECT_EQ(error.code(), base::ErrorCode::invalid_input);
    return std::string(error.what()) + " | " + error.hint();
  }
  return "accepted";
}

TEST(Arguments, BuildTakesWhatDockerBuildTakes) {
  const builder::BuildRequest request = build({"-t",          "app:1",      "--tag=other",
                                               "-tthird",     "-f",         "sub/Dockerfile",
                                               "--build-arg", "A=1=2",      "--build-arg=B=",
                                               "--label",     "k=v",        "--label",
                                               "bare",        "--target",   "prod",
                                               "--no-cache",  "--add-host", "db:10.0.0.1",
                                               "--add-host",  "six:[::1]",  "."});
  EXPECT_EQ(names(request.tags), "app:1 other:latest third:latest ");
  EXPECT_EQ(request.dockerfile, "sub/Dockerfile");
  EXPECT_EQ(request.context, ".");
  EXPECT_THAT(request.build_args, ElementsAre(Pair("A", "1=2"), Pair("B", "")));
  EXPECT_THAT(request.labels, ElementsAre(Pair("k", "v"), Pair("bare", "")));
  EXPECT_THAT(request.steps.add_hosts, ElementsAre(Pair("db", "10.0.0.1"), Pair("six", "::1")));
  EXPECT_EQ(request.target, "prod");
  EXPECT_TRUE(request.no_cache);
  EXPECT_EQ(request.pull, PullPolicy::missing);
  EXPECT_THAT(request.outputs, IsEmpty());
}

TEST(Arguments, OptionsAndOperandsMixInAnyOrder) {
  EXPECT_EQ(build({".", "-t", "a"}).context, ".");
  EXPECT_EQ(build({"--no-cache", "dir", "--target", "x"}).context, "dir");
  EXPECT_EQ(build({"--", "-strange"}).context, "-strange");
}

TEST(Arguments, AValueMayLookLikeAFlagOrBeEmpty) {
  EXPECT_EQ(build({"--target", "-x", "."}).target, "-x");
  EXPECT_EQ(build({"--target=", "."}).context, ".");
  EXPECT_EQ(build({"-f", "", "."}).dockerfile, "");
  EXPECT_THAT(build({"--label", "[a,b]", "."}).labels, ElementsAre(Pair("[a,b]", "")));
  EXPECT_THAT(build({"--label", "{}", "."}).labels, ElementsAre(Pair("{}", "")));
}

TEST(Arguments, ShortOptionMayTakeItsValueAfterEquals) {
  EXPECT_EQ(names(build({"-t=app:2", "."}).tags), "app:2 ");
}

TEST(Arguments, LastOfRepeatedValuesWins) {
  EXPECT_EQ(build({"--target", "a", "--target", "b", "."}).target, "b");
}

TEST(Arguments, FlagsMayBeSetAndUnset) {
  EXPECT_FALSE(build({"--no-cache=false", "."}).no_cache);
  EXPECT_TRUE(build({"--no-cache=true", "."}).no_cache);
  EXPECT_THAT(refusal({"build", "--no-cache=maybe", "."}), HasSubstr("either true or false"));
}

TEST(Arguments, BuildArgWithoutValueComesFromTheEnvironment) {
  const Variables variables{{"TOKEN", "t"}};
  EXPECT_THAT(build({"--build-arg", "TOKEN", "--build-arg", "ABSENT", "."}, variables).build_args,
              ElementsAre(Pair("TOKEN", "t")));
}

TEST(Arguments, BuildArgFileGivesWayToTheLine) {
  const base::TempDirectory directory("/tmp", "strake-test-");
  const std::filesystem::path file = directory.path() / "args";
  base::write_file_atomically(file, "# comment\nA=file\r\n\nB=file\nC\n");
  EXPECT_THAT(
      build({"--build-arg", "A=line", "--build-arg-file", file, "."}, {{"C", "env"}}).build_args,
      ElementsAre(Pair("A", "line"), Pair("B", "file"), Pair("C", "env")));
}

TEST(Arguments, PullWithoutPolicyDoesNotTakeTheContext) {
  EXPECT_EQ(build({"--pull", "."}).pull, PullPolicy::always);
  EXPECT_EQ(build({"--pull", "."}).context, ".");
  EXPECT_EQ(build({"--pull=newer", "."}).pull, PullPolicy::newer);
  EXPECT_EQ(build({"--pull=never", "."}).pull, PullPolicy::never);
  EXPECT_EQ(build({"--pull=false", "."}).pull, PullPolicy::missing);
  EXPECT_THAT(refusal({"build", "--pull=sometimes", "."}), HasSubstr("pull policy"));
}

TEST(Arguments, PlatformsComeFromListsOrTheEnvironment) {
  const auto platforms = [](const builder::BuildRequest& request) {
    std::string out;
    for (const oci::Platform& platform : request.platforms) out += platform.str() + " ";
    return out;
  };
  EXPECT_EQ(platforms(build({"--platform", "linux/amd64,linux/arm64", "--platform=arm64", "."})),
            "linux/amd64 linux/arm64 ");
  EXPECT_EQ(platforms(build({"."}, {{"DOCKER_DEFAULT_PLATFORM", "linux/arm64"}})), "linux/arm64 ");
  EXPECT_EQ(platforms(build({"--platform", "local", "."})), "");
}

TEST(Arguments, PushAndLoadAreOutputs) {
  const builder::BuildRequest request = build({"-t", "r.io/a", "--push", "--load", "."});
  ASSERT_EQ(request.outputs.size(), 2U);
  EXPECT_EQ(request.outputs[0].kind, OutputSpec::Kind::image);
  EXPECT_EQ(request.outputs[1].kind, OutputSpec::Kind::registry);
  EXPECT_THAT(refusal({"build", "--push", "."}), HasSubstr("a push needs a name"));
}

TEST(Arguments, CompressionComesFromAnOutputOrTheLine) {
  const builder::BuildRequest request =
      build({"-o", "type=oci,dest=a.tar,compression=zstd,compression-level=19", "."});
  EXPECT_EQ(request.compression, oci::Compression::zstd);
  EXPECT_EQ(request.compression_level, 19);
  EXPECT_EQ(build({"--compression", "none", "."}).compression, oci::Compression::none);
  EXPECT_THAT(
      refusal({"build", "--compression=gzip", "-o", "type=oci,dest=a,compression=zstd", "."}),
      HasSubstr("different compressions"));
  EXPECT_THAT(refusal({"build", "--compression-level=99", "."}), HasSubstr("from 0 to 12"));
}

TEST(Arguments, OnlyOneOutputGoesToStdout) {
  EXPECT_THAT(refusal({"build", "-o", "-", "-o", "type=oci,dest=-", "."}),
              HasSubstr("only one output"));
}

TEST(Arguments, SourceDateEpochComesFromArgumentThenEnvironment) {
  EXPECT_EQ(build({"."}, {{"SOURCE_DATE_EPOCH", "1700000000"}}).source_date_epoch, 1'700'000'000);
  EXPECT_EQ(build({"--build-arg", "SOURCE_DATE_EPOCH=5", "."}, {{"SOURCE_DATE_EPOCH", "7"}})
                .source_date_epoch,
            5);
  EXPECT_EQ(build({"."}).source_date_epoch, std::nullopt);
  EXPECT_THAT(refusal({"build", "."}, {{"SOURCE_DATE_EPOCH", "yesterday"}}),
              HasSubstr("SOURCE_DATE_EPOCH"));
}

// What stdin holds as the context, a Dockerfile or an archive, shows only when it is read.
TEST(Arguments, StdinIsDockerfileOrContextButNotBoth) {
  const auto dockerfile = parse_as<BuildCommand>({"build", "-f", "-", "dir"});
  EXPECT_TRUE(dockerfile.dockerfile_from_stdin);
  EXPECT_EQ(dockerfile.request.context, "dir");
  const auto context = parse_as<BuildCommand>({"build", "-"});
  EXPECT_FALSE(context.dockerfile_from_stdin);
  EXPECT_EQ(context.request.context, "-");
  const auto named = parse_as<BuildCommand>({"build", "-f", "x", "-"});
  EXPECT_FALSE(named.dockerfile_from_stdin);
  EXPECT_EQ(named.request.context, "-");
  EXPECT_EQ(named.request.dockerfile, "x");
  EXPECT_THAT(refusal({"build", "-f", "-", "-"}), HasSubstr("stdin cannot be both"));
}

TEST(Arguments, DockersWordPairsAreVerbs) {
  EXPECT_EQ(build({"."}).context, parse_as<BuildCommand>({"buildx", "build", "."}).request.context);
  EXPECT_TRUE(std::holds_alternative<BuildCommand>(parse({"image", "build", "."}).command));
  EXPECT_TRUE(std::holds_alternative<BuildCommand>(parse({"builder", "build", "."}).command));
  EXPECT_TRUE(std::holds_alternative<ImagesCommand>(parse({"image", "ls"}).command));
  EXPECT_TRUE(std::holds_alternative<RemoveCommand>(parse({"image", "rm", "a"}).command));
  EXPECT_TRUE(std::holds_alternative<InspectCommand>(parse({"image", "inspect", "a"}).command));
  EXPECT_TRUE(std::holds_alternative<HistoryCommand>(parse({"image", "history", "a"}).command));
  EXPECT_TRUE(std::holds_alternative<PruneCommand>(parse({"builder", "prune", "-af"}).command));
  EXPECT_THAT(refusal({"image", "frobnicate"}), HasSubstr("unknown verb \"image frobnicate\""));
}

TEST(Arguments, MisspelledWordsGetASuggestion) {
  EXPECT_THAT(refusal({"buidl", "."}), HasSubstr("did you mean \"strake build\"?"));
  EXPECT_THAT(refusal({"build", "--tga", "x", "."}), HasSubstr("did you mean \"--tag\"?"));
  EXPECT_THAT(refusal({"build", "--no-cahce", "."}), HasSubstr("did you mean \"--no-cache\"?"));
  EXPECT_THAT(refusal({"build", "--zzzzzzz", "."}), HasSubstr("strake build --help"));
}

TEST(Arguments, RefusesWhatItCannotHonour) {
  for (const char* flag : {"--cache-from", "--cache-to", "--cgroup-parent", "--attest", "--squash"})
    EXPECT_THAT(refusal({"build", flag, "x", "."}),
                HasSubstr("flag \"" + std::string(flag) + "\" is not supported: "));
  EXPECT_THAT(refusal({"build", "--squash=true", "."}), HasSubstr("\"--squash\" is not supported"));
  EXPECT_THAT(refusal({"build", "--provenance=mode=max", "."}), HasSubstr("--provenance=false"));
  EXPECT_THAT(refusal({"build", "--sbom", "."}), HasSubstr("--sbom=false"));
  EXPECT_THAT(refusal({"build", "--network", "bridge", "."}), HasSubstr("network \"bridge\""));
  EXPECT_THAT(refusal({"build", "--add-host", "a:host-gateway", "."}), HasSubstr("host-gateway"));
}

TEST(Arguments, ContextsMayBeUrls) {
  for (const char* context : {"https://github.com/a/b.git#main:sub", "git@host:a/b.git",
                              "https://host/context.tar.gz", "github.com/a/b"})
    EXPECT_EQ(build({context}).context, context);
}

TEST(Arguments, GrantsAndContextsAreRepeatable) {
  const base::TempDirectory directory(testing::TempDir(), "strake-arguments-");
  const std::string path = (directory.path() / "agent").native();
  const base::FileDescriptor socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof address.sun_path - 1);
  ASSERT_EQ(::bind(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);

  const builder::BuildRequest request =
      build({"--secret", "id=a,src=/f", "--secret=id=b,env=TOKEN", "--ssh", "default",
             "--ssh=o=" + path, "--build-context", "deps=../deps",
             "--build-context=base=docker-image://alpine:3", "--allow", "security.insecure", "."},
            {{"TOKEN", "t"}, {"SSH_AUTH_SOCK", path}});
  ASSERT_EQ(request.secrets.size(), 2U);
  EXPECT_EQ(request.secrets[0].file, "/f");
  EXPECT_EQ(request.secrets[1].value, "t");
  ASSERT_EQ(request.agents.size(), 2U);
  EXPECT_EQ(request.agents[0].id, "default");
  EXPECT_EQ(request.agents[1].id, "o");
  EXPECT_EQ(request.agents[1].socket, path);
  ASSERT_EQ(request.contexts.size(), 2U);
  EXPECT_EQ(request.contexts[0].kind, builder::NamedContext::Kind::directory);
  EXPECT_EQ(request.contexts[0].value, "../deps");
  EXPECT_EQ(request.contexts[1].kind, builder::NamedContext::Kind::image);
  EXPECT_TRUE(request.allow.insecure);
  EXPECT_FALSE(build({"."}).allow.insecure);
}

TEST(Arguments, RefusesGrantsThatCannotBe) {
  EXPECT_THAT(refusal({"build", "--secret", "x", "."}), HasSubstr("key=value"));
  EXPECT_THAT(refusal({"build", "--ssh", "default", "."}), HasSubstr("SSH_AUTH_SOCK is not set"));
  EXPECT_THAT(refusal({"build", "--build-context", "x", "."}), HasSubstr("x"));
  EXPECT_THAT(refusal({"build", "--allow", "all", "."}), HasSubstr("security.insecure"));
}

TEST(Arguments, AcceptsWhatChangesNothing) {
  EXPECT_EQ(build({"--rm", "--force-rm=true", "--disable-content-trust", "--builder", "default",
                   "--provenance=false", "--sbom=false", "."})
                .context,
            ".");
}

TEST(Arguments, RefusesMissingAndSurplusWords) {
  EXPECT_THAT(refusal({"build"}), HasSubstr("\"strake build\" needs PATH"));
  EXPECT_THAT(refusal({"build", "a", "b"}), HasSubstr("does not know what to do with \"b\""));
  EXPECT_THAT(refusal({"build", ".", "--tag"}), HasSubstr("flag \"--tag\" needs a value"));
  EXPECT_THAT(refusal({"build", ".", "-t"}), HasSubstr("flag \"-t\" needs a value"));
  EXPECT_THAT(refusal({"tag", "a"}), HasSubstr("got only \"a\""));
  EXPECT_THAT(refusal({"build", "-t", "Not A Name", "."}), Not(HasSubstr("accepted")));
}

TEST(Arguments, CommonOptionsStandBeforeOrAfterTheVerb) {
  for (const Words& words :
       {Words{"--root", "/s", "--debug", "images"}, Words{"images", "--root=/s", "-D"}}) {
    const Invocation invocation = parse(words);
    EXPECT_EQ(invocation.common.root, "/s");
    EXPECT_EQ(invocation.common.log_level, base::LogLevel::debug);
  }
  EXPECT_EQ(parse({"images"}, {{"STRAKE_ROOT", "/e"}}).common.root, "/e");
  EXPECT_EQ(parse({"--root", "/s", "images"}, {{"STRAKE_ROOT", "/e"}}).common.root, "/s");
  EXPECT_EQ(parse({"-v", "images"}).common.log_level, base::LogLevel::info);
}

TEST(Arguments, ProgressComesFromTheLineOrTheEnvironment) {
  EXPECT_EQ(parse({"build", "--progress=plain", "."}).common.progress, ProgressMode::plain);
  EXPECT_EQ(parse({"build", "."}, {{"BUILDKIT_PROGRESS", "tty"}}).common.progress,
            ProgressMode::tty);
  EXPECT_EQ(parse({"build", "."}).common.progress, std::nullopt);
  EXPECT_THAT(refusal({"build", "--progress", "loud", "."}), HasSubstr("progress \"loud\""));
}

TEST(Arguments, InsecureRegistriesAddUp) {
  EXPECT_THAT(parse({"push", "--insecure-registry", "a:1", "--insecure-registry", "b", "x"})
                  .common.insecure_registries,
              ElementsAre("a:1", "b"));
}

TEST(Arguments, HelpIsCompleteAndForEveryVerb) {
  const std::string overview = parse_as<HelpCommand>({}).text;
  for (const char* verb :
       {"build",   "check",   "push",   "pull",   "images", "tag",       "rmi",
        "inspect", "history", "import", "login",  "logout", "prune",     "doctor",
        "version", "copy",    "tags",   "digest", "delete", "referrers", "attach"}) {
    EXPECT_THAT(overview, HasSubstr(std::string("  ") + verb));
    const std::string text = parse_as<HelpCommand>({verb, "--help"}).text;
    EXPECT_THAT(text, HasSubstr(std::string("Usage: strake ") + verb + " [OPTIONS]"));
    EXPECT_EQ(text, parse_as<HelpCommand>({"help", verb}).text);
    EXPECT_EQ(text, parse_as<HelpCommand>({verb, "-h"}).text);
    for (std::size_t at = 0, end = 0; at < text.size(); at = end + 1) {
      end = text.find('\n', at);
      EXPECT_LE(end - at, 100U) << text.substr(at, end - at);
    }
  }
}

TEST(Arguments, CheckTakesWhatNamesADockerfile) {
  const auto command = parse_as<CheckCommand>(
      {"check", "--build-arg", "A=1", "--target", "prod", "--format", "sarif", "--error", "app"});
  EXPECT_EQ(command.request.context, "app");
  EXPECT_THAT(command.request.build_args, ElementsAre(Pair("A", "1")));
  EXPECT_EQ(command.request.target, "prod");
  EXPECT_EQ(command.format, CheckFormat::sarif);
  EXPECT_TRUE(command.findings_are_errors);
  EXPECT_FALSE(command.dockerfile_from_stdin);

  EXPECT_EQ(parse_as<CheckCommand>({"check"}).request.context, ".");
  EXPECT_EQ(parse_as<CheckCommand>({"check", "-f", "a/b"}).request.dockerfile, "a/b");
  EXPECT_TRUE(parse_as<CheckCommand>({"check", "-"}).dockerfile_from_stdin);
  EXPECT_TRUE(parse_as<CheckCommand>({"check", "-f", "-", "app"}).dockerfile_from_stdin);
  EXPECT_TRUE(parse_as<CheckCommand>({"check", "--list"}).list);
  EXPECT_EQ(parse_as<CheckCommand>({"check", "--explain", "X"}).explain, "X");
  EXPECT_THAT(refusal({"check", "--format", "xml"}), HasSubstr("use text, json or sarif"));
  EXPECT_THAT(refusal({"check", "-f", "x", "-"}), HasSubstr("from stdin"));
}

TEST(Arguments, ABuildCanBeAskedToCheckOnly) {
  const auto command = parse_as<CheckCommand>(
      {"build", "--check", "--target", "a", "--build-arg", "B=1", "-f", "x", "."});
  EXPECT_EQ(command.request.target, "a");
  EXPECT_EQ(command.request.dockerfile, "x");
  EXPECT_EQ(command.format, CheckFormat::text);
  EXPECT_EQ(parse_as<CheckCommand>({"build", "--call=check,format=json", "."}).format,
            CheckFormat::json);
  EXPECT_EQ(build({"--call=build", "."}).context, ".");
  EXPECT_THAT(refusal({"build", "--call=outline", "."}), HasSubstr("--call=check"));
}

TEST(Arguments, VersionInDockersSpellings) {
  for (const Words& words : {Words{"version"}, Words{"--version"}, Words{"-v"}})
    EXPECT_TRUE(std::holds_alternative<VersionCommand>(parse(words).command));
}

TEST(Arguments, PruneUnderstandsAgesAndSizes) {
  const auto options = [](Words words) {
    words.insert(words.begin(), "prune");
    return parse_as<PruneCommand>(words).options;
  };
  EXPECT_EQ(options({}).scope, cache::PruneScope::dangling);
  EXPECT_EQ(options({"--all"}).scope, cache::PruneScope::unused);
  EXPECT_EQ(options({"--images", "--force"}).scope, cache::PruneScope::everything);
  EXPECT_EQ(options({"--filter", "until=24h"}).older_than, std::chrono::hours(24));
  EXPECT_EQ(options({"--filter", "until=1h30m"}).older_than, std::chrono::minutes(90));
  EXPECT_EQ(options({"--filter", "until=7d"}).scope, cache::PruneScope::unused);
  EXPECT_EQ(options({"--max-used-space", "10GB"}).max_bytes, 10'000'000'000U);
  EXPECT_EQ(options({"--max-used-space", "512MiB"}).max_bytes, 512U << 20);
  EXPECT_EQ(options({"--keep-storage=2g"}).max_bytes, 2'000'000'000U);
  EXPECT_THAT(refusal({"prune", "--filter", "until=soon"}), HasSubstr("duration"));
  EXPECT_THAT(refusal({"prune", "--filter", "label=x"}), HasSubstr("filter \"label=x\""));
  EXPECT_THAT(refusal({"prune", "--max-used-space", "GB"}), HasSubstr("size \"GB\""));
  EXPECT_THAT(refusal({"prune", "--images"}), HasSubstr("--force"));
}

TEST(Arguments, LoginKeepsPasswordsApart) {
  const auto login = parse_as<LoginCommand>({"login", "-u", "ana", "--password-stdin", "r.io"});
  EXPECT_EQ(login.host, "r.io");
  EXPECT_EQ(login.username, "ana");
  EXPECT_TRUE(login.password_from_stdin);
  EXPECT_EQ(parse_as<LoginCommand>({"login"}).host, "docker.io");
  EXPECT_THAT(refusal({"login", "--password-stdin"}), HasSubstr("needs \"--username\""));
  EXPECT_THAT(refusal({"login", "-u", "a", "-p", "b", "--password-stdin"}), HasSubstr("exclude"));
}

TEST(Arguments, OtherVerbs) {
  EXPECT_EQ(names(parse_as<PushCommand>({"push", "a", "b:1"}).names), "a:latest b:1 ");
  EXPECT_EQ(parse_as<PullCommand>({"pull", "--platform", "arm64", "a"}).platform->str(),
            "linux/arm64");
  const auto import = parse_as<ImportCommand>({"import", "-c", "CMD [\"sh\"]", "-", "base:1"});
  EXPECT_EQ(import.source, "-");
  EXPECT_THAT(import.changes, ElementsAre("CMD [\"sh\"]"));
  EXPECT_EQ(parse_as<InspectCommand>({"inspect", "-f", "{{.Id}}", "a"}).format.go_template,
            "{{.Id}}");
  EXPECT_EQ(parse_as<ImagesCommand>({"images", "--format", "json"}).format.kind,
            OutputFormat::Kind::json);
  EXPECT_FALSE(parse_as<HistoryCommand>({"history", "-H=false", "a"}).human);
  EXPECT_THAT(refusal({"tag", "a", "b@sha256:" + std::string(64, '0')}), HasSubstr("digest"));
  EXPECT_THAT(refusal({"images", "--format", "wide"}), HasSubstr("format \"wide\""));
}

TEST(Isolation, IsTheLinesElseTheEnvironmentsElseTheBest) {
  using sandbox::Isolation;
  const auto wanted = [](const Words& words, const Variables& variables = {}) {
    return parse(words, variables).common.isolation.value().wanted;
  };
  EXPECT_EQ(wanted({"build", "."}), std::nullopt);
  EXPECT_EQ(wanted({"build", "--isolation=user-one", "."}), Isolation::user_one);
  const Variables environment{{"STRAKE_ISOLATION", "user"}};
  EXPECT_EQ(wanted({"prune"}, environment), Isolation::user_range);
  EXPECT_EQ(wanted({"build", "--isolation", "chroot", "."}, environment), Isolation::chroot);
  EXPECT_EQ(wanted({"build", "--isolation", "auto", "."}, environment), std::nullopt);
  // Docker's word.
  EXPECT_EQ(wanted({"build", "--isolation", "default", "."}), std::nullopt);
  EXPECT_THAT(refusal({"build", "--isolation", "hyperv", "."}), HasSubstr("\"hyperv\""));
  EXPECT_THAT(refusal({"build", "."}, {{"STRAKE_ISOLATION", "root1"}}),
              HasSubstr("did you mean \"root\""));
}

TEST(Isolation, IsAskedForByVerbsThatWorkWithTrees) {
  for (const Words& words : std::vector<Words>{{"build", "."},
                                               {"pull", "app"},
                                               {"push", "example.com/app"},
                                               {"import", "-", "app"},
                                               {"prune"},
                                               {"doctor"}})
    EXPECT_TRUE(parse(words).common.isolation.has_value()) << words.front();
  for (const Words& words : std::vector<Words>{
           {"images"}, {"version"}, {"login"}, {"tag", "a", "b"}, {"inspect", "a"}, {"help"}})
    EXPECT_FALSE(parse(words, {{"STRAKE_ISOLATION", "nonsense"}}).common.isolation.has_value())
        << words.front();
}

}  // namespace
}  // namespace strake::cli
