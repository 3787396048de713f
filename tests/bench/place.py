"""Where is measured: a fresh file system on a loop device, a registry, base images."""

import gzip
import hashlib
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request

from measure import quietly

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
MANIFESTS = ", ".join((MANIFEST, INDEX, "application/vnd.docker.distribution.manifest.v2+json",
                       "application/vnd.docker.distribution.manifest.list.v2+json"))


class FileSystem:
    """An ext4 as mkfs makes it, with a journal, that nothing was ever deleted from. The image is
    sparse; its loop device goes when it is unmounted."""

    def __init__(self, work, size="48G"):
        self.image, self.path, self.size = work / "disk.img", work / "disk", size
        self.path.mkdir()

    def renew(self):
        self.remove()
        with open(self.image, "wb") as file:
            file.truncate(int(self.size[:-1]) << 30)
        # Without lazy initialisation left over: a kernel thread would do it while we measure.
        quietly("mkfs.ext4", "-F", "-q", "-m", "0", "-E", "lazy_itable_init=1,nodiscard", self.image)
        quietly("mount", "-o", "loop,noinit_itable", self.image, self.path)

    def remove(self):
        unmount_below(self.path)
        self.image.unlink(missing_ok=True)


def unmount_below(path):
    """Also what builders left mounted there, the last first."""
    def mounts():
        for line in pathlib.Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines():
            place = line.split()[4]
            if place == str(path) or place.startswith(f"{path}/"):
                yield place
    for _ in range(20):
        left = list(mounts())
        if not left:
            return
        for place in reversed(left):
            subprocess.run(["umount", place], stderr=subprocess.DEVNULL, check=False)
        if list(mounts()) == left:
            time.sleep(0.25)
    for place in reversed(list(mounts())):
        quietly("umount", "--lazy", place)


class Daemon:
    """A process of ours in a session of its own, so that Ctrl-C goes to us, and we stop it."""

    def __init__(self, command, log, environment=None):
        with open(log, "ab") as output:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output,
                                            stderr=output, env=environment, start_new_session=True)
        self.log = log

    @property
    def pid(self):
        return self.process.pid

    def wait_for(self, ready, seconds=30):
        end = time.monotonic() + seconds
        while not ready():
            if self.process.poll() is not None or time.monotonic() > end:
                text = pathlib.Path(self.log).read_text(errors="replace")[-2000:]
                self.stop()
                raise RuntimeError(f"{self.process.args[0]} did not start:\n{text}")
            time.sleep(0.02)

    def stop(self):
        if self.process.poll() is not None:
            return
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


class Registry:
    """A docker-registry of ours on a free loopback port, or the one at `address`."""

    def __init__(self, work, address=None):
        self.daemon, self.address, self.data, self.kept = None, address, work / "registry", set()
        if address is None:
            self._start(work)

    def _start(self, work):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.address = "127.0.0.1:%d" % probe.getsockname()[1]
        config = work / "registry.yml"
        config.write_text(f"version: 0.1\nlog: {{level: error, accesslog: {{disabled: true}}}}\n"
                          f"storage: {{filesystem: {{rootdirectory: {self.data}}}}}\n"
                          f'http: {{addr: "{self.address}"}}\n', encoding="utf-8")
        self.daemon = Daemon(["docker-registry", "serve", str(config)], work / "registry.log")
        self.daemon.wait_for(self._answers)

    def _answers(self):
        try:
            urllib.request.urlopen(f"http://{self.address}/v2/", timeout=5).close()
            return True
        except OSError:
            return False

    @property
    def pids(self):
        return [self.daemon.pid] if self.daemon else []

    def stop(self):
        if self.daemon:
            self.daemon.stop()

    def get(self, path, accept=MANIFESTS):
        request = urllib.request.Request(f"http://{self.address}/v2/{path}", headers={"Accept": accept})
        return urllib.request.urlopen(request, timeout=600)

    def layers_of(self, name, architecture="amd64"):
        """Digest and size of each, bottom first. `name` is without the host."""
        repository, _, tag = name.rpartition(":")
        with self.get(f"{repository}/manifests/{tag}") as answer:
            document = json.load(answer)
        if "manifests" in document:
            digest = next(m["digest"] for m in document["manifests"]
                          if m["platform"]["architecture"] == architecture)
            with self.get(f"{repository}/manifests/{digest}") as answer:
                document = json.load(answer)
        return [(layer["digest"], layer["size"]) for layer in document["layers"]]

    def fetch_layers(self, name, directory, architecture="amd64"):
        """Unpacks the image's layers, as if they had no whiteouts (a base's of one layer has none)."""
        repository = name.rpartition(":")[0]
        for digest, _ in self.layers_of(name, architecture):
            with self.get(f"{repository}/blobs/{digest}") as blob, \
                    subprocess.Popen(["tar", "--numeric-owner", "-xzpf", "-", "-C", directory],
                                     stdin=subprocess.PIPE) as tar:
                shutil.copyfileobj(blob, tar.stdin, 1 << 20)
            if tar.returncode:
                raise RuntimeError(f"{name} cannot be unpacked")

    def _send(self, method, url, body=b"", headers=None):
        if url.startswith("/"):
            url = f"http://{self.address}{url}"
        request = urllib.request.Request(url, data=body, method=method, headers=headers or {})
        with urllib.request.urlopen(request, timeout=600) as answer:
            return answer.headers

    def put_blob(self, repository, content, digest=None, size=None):
        """`content` is bytes, or a file, whose digest and size are given then."""
        if digest is None:
            digest, size = "sha256:" + hashlib.sha256(content).hexdigest(), len(content)
        place = self._send("POST", f"/v2/{repository}/blobs/uploads/")["Location"]
        join = "&" if "?" in place else "?"
        self._send("PUT", f"{place}{join}digest={digest}", content,
                   {"Content-Type": "application/octet-stream", "Content-Length": str(size)})
        return {"digest": digest, "size": size}

    def put_manifest(self, repository, tag, document):
        body = json.dumps(document).encode()
        digest = "sha256:" + hashlib.sha256(body).hexdigest()
        self._send("PUT", f"/v2/{repository}/manifests/{tag or digest}", body,
                   {"Content-Type": document["mediaType"]})
        return {"mediaType": document["mediaType"], "digest": digest, "size": len(body)}

    def put_base(self, name, tars):
        """An image of one layer for each platform, compressed as ordinary tools do it: by zlib at
        level 6 in one stream. `tars` is architecture -> file. Several make an index."""
        repository, tag = name.split(":")
        manifests = []
        for architecture, tar in tars.items():
            content = pathlib.Path(tar).read_bytes()
            diff_id = "sha256:" + hashlib.sha256(content).hexdigest()
            layer = self.put_blob(repository, gzip.compress(content, 6, mtime=0))
            config = self.put_blob(repository, json.dumps(
                {"architecture": architecture, "os": "linux", "config": {},
                 "rootfs": {"type": "layers", "diff_ids": [diff_id]},
                 "history": [{"created_by": "a root file system"}]}).encode())
            kind = "application/vnd.oci.image."
            manifest = {"schemaVersion": 2, "mediaType": MANIFEST,
                        "config": {"mediaType": kind + "config.v1+json", **config},
                        "layers": [{"mediaType": kind + "layer.v1.tar+gzip", **layer}]}
            self.kept |= {layer["digest"], config["digest"]}
            described = self.put_manifest(repository, tag if len(tars) == 1 else None, manifest)
            self.kept.add(described["digest"])
            manifests.append({**described, "platform": {"os": "linux", "architecture": architecture}})
        if len(tars) > 1:
            index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests}
            self.kept.add(self.put_manifest(repository, tag, index)["digest"])

    def forget_pushes(self):
        """Removes all that was pushed but the bases, so that the disk stays small."""
        if not self.daemon:
            return
        root = self.data / "docker/registry/v2"
        shutil.rmtree(root / "repositories/bench", ignore_errors=True)
        for blob in root.glob("blobs/sha256/??/*"):
            if f"sha256:{blob.name}" not in self.kept:
                shutil.rmtree(blob, ignore_errors=True)


def make_base_tars(directory, examples):
    """Debian, the same for arm64, and with Python, by mmdebstrap: name -> tar."""
    directory.mkdir(parents=True, exist_ok=True)
    script = """set -e
sudo=
. "$1"
make_debian amd64 "$2/debian-amd64.tar"
make_debian amd64 "$2/python-amd64.tar" python3 python3-pip ca-certificates
make_debian arm64 "$2/debian-arm64.tar"
"""
    quietly("bash", "-c", script, "bash", examples, directory)
    return {name: directory / f"{name}.tar" for name in ("debian-amd64", "python-amd64", "debian-arm64")}
