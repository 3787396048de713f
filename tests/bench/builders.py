"""The builders that are compared, each with its storage below the measured file system."""

import os
import pathlib
import shutil
import subprocess
import time

from measure import Usage, quietly, run
from place import Daemon


class Builder:
    """What they have in common: `open` after the file system is new, `close` before it goes."""
    name = ""

    def __init__(self, work, disk, registry):
        self.work, self.disk, self.registry = work, disk, registry
        foreign = ("DOCKER_CONFIG", "DOCKER_HOST", "DOCKER_CONTEXT", "REGISTRY_AUTH_FILE")
        self.environment = {name: value for name, value in os.environ.items() if name not in foreign}
        self.environment["HOME"] = str(work)

    def open(self):
        (self.disk / self.name).mkdir(mode=0o700)

    def close(self):
        pass

    def pids(self):
        return []

    def measured(self, command):
        return run(command, self.environment, self.pids(), self.registry.pids, self.work)

    def pull(self, image):
        """Makes the base warm: here, and ready for a step."""
        context = self.work / "pull"
        context.mkdir(exist_ok=True)
        (context / "Dockerfile").write_text(f"FROM {image}\nRUN true\n", encoding="utf-8")
        self.build(context)

    def build(self, context, cache=True):
        raise NotImplementedError

    def build_and_push(self, context, name, built=None):
        """`built` is the usage of the same build when it was measured already."""
        raise NotImplementedError


class Strake(Builder):
    name = "strake"

    def __init__(self, work, disk, registry, binary):
        super().__init__(work, disk, registry)
        self.binary = binary
        self.environment["STRAKE_ROOT"] = str(disk / self.name)

    def version(self):
        return subprocess.check_output([self.binary, "version"], text=True).split("\n")[0]

    def build(self, context, cache=True, extra=()):
        options = [] if cache else ["--no-cache"]
        return self.measured([self.binary, "build", "--progress", "plain", *options, *extra,
                              "-t", "measured", str(context)])

    def build_and_push(self, context, name, built=None, extra=()):
        return self.measured([self.binary, "build", "--progress", "plain", "--push", *extra,
                              "-t", f"{self.registry.address}/{name}", str(context)])


class Buildah(Builder):
    name = "buildah"

    def __init__(self, work, disk, registry):
        super().__init__(work, disk, registry)
        policy = work / "policy.json"
        policy.write_text('{"default": [{"type": "insecureAcceptAnything"}]}', encoding="utf-8")
        self.command = ["buildah", "--root", str(disk / "buildah/root"),
                        "--runroot", str(disk / "buildah/run"), "--storage-driver", "overlay"]
        self.policy = f"--signature-policy={policy}"

    @staticmethod
    def available():
        return shutil.which("buildah") is not None

    def version(self):
        return subprocess.check_output(["buildah", "--version"], text=True).strip()

    def build(self, context, cache=True):
        options = [] if cache else ["--no-cache"]
        return self.measured([*self.command, "build", self.policy, "--layers", "--isolation", "chroot",
                              "--network", "host", "--tls-verify=false", *options,
                              "-t", "measured", str(context)])

    def build_and_push(self, context, name, built=None):
        built = built or self.build(context)
        return built + self.measured([*self.command, "push", self.policy, "--tls-verify=false",
                                      "measured", f"docker://{self.registry.address}/{name}"])


class Docker(Builder):
    """dockerd with BuildKit, as a warm daemon of our own. Where the machine has a dockerd it stays
    as it is."""
    name = "docker"
    # A newer client from elsewhere would want a plugin for DOCKER_BUILDKIT.
    client = "/usr/bin/docker" if os.access("/usr/bin/docker", os.X_OK) else "docker"

    def __init__(self, work, disk, registry):
        super().__init__(work, disk, registry)
        self.daemon = None
        self.place = work / "dockerd"
        self.place.mkdir(exist_ok=True)
        (self.place / "daemon.json").write_text("{}", encoding="utf-8")
        self.environment |= {"DOCKER_HOST": f"unix://{self.place}/socket", "DOCKER_BUILDKIT": "1"}

    @staticmethod
    def available():
        return shutil.which("dockerd") is not None and shutil.which(Docker.client) is not None

    def version(self):
        return subprocess.check_output(["dockerd", "--version"], text=True).strip().replace(
            "Docker version", "docker")

    def open(self):
        super().open()
        shutil.rmtree(self.place / "exec", ignore_errors=True)
        self.daemon = Daemon(
            ["dockerd", "--config-file", str(self.place / "daemon.json"),
             "--data-root", str(self.disk / "docker"), "--exec-root", str(self.place / "exec"),
             "--pidfile", str(self.place / "pid"), "--host", f"unix://{self.place}/socket",
             "--iptables=false", "--ip6tables=false", "--bridge=none", "--storage-driver", "overlay2",
             "--insecure-registry", self.registry.address], self.work / "dockerd.log", self.environment)
        self.daemon.wait_for(self._answers)

    def _answers(self):
        return (self.place / "socket").exists() and subprocess.run(
            [self.client, "version"], env=self.environment, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, check=False).returncode == 0

    def close(self):
        if self.daemon is None:
            return
        self.daemon.stop()
        self.daemon = None
        self._stop_containerd()

    def _stop_containerd(self):
        """dockerd takes its containerd along, unless it was killed."""
        for entry in pathlib.Path("/proc").iterdir():
            try:
                if entry.name.isdigit() and str(self.place).encode() in (entry / "cmdline").read_bytes():
                    os.kill(int(entry.name), 9)
            except OSError:
                continue
        end = time.monotonic() + 5
        while (self.place / "pid").exists() and time.monotonic() < end:
            time.sleep(0.05)

    def pids(self):
        return [self.daemon.pid] if self.daemon else []

    def build(self, context, cache=True):
        options = [] if cache else ["--no-cache"]
        return self.measured([self.client, "build", "--network=host", *options, "-t", "measured",
                              str(context)])

    def build_and_push(self, context, name, built=None):
        built = built or self.build(context)
        image = f"{self.registry.address}/{name}"
        quietly(self.client, "tag", "measured", image, env=self.environment)
        return built + self.measured([self.client, "push", image])


PEERS = {"docker": Docker, "buildah": Buildah}
__all__ = ["Builder", "Strake", "Buildah", "Docker", "PEERS", "Usage"]
