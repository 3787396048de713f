"""What a command takes: wall time, processor time, memory, of itself and of daemons it uses."""

import dataclasses
import os
import select
import subprocess
import sys
import time

TICK = os.sysconf("SC_CLK_TCK")
SAMPLE_MS = 50


@dataclasses.dataclass
class Usage:
    """Seconds and MiB. `cpu` is user and system time of all processes of the builder."""
    wall: float = 0.0
    cpu: float = 0.0
    rss: float = 0.0       # the builder's largest process (and its daemons)
    registry: float = 0.0  # processor time of the registry meanwhile

    def __add__(self, other):
        return Usage(self.wall + other.wall, self.cpu + other.cpu, max(self.rss, other.rss),
                     self.registry + other.registry)


def children_of(pid):
    try:
        with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
            direct = [int(word) for word in file.read().split()]
    except OSError:
        return []
    return [child for one in direct for child in (one, *children_of(one))]


def processor_time(pids):
    """User and system time of these processes and of what they waited for."""
    total = 0.0
    for pid in pids:
        try:
            with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
                fields = file.read().rpartition(")")[2].split()
        except OSError:
            continue
        total += sum(int(field) for field in fields[11:15]) / TICK
    return total


def peak_memory(pid):
    """MiB, or 0 when the process is gone."""
    try:
        with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as file:
            for line in file:
                if line.startswith("VmHWM:"):
                    return int(line.split()[1]) / 1024
    except OSError:
        pass
    return 0.0


def forget_peak(pid):
    try:
        with open(f"/proc/{pid}/clear_refs", "w", encoding="ascii") as file:
            file.write("5")
    except OSError:
        pass


class CommandFailed(Exception):
    pass


def run(command, environment=None, daemons=(), registry=None, directory=None):
    """Runs it to its end. `daemons` are processes that work for it, by the pids of their roots."""
    everyone = [pid for root in daemons for pid in (root, *children_of(root))]
    for pid in everyone:
        forget_peak(pid)
    before, registry_before = processor_time(everyone), processor_time(registry or [])
    # A pipe that nobody reads would stop the builder, and reading it would cost time.
    with open(os.path.join(directory or "/tmp", f"output-{os.getpid()}"), "w+b") as output:
        os.unlink(output.name)
        begin = time.perf_counter()
        # subprocess reaps its children itself: without it, the usage of this child alone is known.
        pid = os.posix_spawnp(command[0], command, environment or os.environ,
                              file_actions=[(os.POSIX_SPAWN_DUP2, output.fileno(), 1),
                                            (os.POSIX_SPAWN_DUP2, output.fileno(), 2)])
        try:
            peak = watch(pid)
        except BaseException:
            os.kill(pid, 15)
            os.waitpid(pid, 0)
            raise
        _, status, usage = os.wait4(pid, 0)
        wall = time.perf_counter() - begin
        if status != 0:
            output.seek(0)
            raise CommandFailed(f"{' '.join(command)}:\n{output.read()[-3000:].decode(errors='replace')}")
    # Too short to be seen alive: then the largest of it and its children, which is no less.
    peak = peak or usage.ru_maxrss / 1024
    later = [pid for root in daemons for pid in (root, *children_of(root))]
    return Usage(wall, usage.ru_utime + usage.ru_stime + processor_time(later) - before,
                 peak + sum(peak_memory(pid) for pid in later),
                 processor_time(registry or []) - registry_before)


def watch(pid):
    """The most memory it had when it was looked at, until it ends. Commands of the build are
    children of the builder: what they take is not the builder's."""
    peak, pause = 0.0, 1
    descriptor = os.pidfd_open(pid)
    try:
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        while not poll.poll(pause):
            peak = max(peak, peak_memory(pid))
            pause = min(2 * pause, SAMPLE_MS)
    finally:
        os.close(descriptor)
    return peak


def quietly(*command, **options):
    """A command that is not measured."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
                          **options)
    if done.returncode:
        raise CommandFailed(f"{' '.join(map(str, command))}:\n{done.stdout[-3000:].decode(errors='replace')}")
    return done.stdout.decode(errors="replace")


def say(text):
    print(f"[{time.strftime('%H:%M:%S')}] {text}", file=sys.stderr, flush=True)
