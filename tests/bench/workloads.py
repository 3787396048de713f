#!/usr/bin/env python3
"""Build contexts to measure builders with: W1 to W9, the same bytes for the same seed and base.

    workloads.py DIRECTORY [W1 W4 ...] --python-tar TAR [--debian REF] [--python REF] [--multi REF]

Random text does not compress as sources do, so the text of W4 and W5 is cut from the Python
sources, and its libraries from the ELF files, of a Debian with Python (a root file system's tar:
mmdebstrap --variant=minbase --include=python3,python3-pip,ca-certificates bookworm TAR). W4 needs
numpy. README.md says what each workload is about.
"""

import argparse
import gzip
import io
import pathlib
import random
import shutil
import tarfile

MEBIBYTE = 1 << 20
LIBRARY_BLOCK = 64 << 10


class Filler:
    """Realistic bytes, cut from a root file system."""

    def __init__(self, tar):
        self.tar = tar
        self._lines = self._machine_code = None

    def _load(self):
        with tarfile.open(self.tar) as archive:
            members = {m.name: m for m in archive.getmembers() if m.isfile()}
            sources, binaries = [], []
            for name in sorted(members):
                if name.endswith(".py"):
                    sources.append(archive.extractfile(members[name]).read())
                elif "/bin/" in name or ".so" in pathlib.PurePath(name).name:
                    content = archive.extractfile(members[name]).read()
                    if content.startswith(b"\x7fELF"):
                        binaries.append(content)
        self._lines = b"".join(sources).splitlines(keepends=True)
        self._machine_code = b"".join(binaries)

    def text(self, chance, size):
        """Runs of eight lines from anywhere: what compressors see is source, no program runs it."""
        if self._lines is None:
            self._load()
        text = bytearray()
        while len(text) < size:
            at = chance.randrange(len(self._lines) - 8)
            text += b"".join(self._lines[at:at + 8])
        return bytes(text[:size])

    def library(self, chance, size):
        """Blocks of machine code and its tables, in another order than they were linked in."""
        if self._machine_code is None:
            self._load()
        places = (len(self._machine_code) - LIBRARY_BLOCK) // 16
        blocks = []
        for _ in range(size // LIBRARY_BLOCK):
            at = 16 * chance.randrange(places)
            blocks.append(self._machine_code[at:at + LIBRARY_BLOCK])
        return b"".join(blocks)


def skewed_size(chance, log_mean, log_deviation, least, most):
    """File sizes of source trees: most are small, some are not."""
    return int(min(most, max(least, chance.lognormvariate(log_mean, log_deviation))))


def python_module(chance, number):
    """A module that compiles: forty functions and what they need."""
    parts = [f'"""Part {number} of the application."""\nimport json\nimport os\n']
    for i in range(40):
        factor, rest, width = chance.randrange(1, 10**6), chance.randrange(10**6), chance.randrange(2, 99)
        parts.append(f"\n\ndef step_{number}_{i}(value, offset={rest}):\n"
                     f'    """Scales by {factor}; made as {chance.getrandbits(48):012x}."""\n'
                     f"    scaled = [offset + {factor} * n for n in range(value % {width})]\n"
                     f'    return {{"sum": sum(scaled), "rest": {rest}, "step": "{number}/{i}"}}\n')
    return "".join(parts)


class Workloads:
    def __init__(self, directory, filler, debian, python, multi):
        self.directory = pathlib.Path(directory)
        self.filler = filler
        self.debian, self.python, self.multi = debian, python, multi

    def make(self, name):
        shutil.rmtree(self.directory / name, ignore_errors=True)
        getattr(self, name)(self.directory / name, random.Random(f"strake {name}"))

    def W1(self, context, _):
        """Twelve instructions, nothing to do."""
        write(context / "app/main.sh", "#!/bin/sh\necho \"$@\"\n")
        write(context / "app/settings.ini", "[app]\nworkers = 2\n")
        write(context / "requirements.txt", "scipy\nnumpy\n")
        write(context / "Dockerfile", f"""FROM {self.debian}
ENV LANG=C.UTF-8 APP=/app
RUN mkdir -p /app /var/app
RUN echo first > /var/app/first
WORKDIR /app
COPY requirements.txt /app/requirements.txt
RUN sort requirements.txt > sorted.txt
RUN echo second > /var/app/second
COPY app/ /app/
RUN chmod 755 /app/main.sh
ENTRYPOINT ["/app/main.sh"]
CMD ["--help"]
""")

    def W2(self, context, chance):
        """Two hundred modules, of which one changes; a RUN compiles all."""
        for i in range(200):
            write(context / f"app/pkg{i // 20}/m{i}.py", python_module(chance, i))
        write(context / "requirements.txt", "numpy\n")
        write(context / "Dockerfile", f"""FROM {self.python}
WORKDIR /app
COPY requirements.txt .
RUN python3 -c "print('installed')" > /installed.txt
COPY app/ /app/
RUN python3 -m compileall -q /app
CMD ["python3", "-m", "pkg0.m0"]
""")

    def W3(self, context, _):
        """Twenty RUN steps that cost nothing but themselves."""
        steps = "".join(f"RUN echo {i} > /file{i}\n" for i in range(1, 21))
        write(context / "Dockerfile", f"FROM {self.debian}\n{steps}")

    def W4(self, context, chance):
        """1.5 GB as machine learning images have them: 600 MiB of weights that do not compress,
        350 MiB of float arrays, half of them rounded to bfloat16, 350 MiB of libraries, 20,000
        source files of 200 MB."""
        import numpy  # pylint: disable=import-outside-toplevel
        model = context / "model"
        model.mkdir(parents=True)
        for i in range(3):
            with open(model / f"weights-{i}.bin", "wb") as file:
                for _ in range(200):
                    file.write(chance.randbytes(MEBIBYTE))
        numbers = numpy.random.Generator(numpy.random.PCG64(chance.getrandbits(64)))
        for i in range(4):
            values = numbers.standard_normal(350 * MEBIBYTE // 16, dtype=numpy.float32) * numpy.float32(0.02)
            bits = values.astype("<f4").view("<u4")
            if i % 2 == 1:
                bits &= numpy.uint32(0xFFFF0000)
            write(model / f"embedding-{i}.npy", bits.tobytes())
        for i in range(14):
            write(context / f"lib/libmath{i}.so", self.filler.library(chance, 25 * MEBIBYTE))
        for i in range(20_000):
            write(context / f"site-packages/p{i // 400:02}/s{i // 40 % 10}/m{i}.py",
                  self.filler.text(chance, skewed_size(chance, 8.7, 1.03, 64, 200_000)))
        write(context / "Dockerfile",
              f'FROM {self.debian}\nCOPY . /opt/app/\nCMD ["/bin/true"]\n')

    def W5(self, context, chance):
        """A RUN that unpacks 60,000 small files."""
        context.mkdir(parents=True)
        places = ("", "/lib", "/dist", "/test")
        with open(context / "tree.tar.gz", "wb") as raw, \
                gzip.GzipFile("", "wb", 6, raw, mtime=0) as packed, \
                tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as tree:
            for package in range(600):
                root = f"node_modules/pkg{package:03}"
                for place in places:
                    add(tree, root + place, None)
                for i in range(100):
                    add(tree, f"{root}{places[i % 4]}/file{i}.js",
                        self.filler.text(chance, skewed_size(chance, 7.2, 1.1, 20, 60_000)))
        write(context / "Dockerfile", f"""FROM {self.debian}
COPY tree.tar.gz /tmp/
RUN mkdir -p /srv/app && tar -xzf /tmp/tree.tar.gz -C /srv/app
""")

    def W6(self, context, _):
        """A large base that is not here yet."""
        write(context / "Dockerfile", f"FROM {self.python}\nRUN echo here > /here\n")

    def W7(self, context, _):
        """Packages from the network."""
        write(context / "Dockerfile", f"FROM {self.debian}\nRUN apt-get update && "
              "apt-get install -y --no-install-recommends python3-numpy\n")

    def W9(self, context, chance):
        """The same files for two platforms."""
        for i in range(50):
            write(context / f"app/m{i}.py", python_module(chance, i))
        write(context / "Dockerfile", f"FROM {self.multi}\nCOPY app/ /app/\n")


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())


def add(archive, name, content):
    member = tarfile.TarInfo(name)
    member.mtime = 1_700_000_000
    if content is None:
        member.type, member.mode = tarfile.DIRTYPE, 0o755
    else:
        member.size, member.mode = len(content), 0o644
    archive.addfile(member, io.BytesIO(content or b""))


NAMES = [name for name in dir(Workloads) if name[0] == "W" and name[1:].isdigit()]


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {' '.join(NAMES)}; default: all")
    parser.add_argument("--python-tar", required=True, help="the root file system to cut text from")
    parser.add_argument("--debian", default="debian:bookworm")
    parser.add_argument("--python", default="python:3.11")
    parser.add_argument("--multi", default="debian:bookworm")
    options = parser.parse_args()
    workloads = Workloads(options.directory, Filler(options.python_tar), options.debian,
                          options.python, options.multi)
    for name in options.names or NAMES:
        workloads.make(name)


if __name__ == "__main__":
    main()
