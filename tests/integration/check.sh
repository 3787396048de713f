#!/bin/bash
# strake check and the warnings of a build: texts, formats, statuses, and that errors stop a build.
. "$(dirname "$0")/lib.sh"
need python3
mkdir app
dockerfile() { printf '%b' "$1" >app/Dockerfile; }
# found STATUS WHAT COMMAND...: stdout is in $work/out, and the status as wanted.
found() {
  local want=$1 what=$2 status=0
  shift 2
  "$@" >"$work/out" 2>"$work/err" || status=$?
  equal "$what: status" "$status" "$want"
}
rules() {
  python3 -c 'import json, sys
for finding in json.load(sys.stdin)["findings"]:
    print(finding["lines"][0], finding["rule"], sep=":")' <"$work/out" | xargs
}

dockerfile 'FROM scratch\nCOPY a /a\n'
found 0 "a clean file" "$strake" check app
equal "says so" "$(cat out)" "Check complete, no warnings found."
[ ! -e "$STRAKE_ROOT" ] || fail "a check needs no store"

# An ordinary Dockerfile, in all its faults.
cat >app/Dockerfile <<'END'
FROM python:3.7-slim
RUN apt-get update & apt-get install python3-numpy
COPY requirements.txt requirements.txt
RUN pip install -r requirements.txt
COPY app /app
ENTRYPOINT ["python", ""]
CMD ["--input", "1234"]
END
found 1 "faults" "$strake" check app
contains "the lines are shown" "$(cat out)" ' 2 | >>> RUN apt-get update & apt-get install'
contains "and counted" "$(cat out)" '11 warnings have been found!'
equal "stderr is for errors" "$(cat err)" ""
found 1 "faults as JSON" "$strake" check --format json app
equal "all of them" "$(rules)" "1:BaseImageEndOfLife 2:AptGetMissingYes 2:AptGetInstallsRecommends \
2:AptListsLeft 2:AptPythonPackage 2:BackgroundedCommand 3:CopyWithoutWorkdir 4:PipCacheLeft \
6:EmptyArgument 6:EntrypointWithoutScript 6:RunsAsRoot"
found 1 "one stage, from stdin" "$strake" check --format json --target a - <<<'FROM debian AS a
FROM alpine AS b'
equal "of the target only" "$(rules)" "1:BaseImageWithoutVersion"

found 1 "faults as SARIF" "$strake" check --format sarif --error app
check "which has what a code host asks for" python3 - "$work/out" <<'END'
import json, sys
log = json.load(open(sys.argv[1]))
assert log["version"] == "2.1.0" and log["$schema"].endswith("sarif-2.1.0.json")
run, = log["runs"]
rules = run["tool"]["driver"]["rules"]
assert all(rule["id"] and rule["help"]["text"] and rule["shortDescription"]["text"] for rule in rules)
assert len(run["results"]) == 11
for result in run["results"]:
    assert rules[result["ruleIndex"]]["id"] == result["ruleId"] and result["message"]["text"]
    assert result["level"] == "error"
    place = result["locations"][0]["physicalLocation"]
    assert place["artifactLocation"]["uri"] == "app/Dockerfile"
    assert 1 <= place["region"]["startLine"] <= place["region"]["endLine"] <= 7
END

found 1 "build --check" "$strake" build --check -t unused app
contains "is the same check" "$(cat out)" '11 warnings have been found!'
found 1 "build --call=check" "$strake" build --call=check,format=json app
contains "in the format asked for" "$(rules)" '1:BaseImageEndOfLife'
[ ! -e "$STRAKE_ROOT" ] || fail "a check builds nothing"

dockerfile 'FROM scratch AS Web\nCPOY a /\n'
refused 3 "a broken file" 'unknown instruction "CPOY"' "$strake" check app
contains "is checked as far as it goes" "$(cat out)" 'WARNING: StageNameCasing'
refused 3 "an unknown target" 'no stage "x"' "$strake" check --target x - <<<'FROM scratch'
refused 3 "no Dockerfile" 'no Dockerfile' "$strake" check "$HOME"
refused 3 "no directory" 'no directory "nowhere"' "$strake" check nowhere
refused 2 "an unknown format" 'use text, json or sarif' "$strake" check --format xml app

printf 'tmp\n' >app/.dockerignore
dockerfile '# check=experimental=CopyIgnoredFile\nFROM scratch\nCOPY tmp/x /\n'
found 1 "the ignore file is read" "$strake" check --format json app
equal "for what it excludes" "$(rules)" "3:CopyIgnoredFile"
found 0 "a build argument replaces the directive" \
  "$strake" check --build-arg BUILDKIT_DOCKERFILE_CHECK=skip=all app
rm app/.dockerignore

found 0 "a rule is explained" "$strake" check --explain JSONArgsRecommended
contains "with an example" "$(cat out)" 'ENTRYPOINT ["my-program", "start"]'
refused 3 "an unknown rule" 'did you mean "EmptyArgument"' "$strake" check --explain EmptyArgumnet
found 0 "rules are listed" "$strake" check --list
contains "docker's" "$(cat out)" 'JSONArgsRecommended'
contains "and strake's" "$(cat out)" 'AptListsLeft'

# A build warns, and goes on.
need_root
busybox_context app
printf 'FROM scratch\nCOPY busybox /bin/sh\nENV a b\nCMD x\n' >app/Dockerfile
found 0 "a build with findings" "$strake" build --progress plain -t warned app
contains "counts them" "$(cat err)" '2 warnings found (use "strake check" to expand)'
contains "names them" "$(cat err)" 'LegacyKeyValueFormat: "ENV key=value" should be used instead of'
contains "and their lines" "$(cat err)" '(line 3)'
lacks "but only docker's" "$(cat err)" 'RunsAsRoot'

# With error=true nothing is executed.
printf '# check=error=true\nFROM scratch\nCOPY busybox /bin/sh\nRUN ["/bin/sh", "-c", "exit 9"]\nENV a b\n' \
  >app/Dockerfile
refused 3 "error=true stops a build" 'lint violation found for rules: LegacyKeyValueFormat' \
  "$strake" build -t stopped app
"$strake" images -q stopped >images
equal "nothing is tagged" "$(cat images)" ""
printf '# check=error=true\nFROM scratch\nCOPY busybox /bin/sh\n' >app/Dockerfile
found 0 "error=true without findings" "$strake" build -t fine app
