#!/usr/bin/env python3
"""Whole builds: strake beside docker and buildah, taking turns on a fresh file system.

    compare.py STRAKE [--only W1,W4] [--runs 5] [--peer-runs 3] [--update]

Prints a table of medians and writes all figures to --json. README.md beside this file says what is
measured and how. Needs root, docker-registry, mmdebstrap (or --python-tar and --debian-tar), numpy;
peers that are not installed are left out. Nothing stays behind: everything is below a directory of
its own in --work, mounted in a mount namespace of its own.
"""

import argparse
import importlib.util
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile

from builders import PEERS, Strake
from measure import CommandFailed, quietly, say
from place import FileSystem, Registry, make_base_tars
from report import replace_between, rows_of, to_json, to_markdown, to_short_markdown
from rounds import SMALL, Rounds

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
WORKLOADS = ("W1", "W2", "W3", "W4", "W5", "W6", "W7", "W8", "W9")
CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "strake-bench"


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("strake", help="the binary")
    parser.add_argument("--only", default=",".join(WORKLOADS), help="workloads, separated by commas")
    parser.add_argument("--runs", type=int, default=5, help="rounds (default: 5)")
    parser.add_argument("--peer-runs", type=int, help="rounds in which peers take part (default: all)")
    parser.add_argument("--peers", default="docker,buildah", help="which of them; \"\" for none")
    parser.add_argument("--workloads", help="directory with ready-made contexts; with --registry")
    parser.add_argument("--registry", help="HOST:PORT of a running one that has the bases")
    parser.add_argument("--debian-tar", help="root file systems, else made by mmdebstrap")
    parser.add_argument("--debian-arm64-tar")
    parser.add_argument("--python-tar")
    parser.add_argument("--work", default="/var/tmp", help="where the work directory is made")
    parser.add_argument("--json", default="bench.json", help="where the figures go")
    parser.add_argument("--update", action="store_true", help="put the tables into the README files")
    options = parser.parse_args()
    options.peer_runs = options.runs if options.peer_runs is None else options.peer_runs
    options.stopped = False
    options.wanted = [word for word in options.only.split(",") if word]
    unknown = set(options.wanted) - set(WORKLOADS)
    if unknown:
        parser.error(f"unknown workloads: {', '.join(sorted(unknown))}")
    if bool(options.workloads) != bool(options.registry):
        parser.error("--workloads and --registry go together: contexts name their bases by its address")
    return options


def enter_mount_namespace():
    """Mounts of ours are seen by nobody else, and go when the last of our processes does."""
    if "STRAKE_BENCH_INSIDE" in os.environ:
        return
    os.environ["STRAKE_BENCH_INSIDE"] = "1"
    os.execvp("unshare", ["unshare", "--mount", "--propagation", "private", sys.executable, *sys.argv])


def make_contexts(options, registry, work):
    """The bases into the registry, and the contexts: workload -> directory."""
    made = work / "contexts"
    made.mkdir()
    if options.workloads:
        source = pathlib.Path(options.workloads)
        for name in SMALL:  # these are changed while measuring
            if (source / name).is_dir():
                shutil.copytree(source / name, made / name)
        return {name: made / name if name in SMALL else source / name for name in WORKLOADS}
    tars = {"debian-amd64": options.debian_tar, "python-amd64": options.python_tar,
            "debian-arm64": options.debian_arm64_tar}
    if "W9" not in options.wanted:
        tars["debian-arm64"] = tars["debian-arm64"] or tars["debian-amd64"] or "not needed"
    if None in tars.values():
        say(f"making base images in {CACHE}")
        tars |= {name: tar for name, tar in make_base_tars(CACHE, ROOT / "examples/base_image.sh").items()
                 if tars[name] is None}
    say("pushing the base images")
    registry.put_base("base/debian:bookworm", {"amd64": tars["debian-amd64"]})
    registry.put_base("base/python:3.11", {"amd64": tars["python-amd64"]})
    if "W9" in options.wanted:
        registry.put_base("base/multi:bookworm", {"amd64": tars["debian-amd64"],
                                                  "arm64": tars["debian-arm64"]})
    say("making the contexts")
    names = sorted({"W4" if name == "W8" else name for name in options.wanted})
    quietly(python_with_numpy(), HERE / "workloads.py", made, *names, "--python-tar", tars["python-amd64"],
            "--debian", f"{registry.address}/base/debian:bookworm",
            "--python", f"{registry.address}/base/python:3.11",
            "--multi", f"{registry.address}/base/multi:bookworm")
    return {name: made / name for name in WORKLOADS}


def python_with_numpy():
    """Debian's has it from a package; this one may be another."""
    return sys.executable if importlib.util.find_spec("numpy") else "/usr/bin/python3"


def chosen_builders(options, work, disk, registry):
    builders = [Strake(work, disk.path, registry, str(pathlib.Path(options.strake).resolve()))]
    for name in filter(None, options.peers.split(",")):
        if PEERS[name].available():
            builders.append(PEERS[name](work, disk.path, registry))
        else:
            say(f"{name} is not installed: left out")
    return builders


def measure(options, work):
    registry = Registry(work, options.registry)
    disk = FileSystem(work)
    builders = []
    try:
        contexts = make_contexts(options, registry, work)
        builders = chosen_builders(options, work, disk, registry)
        rounds = Rounds((work, disk, registry), builders, contexts, options.runs, options.peer_runs)
        try:
            rounds.run(options.wanted)
        except (KeyboardInterrupt, SystemExit):
            say("stopped: the figures so far")
            options.stopped, options.update = True, False
        return rounds, {builder.name: builder.version() for builder in builders}
    finally:
        for builder in builders:
            builder.close()
        disk.remove()
        registry.stop()


def write_results(options, rounds, versions):
    rows = rows_of(rounds)
    with open(options.json, "w", encoding="utf-8") as file:
        json.dump(to_json(rounds, rows, versions), file, indent=1)
    text = to_markdown(rows, versions, options.runs, options.peer_runs)
    print(text)
    if options.update:
        replace_between(HERE / "README.md", "results", text)
        replace_between(ROOT / "README.md", "speed", to_short_markdown(rows))


def main():
    options = parse_arguments()
    if os.geteuid() != 0:
        sys.exit("measuring needs root: it mounts a file system, and dockerd needs it anyway")
    enter_mount_namespace()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))
    signal.signal(signal.SIGHUP, lambda *_: sys.exit("stopped"))
    work = pathlib.Path(tempfile.mkdtemp(prefix="strake-bench-", dir=options.work))
    try:
        rounds, versions = measure(options, work)
        write_results(options, rounds, versions)
        if options.stopped or rounds.failures:
            sys.exit(1)
    except (CommandFailed, subprocess.CalledProcessError, KeyboardInterrupt) as failure:
        sys.exit(f"compare.py: {failure or 'stopped'}")
    finally:
        shutil.rmtree(work, ignore_errors=True)


if __name__ == "__main__":
    main()
