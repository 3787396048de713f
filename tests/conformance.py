#!/usr/bin/env python3
"""Runs a conformance suite of Dockerfiles, with results recorded from other builders, on a strake.

    conformance.py SUITE STRAKE

SUITE has `check` (which builds every case and compares), `cases`, `golden` and `tables/lint.json`.
Every case must pass, and every row of the table must agree; a case that may not is named, with its
reason, in KNOWN. Works on a copy: symlinks that were lost on the suite's way here (text files in
their place) are put back.
"""
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time

# Cases that strake fails on purpose: name -> reason.
KNOWN = {}


def link_targets(golden):
    """Targets of the symlinks in a recorded image, by file name."""
    targets = {}
    files = (golden.get("image") or {}).get("fs") or {}
    for path, entry in files.items():
        if isinstance(entry, dict) and entry.get("t") == "symlink":
            targets.setdefault(os.path.basename(path), set()).add(entry.get("l"))
    return targets


def was_link(path, text, targets):
    name = os.path.basename(path)
    everywhere = set().union(*targets.values()) if targets else set()
    beside = os.path.join(os.path.dirname(path), text)
    return (
        text in targets.get(name, ())
        or (text in everywhere and "/" in text)
        or ("link" in name and text != name and os.path.isfile(beside))
    )


def restore_links(suite):
    restored = 0
    for name in os.listdir(os.path.join(suite, "cases")):
        try:
            with open(os.path.join(suite, "golden", name + ".json"), encoding="utf-8") as file:
                targets = link_targets(json.load(file))
        except FileNotFoundError:
            continue
        for top, _, files in os.walk(os.path.join(suite, "cases", name)):
            for path in (os.path.join(top, file) for file in files):
                if os.path.islink(path) or os.path.getsize(path) > 200:
                    continue
                try:
                    with open(path, encoding="utf-8") as file:
                        text = file.read()
                except UnicodeDecodeError:
                    continue
                if text and "\n" not in text and "\0" not in text and was_link(path, text, targets):
                    os.remove(path)
                    os.symlink(text, path)
                    restored += 1
    return restored


def check(suite, strake, state, *options):
    """What the suite says of its cases (of those that `options` choose)."""
    results = os.path.join(state, "results.json")
    subprocess.run(
        ["bash", os.path.join(suite, "check"), "--bin", strake, "--jobs", str(os.cpu_count()),
         "--json", results, *options],
        env=dict(os.environ, CONF_STATE=state), stdout=subprocess.DEVNULL, check=False)
    with open(results, encoding="utf-8") as file:
        return {case["name"]: case for case in json.load(file)["cases"]}


SHADOW_FILES = {"etc/shadow", "etc/shadow-"}


def is_of_another_day(case, suite):
    """Whether all that differs is the digest of files that say on which day an account was made,
    and the result was recorded on another day than this."""
    if {diff["what"] for diff in case.get("diffs", ())} != {f"fs:{path}:h" for path in SHADOW_FILES}:
        return False
    with open(os.path.join(suite, "golden", case["name"] + ".json"), encoding="utf-8") as file:
        files = json.load(file)["image"]["fs"]
    days = {files[path]["mt"] // 86400 for path in SHADOW_FILES}
    return int(time.time()) // 86400 not in days


def run_cases(suite, strake, state):
    cases = check(suite, strake, state)
    # "error" is a failure of the suite's own servers, not of the builder: once more.
    errors = [name for name, case in cases.items() if case["status"] == "error"]
    if errors:
        print(f"conformance: again, for an error of the suite: {' '.join(errors)}")
        cases.update(check(suite, strake, state, "--only", f"^({'|'.join(errors)})$"))
    failed = {name: case for name, case in cases.items() if not case["status"].startswith("pass")}
    for name in [name for name, case in failed.items() if is_of_another_day(case, suite)]:
        print(f"conformance: {name} was recorded on another day, which is all that differs")
        del failed[name]
    for name, case in sorted(failed.items()):
        print(f"{'known' if name in KNOWN else 'FAIL'}  {name}: {KNOWN.get(name) or case}")
    print(f"conformance: {len(cases) - len(failed)} of {len(cases)} cases pass")
    return not set(failed) - set(KNOWN) and len(cases) > 0


def lint_row(strake, row):
    with tempfile.TemporaryDirectory() as directory:
        for key, name in (("dockerfile", "Dockerfile"), ("dockerignore", ".dockerignore")):
            if key in row:
                with open(os.path.join(directory, name), "w", encoding="utf-8", newline="") as file:
                    file.write(row[key])
        done = subprocess.run([strake, "check", "--format", "json", directory],
                              capture_output=True, text=True, check=False)
    report = json.loads(done.stdout)
    got = sorted((f["rule"], f["detail"], f["lines"]) for f in report["findings"]
                 if f["origin"] == "docker")
    want = sorted((w["rule"], w["detail"], w["lines"]) for w in row["warnings"])
    broken = "build_error" in row and "lint violation" not in row["build_error"]
    return got == want and (report["error"] is not None) == broken


def run_lint(suite, strake):
    with open(os.path.join(suite, "tables", "lint.json"), encoding="utf-8") as file:
        rows = json.load(file)["rows"]
    failed = [row["name"] for row in rows if not lint_row(strake, row)]
    for name in failed:
        print(f"FAIL  lint {name}")
    print(f"conformance: {len(rows) - len(failed)} of {len(rows)} rows of build checks agree")
    return not failed


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    strake = os.path.abspath(sys.argv[2])
    with tempfile.TemporaryDirectory() as state:
        suite = os.path.join(state, "suite")
        shutil.copytree(sys.argv[1], suite, symlinks=True)
        subprocess.run(["chmod", "-R", "u+w", suite], check=True)
        print(f"conformance: {restore_links(suite)} symlinks put back")
        good = run_lint(suite, strake)
        good = run_cases(suite, strake, state) and good
    sys.exit(0 if good else 1)


main()
