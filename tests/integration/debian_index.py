#!/usr/bin/env python3
"""Makes a package index for pip, in a directory that any web server can serve, of what a Debian has:
numpy as a wheel, and the wheels of Debian's own pip. For builds where PyPI cannot be reached."""

import base64
import csv
import hashlib
import io
import pathlib
import sys
import tarfile
import zipfile

PACKAGES = "./usr/lib/python3/dist-packages/"
WHEELS = "./usr/share/python-wheels/"
TAG = "cp311-cp311-linux_"


def record_line(name, content):
    digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
    return [name, f"sha256={digest}", len(content)]


def write_wheel(path, tag, info, files):
    """A wheel: the files, its metadata, and a list with the digests of both (PEP 427)."""
    files[f"{info}/WHEEL"] = f"Wheel-Version: 1.0\nRoot-Is-Purelib: false\nTag: {tag}\n".encode()
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as wheel:
        for name, content in files.items():
            wheel.writestr(name, content)
        record = io.StringIO()
        rows = [record_line(*file) for file in files.items()] + [[f"{info}/RECORD", "", ""]]
        csv.writer(record, lineterminator="\n").writerows(rows)
        wheel.writestr(f"{info}/RECORD", record.getvalue())


def main(tar_path, machine, directory):
    simple = pathlib.Path(directory) / "simple"
    numpy, version = {}, None
    with tarfile.open(tar_path) as tar:
        for member in tar:
            if not member.isfile() or "/__pycache__/" in member.name or "/tests/" in member.name:
                continue
            if member.name.startswith(WHEELS):
                wheel = pathlib.PurePath(member.name).name
                (simple / wheel.split("-")[0]).mkdir(parents=True, exist_ok=True)
                (simple / wheel.split("-")[0] / wheel).write_bytes(tar.extractfile(member).read())
            elif member.name.startswith(PACKAGES + "numpy/"):
                numpy[member.name[len(PACKAGES):]] = tar.extractfile(member).read()
            elif member.name.startswith(PACKAGES + "numpy-") and member.name.endswith("/PKG-INFO"):
                version = member.name.split("/")[-2].split("-")[1].removesuffix(".egg")
                numpy[f"numpy-{version}.dist-info/METADATA"] = tar.extractfile(member).read()
    if version is None:
        sys.exit(f"{tar_path}: no numpy")
    (simple / "numpy").mkdir(parents=True, exist_ok=True)
    write_wheel(simple / "numpy" / f"numpy-{version}-{TAG}{machine}.whl", TAG + machine,
                f"numpy-{version}.dist-info", numpy)


if __name__ == "__main__":
    main(*sys.argv[1:])
