"""Medians, ratios and targets, as JSON and as tables."""

import dataclasses
import platform
import re
import statistics

TITLES = {
    "W1": "W1 fully cached, 12 instructions",
    "W2": "W2 one file of 200 changed, then compileall",
    "W3": "W3 20 trivial RUN steps",
    "W4": "W4 COPY of 1.5 GB: build",
    "W4 push": "W4 COPY of 1.5 GB: build and push",
    "W5": "W5 RUN unpacks 60,000 files: build",
    "W5 push": "W5 RUN unpacks 60,000 files: build and push",
    "W6": "W6 cold pull of a Python base, one RUN",
    "W7": "W7 apt-get install python3-numpy",
    "W8": "W8 the 1.5 GB again, nothing changed",
    "W9 one": "W9 COPY for one platform, pushed",
    "W9 two": "W9 COPY for two platforms, pushed",
}
FLOORS = {
    "W1": "a process that does nothing",
    "W2": "compileall of the same files in a plain chroot",
    "W3": "the same 20 commands, each in a plain chroot",
    "W4": "all files read by cat, and hashed by one core",
    "W4 push": "the finished blob sent by a plain client",
    "W5": "the same tar -xzf in a plain chroot",
    "W5 push": "the finished blobs sent by a plain client",
    "W6": "download, gzip and tar in a pipe",
    "W7": "the same commands in a plain chroot",
    "W8": "one thread's lstat of every file",
}
# Seconds, or seconds above the floor (added), and how many times faster than the best peer.
TARGETS = {
    "W1": (0.008, None, 10), "W2": (None, 0.030, 1.9), "W3": (0.120, None, 14),
    "W4": (2.5, None, 7), "W4 push": (10, None, 3.3), "W5": (None, 0.4, 1.5),
    "W5 push": (3.5, None, 3.5), "W6": (0.8, None, 3.8), "W7": (None, 0, 1.3), "W8": (0.050, None, 15),
}
MOST_MEMORY = 128          # MiB
MOST_CPU = 0.5             # of the best peer's
LARGEST_W4 = 1_159_000_000  # bytes: what docker pushes of it
MOST_FOR_TWO = 1.2         # platforms, of the time for one


@dataclasses.dataclass
class Row:
    workload: str
    medians: dict           # builder -> Usage
    floor: float | None
    sizes: dict             # builder -> bytes

    @property
    def strake(self):
        return self.medians.get("strake")

    @property
    def best_peer(self):
        peers = [name for name in self.medians if name != "strake"]
        return min(peers, key=lambda name: self.medians[name].wall, default=None)

    @property
    def ratio(self):
        return self.medians[self.best_peer].wall / self.strake.wall if self.best_peer else None

    @property
    def cpu_ratio(self):
        best = self.best_peer and self.medians[self.best_peer].cpu
        return self.strake.cpu / best if best else None

    def missed(self, rows):
        """What was to be reached and was not, in words."""
        words = []
        at_most, above_floor, times = TARGETS.get(self.workload, (None, None, None))
        if above_floor is not None and self.floor is not None:
            at_most = self.floor + above_floor
        if self.workload == "W9 two" and "W9 one" in rows:
            at_most = MOST_FOR_TWO * rows["W9 one"].strake.wall
        if at_most is not None and self.strake.wall > at_most:
            words.append(f"> {seconds(at_most)}")
        if times is not None and self.ratio is not None and self.ratio < times:
            words.append(f"< {times:g}x")
        if self.cpu_ratio is not None and self.cpu_ratio > MOST_CPU:
            words.append("CPU")
        if self.strake.rss > MOST_MEMORY:
            words.append("memory")
        if self.workload == "W4 push" and self.sizes.get("strake", 0) > LARGEST_W4:
            words.append("size")
        return words


def seconds(value):
    return f"{value * 1000:.1f} ms" if value < 0.1 else f"{value:.3f} s" if value < 1 else f"{value:.2f} s"


def median_of(usages):
    kind = type(usages[0])
    return kind(**{field.name: statistics.median(getattr(usage, field.name) for usage in usages)
                   for field in dataclasses.fields(kind)})


def rows_of(rounds):
    rows = {}
    for workload in TITLES:
        measured = rounds.usage.get(workload, {})
        if not measured.get("strake"):
            continue
        floor = rounds.floors.get(workload)
        rows[workload] = Row(workload, {name: median_of(all_) for name, all_ in measured.items() if all_},
                             statistics.median(floor) if floor else None,
                             rounds.sizes.get(workload.split()[0], {}))
    return rows


def machine():
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        models = re.findall(r"^model name\s*: (.*)$", file.read(), re.MULTILINE)
    return f"{len(models)} x {models[0]}, Linux {platform.release()}" if models else platform.platform()


def to_json(rounds, rows, versions):
    return {
        "machine": machine(), "versions": versions, "failures": rounds.failures,
        "rounds": {w: {b: [dataclasses.asdict(u) for u in all_] for b, all_ in by.items()}
                   for w, by in rounds.usage.items()},
        "floors": rounds.floors, "pushed_bytes": rounds.sizes,
        "summary": {w: {"best_peer": row.best_peer, "ratio": row.ratio, "cpu_ratio": row.cpu_ratio,
                        "floor": row.floor, "missed": row.missed(rows)} for w, row in rows.items()},
    }


def table(header, lines):
    return "\n".join("| " + " | ".join(line) + " |" for line in
                     [header, ["---"] + ["---:"] * (len(header) - 1), *lines])


def to_markdown(rows, versions, runs, peer_runs):
    lines = []
    for workload, row in rows.items():
        time = {name: seconds(row.medians[name].wall) if name in row.medians else "–"
                for name in ("strake", "docker", "buildah")}
        missed = row.missed(rows)
        has_target = workload in TARGETS or workload == "W9 two"
        lines.append([
            TITLES[workload], f"**{time['strake']}**", time["docker"], time["buildah"],
            f"{row.ratio:.1f}" if row.ratio else "–",
            seconds(row.floor) if row.floor is not None else "–",
            seconds(row.strake.cpu) +
            (f" / {seconds(row.medians[row.best_peer].cpu)}" if row.best_peer else ""),
            f"{row.strake.rss:.0f}" + (f" / {row.medians[row.best_peer].rss:.0f}" if row.best_peer else ""),
            ("no: " + ", ".join(missed)) if missed else "yes" if has_target else "–"])
    text = [f"Medians of {runs} rounds, peers in {peer_runs} of them. {machine()}; " +
            "; ".join(versions.values()) + ".", "",
            table(["workload", "strake", "docker", "buildah", "best peer / strake", "floor",
                   "CPU strake / best peer", "peak MiB", "target met"], lines), ""]
    sizes = [f"{w}: " + ", ".join(f"{name} {size / 1e6:,.1f} MB" for name, size in row.sizes.items()) +
             (f" (the registry's own CPU: {row.strake.registry:.1f} s)" if row.strake.registry else "")
             for w, row in rows.items() if w.endswith("push") and row.sizes]
    text += [f"Pushed layers, {line}." for line in sizes]
    text += ["", "Floors: " + "; ".join(f"{w}: {FLOORS[w]}" for w in rows if w in FLOORS) + "."]
    return "\n".join(text)


def to_short_markdown(rows):
    """For the project's page: what matters to a user."""
    lines = [[TITLES[w].split(" ", 1)[1], seconds(row.strake.wall),
              f"{seconds(row.medians[row.best_peer].wall)} ({row.best_peer})", f"{row.ratio:.1f}x"]
             for w, row in rows.items() if row.best_peer]
    return table(["workload", "strake", "best of docker and buildah", ""], lines)


def replace_between(path, name, text):
    """Puts `text` between the lines <!-- NAME --> and <!-- end of NAME --> of a page."""
    begin, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->"
    with open(path, encoding="utf-8") as file:
        page = file.read()
    head, middle, rest = page.partition(begin)
    if not middle or end not in rest:
        raise SystemExit(f"{path} has no place for a table: {begin.strip()} … {end}")
    with open(path, "w", encoding="utf-8") as file:
        file.write(head + begin + text + "\n" + rest[rest.index(end):])
