"""One round of each workload: what is made ready, what is measured, and the floors beside it."""

import collections
import os
import secrets
import shutil
import subprocess
import time

from measure import CommandFailed, run, say

SMALL = ("W1", "W2", "W3", "W9")


def base_of(context):
    """The image that a context's Dockerfile begins with."""
    for line in (context / "Dockerfile").read_text(encoding="utf-8").splitlines():
        if line.startswith("FROM "):
            return line.split()[1]
    raise ValueError(f"{context} has no FROM")


def bytes_and_files(directory):
    sizes = [path.stat().st_size for path in directory.rglob("*") if path.is_file()]
    return sum(sizes), len(sizes)


class Rounds:
    """Collects: `usage[workload][builder]` a Usage a round, `sizes` bytes of pushed layers,
    `floors[workload]` seconds a round."""

    def __init__(self, place, builders, contexts, runs, peer_runs):
        self.work, self.disk, self.registry = place
        self.builders, self.runs, self.peer_runs = builders, runs, peer_runs
        self.contexts = contexts
        self.usage = collections.defaultdict(lambda: collections.defaultdict(list))
        self.sizes = collections.defaultdict(dict)
        self.floors = collections.defaultdict(list)
        self.failures = []

    # ---- Who is measured when ----

    def turns(self, number):
        """The builders of this round, another one first each time."""
        due = [b for b in self.builders if b.name == "strake" or number < self.peer_runs]
        first = number % len(due)
        return due[first:] + due[:first]

    def each_turn(self, workload, once):
        for number in range(self.runs):
            for builder in self.turns(number):
                try:
                    once(builder)
                except CommandFailed as failure:
                    say(f"{workload}: {builder.name} failed: {failure}")
                    self.failures.append(f"{workload}: {builder.name}: {failure}")
            if number < self.peer_runs and f"floor_{workload}" in dir(self):
                os.sync()
                getattr(self, f"floor_{workload}")()

    def note(self, workload, builder, usage):
        self.usage[workload][builder.name].append(usage)
        say(f"{workload:10} {builder.name:8} {usage.wall:8.3f} s  cpu {usage.cpu:7.3f} s  "
            f"{usage.rss:5.0f} MiB")

    def context(self, workload):
        return self.contexts[workload]

    def new_name(self, workload, builder):
        return f"bench/{secrets.token_hex(6)}/{builder.name}-{workload.lower()}:1"

    def note_size(self, workload, builder, name):
        """Of the layers that the workload put on its base."""
        base = {digest for digest, _ in self.base_layers(workload)}
        own = [size for digest, size in self.registry.layers_of(name) if digest not in base]
        self.sizes[workload][builder.name] = sum(own)

    def base_layers(self, workload):
        base = base_of(self.context(workload)).removeprefix(f"{self.registry.address}/")
        return self.registry.layers_of(base)

    # ---- Warm: one file system for all, storage as earlier builds left it ----

    def warm(self, wanted):
        self.disk.renew()
        for builder in self.builders:
            builder.open()
        try:
            for workload in wanted:
                prepare = getattr(self, f"prepare_{workload}", None)
                for builder in self.builders:
                    (prepare or self.build_once)(workload, builder)
                os.sync()
                self.each_turn(workload, getattr(self, f"run_{workload}"))
        finally:
            for builder in self.builders:
                builder.close()

    def build_once(self, workload, builder):
        builder.build(self.context(workload))

    def run_W1(self, builder):
        # Milliseconds vary more than seconds do: the middle of three.
        times = [builder.build(self.context("W1")) for _ in range(3)]
        self.note("W1", builder, middle(times))

    def floor_W1(self):
        self.floors["W1"].append(run(["/bin/true"]).wall)

    def run_W2(self, builder):
        with open(self.context("W2") / "app/pkg3/m60.py", "a", encoding="utf-8") as file:
            file.write(f"# {secrets.token_hex(8)}\n")
        self.note("W2", builder, builder.build(self.context("W2")))
        os.sync()

    def floor_W2(self):
        """The compiler, on the same files, in a plain chroot."""
        root = self.chroot_root("W2")
        shutil.rmtree(root / "app", ignore_errors=True)
        shutil.copytree(self.context("W2") / "app", root / "app")
        self.floors["W2"].append(
            run(["chroot", str(root), "python3", "-m", "compileall", "-q", "/app"]).wall)

    def prepare_W3(self, workload, builder):
        builder.pull(base_of(self.context(workload)))

    def run_W3(self, builder):
        self.note("W3", builder, builder.build(self.context("W3"), cache=False))
        os.sync()

    def floor_W3(self):
        root = self.chroot_root("W3")
        begin = time.perf_counter()
        for i in range(1, 21):
            subprocess.run(["chroot", root, "sh", "-c", f"echo {i} > /file{i}"], check=True)
        self.floors["W3"].append(time.perf_counter() - begin)

    # Two platforms beside one; strake only: the peers here have no command that does it.

    def prepare_W9(self, workload, builder):
        if builder.name == "strake":
            builder.build(self.context(workload), extra=("--platform", "linux/amd64,linux/arm64"))

    def run_W9(self, builder):
        if builder.name != "strake":
            return
        kinds = {"W9 one": "linux/amd64", "W9 two": "linux/amd64,linux/arm64"}
        times = {workload: [] for workload in kinds}
        for workload, platforms in [*kinds.items()] * 3:
            with open(self.context("W9") / "app/m0.py", "a", encoding="utf-8") as file:
                file.write(f"# {secrets.token_hex(8)}\n")
            times[workload].append(builder.build_and_push(
                self.context("W9"), self.new_name("W9", builder), extra=("--platform", platforms)))
        for workload, three in times.items():
            self.note(workload, builder, middle(three))

    # ---- Cold: a new file system for each ----

    def cold(self, workload, builder, measure, base=True):
        self.disk.renew()
        builder.open()
        try:
            if base:
                builder.pull(base_of(self.context(workload)))
            os.sync()
            measure()
        finally:
            builder.close()

    def run_W4(self, builder):
        self.built_and_pushed("W4", builder, rebuilt="W8")

    def run_W5(self, builder):
        self.built_and_pushed("W5", builder)

    def built_and_pushed(self, workload, builder, rebuilt=None):
        """Peers build first and push then, so that one cold build of theirs serves for both figures.
        strake does both at once, so that it has two."""
        context, pushed = self.context(workload), f"{workload} push"
        name = self.new_name(workload, builder)

        def build():
            built = builder.build(context)
            self.note(workload, builder, built)
            if rebuilt:
                os.sync()
                self.note(rebuilt, builder, builder.build(context))
            return built

        def push(built=None):
            os.sync()
            self.note(pushed, builder, builder.build_and_push(context, name, built))

        if builder.name == "strake":
            self.cold(workload, builder, build)
            self.cold(workload, builder, push)
        else:
            self.cold(workload, builder, lambda: push(build()))
        self.note_size(workload, builder, name)
        if builder.name == "strake" and len(self.floors[pushed]) < 2:
            self.floor_upload(pushed, name)
        self.registry.forget_pushes()

    def run_W6(self, builder):
        self.cold("W6", builder, lambda: self.note("W6", builder, builder.build(self.context("W6"))),
                  base=False)

    def run_W7(self, builder):
        self.cold("W7", builder, lambda: self.note("W7", builder, builder.build(self.context("W7"))))

    # ---- Floors ----

    def chroot_root(self, workload):
        """The base of a workload, unpacked on the measured file system, for plain commands."""
        root = self.disk.path / f"plain-{workload}"
        if not root.exists():
            root.mkdir()
            base = base_of(self.context(workload)).removeprefix(f"{self.registry.address}/")
            self.registry.fetch_layers(base, root)
        return root

    def floor_W4(self):
        """Read once and hashed once, by one core each: SHA-256's speed is measured on 256 MiB."""
        context = self.context("W4")
        files = [str(path) for path in context.rglob("*") if path.is_file()]
        begin = time.perf_counter()
        subprocess.run(["xargs", "-0", "cat"], input="\0".join(files).encode(),
                       stdout=subprocess.DEVNULL, check=True)
        reading = time.perf_counter() - begin
        total, _ = bytes_and_files(context)
        self.floors["W4"].append(reading + total / sha256_speed())
        begin = time.perf_counter()
        # -newermt wants the time of each file: an lstat, by one thread.
        subprocess.run(["find", context, "-newermt", "2200-01-01"], check=True)
        self.floors["W8"].append(time.perf_counter() - begin)

    def floor_W5(self):
        self.disk.renew()
        root = self.chroot_root("W5")
        shutil.copy(self.context("W5") / "tree.tar.gz", root / "tmp")
        os.sync()
        self.floors["W5"].append(run(["chroot", str(root), "sh", "-c", "mkdir -p /srv/app && "
                                      "tar -xzf /tmp/tree.tar.gz -C /srv/app"]).wall)

    def floor_W6(self):
        self.disk.renew()
        os.sync()
        begin = time.perf_counter()
        self.chroot_root("W6")
        self.floors["W6"].append(time.perf_counter() - begin)

    def floor_W7(self):
        self.disk.renew()
        root = self.chroot_root("W7")
        shutil.copy("/etc/resolv.conf", root / "etc/resolv.conf")
        subprocess.run(["mount", "-t", "proc", "proc", root / "proc"], check=True)
        os.sync()
        command = (self.context("W7") / "Dockerfile").read_text(encoding="utf-8").split("RUN ", 1)[1]
        self.floors["W7"].append(run(["chroot", str(root), "sh", "-c", command]).wall)

    def floor_upload(self, workload, name):
        """The same blobs, sent as they are by a plain client: mostly what the registry takes."""
        repository, base = name.rpartition(":")[0], {d for d, _ in self.base_layers(workload[:2])}
        seconds = 0.0
        for digest, size in self.registry.layers_of(name):
            if digest in base:
                continue
            file = self.work / "blob"
            with self.registry.get(f"{repository}/blobs/{digest}") as answer, open(file, "wb") as out:
                shutil.copyfileobj(answer, out, 1 << 20)
            with open(file, "rb") as blob:
                begin = time.perf_counter()
                self.registry.put_blob(f"{repository}/again", blob, digest, size)
                seconds += time.perf_counter() - begin
            file.unlink()
        self.floors[workload].append(seconds)

    # ---- All of it ----

    def run(self, wanted):
        warm = [w for w in SMALL if w in wanted]
        if warm:
            self.warm(warm)
        for workload in ("W4", "W5", "W6", "W7"):
            if workload not in wanted and not (workload == "W4" and "W8" in wanted):
                continue
            read_all(self.context(workload))
            self.each_turn(workload, getattr(self, f"run_{workload}"))


def middle(three):
    return sorted(three, key=lambda usage: usage.wall)[1]


def read_all(directory):
    """So that nobody is the first to read it from the disk."""
    for path in directory.rglob("*"):
        if path.is_file():
            with open(path, "rb") as file:
                while file.read(1 << 20):
                    pass


def sha256_speed():
    """Bytes a second of one core, by openssl's own account."""
    shown = subprocess.run(["openssl", "speed", "-seconds", "1", "-bytes", "1048576", "-evp", "sha256"],
                           stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True).stdout
    return float(shown.strip().splitlines()[-1].split()[-1].rstrip("k")) * 1000
