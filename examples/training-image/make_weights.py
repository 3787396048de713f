#!/usr/bin/env python3
"""Writes weights that stand for real ones: shards of 16-bit numbers, the same in every run."""

import argparse
import hashlib
import json
import pathlib
import random

MIB = 1 << 20


def write_shard(path, seed, mib):
    """Random exponents in a narrow range, as trained weights have: they compress, but not well."""
    generator = random.Random(seed)
    digest = hashlib.sha256()
    table = bytes(0x38 + (byte & 7) for byte in range(256))
    with open(path, "wb") as shard:
        for _ in range(mib):
            block = bytearray(generator.randbytes(MIB))
            block[1::2] = block[1::2].translate(table)
            digest.update(block)
            shard.write(block)
    return {"file": path.name, "bytes": mib * MIB, "sha256": digest.hexdigest()}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--directory", type=pathlib.Path,
                        default=pathlib.Path(__file__).parent / "weights")
    parser.add_argument("--shards", type=int, default=4)
    parser.add_argument("--mib", type=int, default=16, help="size of each shard")
    options = parser.parse_args()
    options.directory.mkdir(parents=True, exist_ok=True)
    shards = [
        write_shard(options.directory / f"model-{number:05}-of-{options.shards:05}.bin", number,
                    options.mib)
        for number in range(1, options.shards + 1)
    ]
    index = options.directory / "index.json"
    index.write_text(json.dumps({"dtype": "float16", "shards": shards}, indent=2) + "\n")
    print(f"{options.directory}: {options.shards} shards of {options.mib} MiB")


if __name__ == "__main__":
    main()
