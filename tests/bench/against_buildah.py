#!/usr/bin/env python3
"""Whole builds, strake beside buildah, taking turns: medians of five and their ratio.

    against_buildah.py STRAKE [--runs 5] [--only NAME]

  cached   a 12-step Dockerfile rebuilt with nothing changed
  trivial  20 trivial RUN steps on a local base, none cached
  memory   a layer of 2 GB built and pushed to a registry on loopback: peak memory (strake alone)

Needs root, buildah, busybox-static and, for "memory", docker-registry. Everything is made in a
temporary directory and removed.
"""

import argparse
import os
import resource
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time

BUSYBOX = "/bin/busybox"


class Tools:
    def __init__(self, strake, work):
        self.work = work
        self.strake = [strake]
        self.env = {**os.environ, "STRAKE_ROOT": f"{work}/store", "HOME": work}
        self.buildah = ["buildah", "--root", f"{work}/buildah", "--runroot", f"{work}/run",
                        "--storage-driver", "overlay"]

    def run(self, command):
        start = time.perf_counter()
        done = subprocess.run(command, env=self.env, stdout=subprocess.DEVNULL,
                              stderr=subprocess.PIPE)
        elapsed = time.perf_counter() - start
        if done.returncode:
            sys.exit(f"{command}: {done.stderr.decode()[-2000:]}")
        return elapsed

    def build_strake(self, context, tag):
        return self.run(self.strake + ["build", "-t", tag, context])

    def build_buildah(self, context, tag):
        return self.run(self.buildah + ["build", "--layers", "--isolation", "chroot",
                                        "--network", "host", "-t", tag, context])

    def base(self):
        """The same busybox image for both, as localhost/base."""
        context = f"{self.work}/base"
        os.makedirs(context)
        shutil.copy(BUSYBOX, context)
        write(f"{context}/Dockerfile", "FROM scratch\nCOPY busybox /bin/busybox\n"
              'RUN ["/bin/busybox", "--install", "-s", "/bin"]\n')
        layout = f"{self.work}/layout"
        self.run(self.strake + ["build", "-t", "localhost/base:latest", "-o", "type=image",
                                "-o", f"type=oci,dest={layout},tar=false", context])
        self.run(self.buildah + ["pull", "-q", f"oci:{layout}:latest"])
        image = subprocess.check_output(self.buildah + ["images", "-q"], text=True).split()[0]
        self.run(self.buildah + ["tag", image, "localhost/base:latest"])


def write(path, text):
    with open(path, "w") as file:
        file.write(text)


def compare(name, runs, once_strake, once_buildah):
    strake, buildah = [], []
    for _ in range(runs):
        strake.append(once_strake())
        buildah.append(once_buildah())
    a, b = statistics.median(strake), statistics.median(buildah)
    print(f"{name:8} strake {a * 1000:9.1f} ms   buildah {b * 1000:9.1f} ms   ratio {b / a:6.1f}   "
          f"(strake {min(strake) * 1000:.1f}-{max(strake) * 1000:.1f} ms)", flush=True)


def cached(tools, runs):
    context = f"{tools.work}/cached"
    os.makedirs(context)
    for i in range(3):
        write(f"{context}/file{i}", f"content {i}\n")
    write(f"{context}/Dockerfile", "FROM localhost/base\nENV A=1\nRUN echo 1 > /1\nCOPY file0 /\n"
          "RUN echo 2 > /2\nCOPY file1 /\nWORKDIR /w\nRUN echo 3 > /3\nCOPY file2 /\n"
          "RUN echo 4 > /4\nRUN echo 5 > /5\nRUN echo 6 > /6\nCMD [\"sh\"]\n")
    tools.build_strake(context, "cached")
    tools.build_buildah(context, "cached")
    compare("cached", runs, lambda: tools.build_strake(context, "cached"),
            lambda: tools.build_buildah(context, "cached"))


def trivial(tools, runs):
    context = f"{tools.work}/trivial"
    os.makedirs(context)

    def fresh():
        token = os.urandom(8).hex()
        steps = "".join(f"RUN echo {token} {i} > /f{i}\n" for i in range(20))
        write(f"{context}/Dockerfile", "FROM localhost/base\n" + steps)

    def once(build):
        fresh()
        return build(context, "trivial")

    compare("trivial", runs, lambda: once(tools.build_strake), lambda: once(tools.build_buildah))


def memory(tools, runs):
    del runs
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    config = f"{tools.work}/registry.yml"
    write(config, "version: 0.1\nlog: {level: error}\n"
          f"storage: {{filesystem: {{rootdirectory: {tools.work}/registry}}}}\n"
          f'http: {{addr: "127.0.0.1:{port}"}}\n')
    registry = subprocess.Popen(["docker-registry", "serve", config], stdout=subprocess.DEVNULL,
                                stderr=subprocess.DEVNULL)
    try:
        time.sleep(1)
        context = f"{tools.work}/memory"
        os.makedirs(context)
        # Half noise, half text: neither all stored nor all compressed.
        with open(f"{context}/weights", "wb") as file:
            for _ in range(1024):
                file.write(os.urandom(1 << 20))
                file.write(os.urandom(1 << 10).hex().encode() * 512)
        write(f"{context}/Dockerfile", "FROM localhost/base\nCOPY weights /weights\n"
              "RUN cp /weights /copy\n")
        elapsed = tools.run(tools.strake + ["build", "--push", "-t", f"127.0.0.1:{port}/big:1",
                                            context])
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
        print(f"memory   two layers of 2 GB built and pushed in {elapsed:.1f} s, "
              f"peak {peak / 1024:.0f} MiB in one process", flush=True)
    finally:
        registry.terminate()
        registry.wait()


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("strake")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--only", choices=["cached", "trivial", "memory"])
    options = parser.parse_args()
    work = tempfile.mkdtemp(prefix="strake-bench-")
    try:
        tools = Tools(os.path.abspath(options.strake), work)
        if options.only == "memory":
            # Only strake's own processes may count in the peak.
            context = f"{work}/base"
            os.makedirs(context)
            shutil.copy(BUSYBOX, context)
            write(f"{context}/Dockerfile", "FROM scratch\nCOPY busybox /bin/busybox\n"
                  'RUN ["/bin/busybox", "--install", "-s", "/bin"]\n')
            tools.build_strake(context, "localhost/base")
        else:
            tools.base()
        for bench in (cached, trivial, memory):
            if options.only in (None, bench.__name__):
                bench(tools, options.runs)
    finally:
        subprocess.run(["umount", "-R", f"{work}/buildah/overlay"], stderr=subprocess.DEVNULL)
        shutil.rmtree(work, ignore_errors=True)


if __name__ == "__main__":
    main()
