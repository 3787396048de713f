#!/usr/bin/env python3
"""Pulls, pushes and builds through a registry that fails, and counts what comes of it.

    STRAKE=path/to/strake registry_soak.py [--pulls 2000] [--pushes 500] [--builds 0] [--rate 5]
                                           [--seed 1] [--each]

Each pull goes into a store of its own, each push has layers that the registry lacks, each build pulls
its base and pushes its result; tests/support/faulty_registry.py makes the given per cent of all requests fail, in one of its ways chosen by the seed.
Every image that arrived is compared byte by byte with the one that was sent. --each also goes through
all ways of failing, one at a time: once (the command must succeed) and always (it must end, with an
error that says why or with the right image).

Ends with status 1 if an image is wrong, if credentials went to another origin, if strake crashed, or if
less succeed than --goal says (default: 99.9 % at a rate of 5, 99 % at 20), whatever they met.
"""

import argparse
import collections
import concurrent.futures
import gzip
import hashlib
import http.client
import io
import json
import os
import pathlib
import random
import shutil
import signal
import statistics
import subprocess
import sys
import tarfile
import tempfile
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
FAULTY = HERE.parent / "support" / "faulty_registry.py"
USER, PASSWORD = "soak", "correct-horse"
LONGEST_SECONDS = 300
OCI = "application/vnd.oci.image."
PLATFORMS = ("amd64", "arm64")
# Statuses of commands that failed with an error; a crash or a signal is none of them.
CLEAN_FAILURES = range(1, 7)


def digest_of(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


class Image:
    """An image, or an index of images of two platforms, with what it is made of."""

    def __init__(self, chance, name, platforms):
        self.name, self.blobs, self.manifests, self.parts = name, {}, {}, {}
        entries = []
        for platform in platforms:
            manifest = self.make(chance, platform)
            data = json.dumps(manifest, indent=2).encode()
            self.manifests[digest_of(data)] = (data, OCI + "manifest.v1+json")
            self.parts[platform] = {digest_of(data), manifest["config"]["digest"],
                                    *(layer["digest"] for layer in manifest["layers"])}
            entries.append({"mediaType": OCI + "manifest.v1+json", "digest": digest_of(data),
                            "size": len(data),
                            "platform": {"os": "linux", "architecture": platform}})
        self.root, self.media_type = data, OCI + "manifest.v1+json"
        if len(platforms) > 1:
            self.root = json.dumps({"schemaVersion": 2, "mediaType": OCI + "index.v1+json",
                                    "manifests": entries}).encode()
            self.media_type = OCI + "index.v1+json"
        self.digest = digest_of(self.root)

    def make(self, chance, platform):
        layers, diff_ids = [], []
        for number in range(chance.randint(3, 5)):
            tar = self.tar(chance, number)
            data = gzip.compress(tar, 1, mtime=0)
            layers.append(self.add(data, OCI + "layer.v1.tar+gzip"))
            diff_ids.append(digest_of(tar))
        config = {"architecture": platform, "os": "linux", "config": {"Cmd": ["/file0"]},
                  "rootfs": {"type": "layers", "diff_ids": diff_ids}}
        return {"schemaVersion": 2, "mediaType": OCI + "manifest.v1+json",
                "config": self.add(json.dumps(config).encode(), OCI + "config.v1+json"),
                "layers": layers}

    def tar(self, chance, number):
        content = chance.randbytes(int(1000 * 2000 ** chance.random()))
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w") as archive:
            info = tarfile.TarInfo(f"file{number}")
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
        return out.getvalue()

    def add(self, data, media_type):
        self.blobs[digest_of(data)] = data
        return {"mediaType": media_type, "digest": digest_of(data), "size": len(data)}


class Direct:
    """The real registry, without anything in between."""

    def __init__(self, address):
        self.address, self.local = address, threading.local()

    def send(self, method, path, body=None, headers=None):
        """Status, headers and body of the answer."""
        for last in (False, True):
            connection = getattr(self.local, "connection", None)
            if connection is None:
                connection = self.local.connection = http.client.HTTPConnection(self.address, timeout=60)
            try:
                connection.request(method, path, body, headers or {})
                response = connection.getresponse()
                return response.status, response.headers, response.read()
            except (OSError, http.client.HTTPException):
                connection.close()
                self.local.connection = None
                if last:
                    raise

    def put_image(self, repository, image):
        for digest, data in image.blobs.items():
            _, headers, _ = self.send("POST", f"/v2/{repository}/blobs/uploads/")
            path = headers["Location"].split(self.address, 1)[-1]
            status, _, _ = self.send("PUT", f"{path}&digest={digest}", data)
            assert status == 201, status
        manifests = [(digest, *rest) for digest, rest in image.manifests.items()]
        for name, data, media_type in [*manifests, ("1", image.root, image.media_type)]:
            status, _, answer = self.send("PUT", f"/v2/{repository}/manifests/{name}", data,
                                          {"Content-Type": media_type})
            assert status == 201, answer

    def has_image(self, repository, image):
        """True if it is there byte for byte, False if there is none, else what is wrong."""
        types = f"{OCI}manifest.v1+json, {OCI}index.v1+json"
        status, _, root = self.send("GET", f"/v2/{repository}/manifests/1", headers={"Accept": types})
        if status == 404:
            return False
        if root not in (image.root, *(data for data, _ in image.manifests.values())):
            return "the manifest is another one"
        for digest, data in image.blobs.items():
            if self.send("GET", f"/v2/{repository}/blobs/{digest}")[2] != data:
                return f"blob {digest} is another one"
        return True


class Soak:
    def __init__(self, arguments, directory):
        self.arguments, self.directory = arguments, pathlib.Path(directory)
        self.strake = os.environ["STRAKE"]
        self.chance = random.Random(arguments.seed)
        self.processes = []
        self.environment = {"HOME": str(self.directory / "home"), "PATH": os.environ["PATH"],
                            "TMPDIR": str(self.directory)}
        (self.directory / "home").mkdir()
        self.results, self.wrong, self.failures, self.unclean = [], [], [], []
        self.lock = threading.Lock()
        self.log = self.directory / "faults.log"

    def start(self):
        self.direct = Direct(self.start_registry())
        proxy = self.spawn([sys.executable, str(FAULTY), "--backend", self.direct.address, "--log",
                            str(self.log), "--seed", str(self.arguments.seed), "--rate",
                            str(self.arguments.rate / 100)], stdout=subprocess.PIPE)
        self.address = json.loads(proxy.stdout.readline())["registry"]
        for attempt in range(20):  # logging in goes through what fails, too
            login = self.run(self.directory / "none", "login", "-u", USER, "--password-stdin",
                             self.address, input=PASSWORD)
            if login.returncode == 0:
                return
        sys.exit(login.stderr)

    def spawn(self, command, **how):
        self.processes.append(subprocess.Popen(command, start_new_session=True, **how))
        return self.processes[-1]

    def start_registry(self):
        for _ in range(20):
            address = f"127.0.0.1:{random.randrange(20000, 32000)}"
            config = self.directory / "registry.yml"
            config.write_text('version: 0.1\nlog: {level: error, accesslog: {disabled: true}}\n'
                              f'storage: {{filesystem: {{rootdirectory: "{self.directory}/data"}}}}\n'
                              f'http: {{addr: "{address}", relativeurls: true}}\n')
            registry = self.spawn(["docker-registry", "serve", str(config)],
                                  stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            for _ in range(100):
                time.sleep(0.05)
                if registry.poll() is not None:
                    break  # somebody else has the port
                try:
                    http.client.HTTPConnection(address, timeout=5).request("GET", "/v2/")
                except OSError:
                    continue
                if registry.poll() is None:
                    return address
        sys.exit("docker-registry does not start")

    def stop(self):
        for process in reversed(self.processes):
            if process.poll() is None:
                process.terminate()
                process.wait()

    def run(self, store, *words, **how):
        try:
            return subprocess.run([self.strake, "--root", str(store), *words], text=True,
                                  capture_output=True, env=self.environment,
                                  timeout=LONGEST_SECONDS, **how)
        except subprocess.TimeoutExpired as expired:
            return subprocess.CompletedProcess(words, -signal.SIGALRM, "", str(expired))

    # One command and its result: (kind, op, seconds, succeeded)

    def judge(self, kind, op, run, seconds, right):
        """`right` is True, False (nothing there) or says what is wrong."""
        succeeded = run.returncode == 0 and right is True
        with self.lock:
            self.results.append((kind, op, seconds, succeeded))
            if isinstance(right, str):
                self.wrong.append(f"{kind} {op}: {right}")
            elif run.returncode == 0 and not right:
                self.wrong.append(f"{kind} {op}: success, but there is no image")
            if run.returncode != 0 and (
                    run.returncode not in CLEAN_FAILURES or "error:" not in run.stderr):
                self.unclean.append(f"{kind} {op}: status {run.returncode}: {run.stderr[-300:]}")
            elif run.returncode != 0:
                self.failures.append((kind, op, run.stderr.strip().split("error:")[-1].strip()))

    def pull(self, op, image):
        store = self.directory / f"pull-{op}"
        platform = self.chance.choice(list(image.parts))
        name = f"{self.address}/{op}/{image.name}:1"
        begin = time.monotonic()
        run = self.run(store, "pull", "-q", "--platform", f"linux/{platform}", name)
        seconds = time.monotonic() - begin
        self.judge("pull", op, run, seconds,
                   self.stored(store, image, platform) if run.returncode == 0 else False)
        shutil.rmtree(store, ignore_errors=True)

    def stored(self, store, image, platform):
        blobs = {f"sha256:{path.name}": digest_of(path.read_bytes())
                 for path in (store / "blobs").glob("*/*")}
        if any(name != digest for name, digest in blobs.items()):
            return "a blob has another digest"
        missing = image.parts[platform] - set(blobs)
        strange = set(blobs) - image.parts[platform] - {image.digest}
        if missing or strange:
            return f"missing {missing}, strange {strange}"
        trees = {digest_of(path.read_bytes()) for path in store.glob("layers/*/tree/*")}
        wanted = {digest_of(tarfile.open(fileobj=io.BytesIO(image.blobs[digest])).extractfile(
            tarfile.open(fileobj=io.BytesIO(image.blobs[digest])).next()).read())
            for digest in image.parts[platform] & set(image.blobs)
            if image.blobs[digest].startswith(b"\x1f\x8b")}
        if trees and trees != wanted:
            return "unpacked files are other ones"
        left = [str(path) for path in (store / "ingest").rglob("*") if path.is_file()]
        return f"left behind: {left}" if left else True

    def push(self, op, image):
        store = self.directory / f"push-{op}"
        source, target = f"{self.direct.address}/src/{op}:1", f"{self.address}/{op}/{image.name}:1"
        self.direct.put_image(f"src/{op}", image)
        for words in (("pull", "-q", source), ("tag", source, target)):
            run = self.run(store, *words)
            assert run.returncode == 0, run.stderr
        begin = time.monotonic()
        run = self.run(store, "push", "-q", target)
        seconds = time.monotonic() - begin
        right = self.direct.has_image(image.name, image)
        if run.returncode == 0 and right is True:
            raw = subprocess.run(["skopeo", "inspect", "--raw", "--tls-verify=false",
                                  f"docker://{self.direct.address}/{image.name}:1"],
                                 capture_output=True, env=self.environment)
            if digest_of(raw.stdout) != image.digest:
                right = "skopeo sees another image"
        self.judge("push", op, run, seconds, right)
        shutil.rmtree(store, ignore_errors=True)

    def build(self, op, base):
        """Pulls `base`, adds a layer, pushes that to another repository."""
        store, context = self.directory / f"build-{op}", self.directory / f"context-{op}"
        context.mkdir()
        (context / "new").write_bytes(os.urandom(20000))
        (context / "Dockerfile").write_text(f"FROM {self.address}/{op}/{base.name}:1\nCOPY new /new\n")
        metadata = context / "metadata.json"
        begin = time.monotonic()
        run = self.run(store, "build", "-q", "--push", "-t", f"{self.address}/{op}/built/{op}:1",
                       "--platform", "linux/amd64", "--metadata-file", str(metadata), str(context))
        seconds = time.monotonic() - begin
        right = False
        if run.returncode == 0:
            digest = json.loads(metadata.read_text())["containerimage.digest"]
            right = self.built(f"built/{op}", digest, base)
        self.judge("build", op, run, seconds, right)
        shutil.rmtree(store, ignore_errors=True)
        shutil.rmtree(context)

    def built(self, repository, digest, base):
        _, _, manifest = self.direct.send("GET", f"/v2/{repository}/manifests/1",
                                          headers={"Accept": OCI + "manifest.v1+json"})
        if digest_of(manifest) != digest:
            return "the manifest is another one"
        manifest = json.loads(manifest)
        layers = [layer["digest"] for layer in manifest["layers"]]
        for blob in [manifest["config"]["digest"], *layers]:
            if digest_of(self.direct.send("GET", f"/v2/{repository}/blobs/{blob}")[2]) != blob:
                return f"blob {blob} is another one"
        if len(layers) < 4 or not set(layers[:-1]) < base.parts["amd64"]:
            return "the base's layers are others"
        return True

    def soak(self):
        images = [self.new_image(f"base/{i}", i % 3 > 0) for i in range(30)]
        for image in images:
            self.direct.put_image(image.name, image)
        jobs = [lambda i=i: self.pull(f"op-{i}", images[i % len(images)])
                for i in range(self.arguments.pulls)]
        jobs += [lambda i=i: self.push(f"op-{100000 + i}", self.new_image(f"new/i{i}", False))
                 for i in range(self.arguments.pushes)]
        jobs += [lambda i=i: self.build(f"op-{200000 + i}", images[i % len(images)])
                 for i in range(self.arguments.builds)]
        random.Random(self.arguments.seed).shuffle(jobs)
        self.do(jobs)

    def new_image(self, name, several):
        with self.lock:
            chance = random.Random(self.chance.random())
        return Image(chance, name, PLATFORMS if several else PLATFORMS[:1])

    def each(self):
        """Every way of failing, once and always."""
        listed = subprocess.run([sys.executable, str(FAULTY), "--list"], capture_output=True,
                                text=True, check=True).stdout.split()
        kinds = dict(zip(listed[::2], listed[1::2]))
        base = self.new_image("each/base", True)
        self.direct.put_image(base.name, base)
        ops = [f"{when}-{kind}" for kind in kinds for when in ("always", "once")]
        self.do([lambda op=op: self.pull(op, base) for op in ops] +
                [lambda op=op: self.push(op, self.new_image(f"each/{op}", False)) for op in ops])
        must = {f"once-{kind}" for kind, nature in kinds.items() if nature == "accident"}
        for kind, op, text in self.failures:
            if op in must:
                self.unclean.append(f"{kind} {op}: should have succeeded: {text}")
        ended = collections.Counter((op.split("-")[0], ok) for _, op, _, ok in self.results)
        print(f"each of {len(kinds)} faults: once: {ended['once', True]} of "
              f"{ended['once', True] + ended['once', False]} succeed, always: "
              f"{ended['always', True]} succeed, {ended['always', False]} end with an error")
        if self.arguments.verbose:
            for kind, op, text in sorted(self.failures, key=lambda f: f[1]):
                print(f"  {kind} {op}: {text}")
        self.results, self.failures = [], []

    def do(self, jobs):
        with concurrent.futures.ThreadPoolExecutor(self.arguments.parallel) as pool:
            for future in [pool.submit(job) for job in jobs]:
                future.result()

    def report(self):
        self.stop()
        lines = [json.loads(line) for line in self.log.open(encoding="utf-8")]
        faults = collections.Counter(line["fault"] for line in lines if line["fault"])
        leaks = [line for line in lines if "leak" in line]
        met = collections.defaultdict(list)
        for line in lines:
            if line["fault"]:
                met[line["op"]].append(line["fault"])
        good = True
        for kind in ("pull", "push", "build"):
            mine = [result for result in self.results if result[0] == kind]
            if not mine:
                continue
            succeeded = sum(1 for *_, ok in mine if ok)
            percent = 100 * succeeded / len(mine)
            times = sorted(seconds for _, _, seconds, _ in mine)
            good = good and percent >= self.arguments.goal
            print(f"{kind}: {succeeded} of {len(mine)} succeed: {percent:.2f} %; seconds: median {statistics.median(times):.2f}, "
                  f"99 % {times[int(len(times) * 0.99)]:.2f}, most {times[-1]:.2f}")
        touched = sum(1 for _, op, *_ in self.results if met[op])
        print(f"{touched} of {len(self.results)} commands met a fault")
        print(f"requests: {len(lines)}, faults: {sum(faults.values())}, bytes up: "
              f"{sum(line['up'] for line in lines)}, down: {sum(line['down'] for line in lines)}")
        print("faults: " + ", ".join(f"{name} {count}" for name, count in faults.most_common()))
        for kind, op, text in self.failures:
            print(f"FAILED: {kind} {op}: {text}\n  met: {' '.join(met[op])}")
        print(f"wrong images: {len(self.wrong)}, credentials seen elsewhere: {len(leaks)}, "
              f"crashes and the like: {len(self.unclean)}")
        for line in [*self.wrong, *self.unclean, *map(json.dumps, leaks)]:
            print("WRONG: " + line)
        return good and not (self.wrong or leaks or self.unclean)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--pulls", type=int, default=2000)
    parser.add_argument("--pushes", type=int, default=500)
    parser.add_argument("--builds", type=int, default=0)
    parser.add_argument("--rate", type=float, default=5, help="per cent of the requests that fail")
    parser.add_argument("--goal", type=float, help="per cent of the commands that must succeed")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--parallel", type=int, default=8)
    parser.add_argument("--each", action="store_true")
    parser.add_argument("--verbose", action="store_true")
    parser.add_argument("--keep-log", help="where the log of all requests goes")
    arguments = parser.parse_args()
    if arguments.goal is None:
        arguments.goal = 99.9 if arguments.rate <= 5 else 99.0
    with tempfile.TemporaryDirectory() as directory:
        soak = Soak(arguments, directory)
        begin = time.monotonic()
        try:
            soak.start()
            if arguments.each:
                soak.each()
            soak.soak()
            good = soak.report()
        finally:
            soak.stop()
            if arguments.keep_log and soak.log.exists():
                shutil.copy(soak.log, arguments.keep_log)
        print(f"took {time.monotonic() - begin:.0f} s, rate {arguments.rate:g} %, seed {arguments.seed}")
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
