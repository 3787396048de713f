"""Stands for a training loop: checks the weights, reads the vocabulary, takes a few steps."""

import argparse
import hashlib
import json
import pathlib
import sys

LEARNING_RATE = 0.1


def check(directory):
    """The number of parameters; ends the program if a shard is not what the index says."""
    index = json.loads((directory / "index.json").read_text())
    for shard in index["shards"]:
        with open(directory / shard["file"], "rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != shard["sha256"]:
                sys.exit(f"{shard['file']} is damaged")
    return sum(shard["bytes"] for shard in index["shards"]) // 2


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=pathlib.Path, required=True)
    parser.add_argument("--steps", type=int, default=1)
    options = parser.parse_args()
    parameters = check(options.models / "base")
    merges = len((options.models / "vocab.bpe").read_text(encoding="utf-8").splitlines()) - 1
    print(f"{parameters} parameters, {merges} merges")
    loss = 4.0
    for step in range(options.steps):
        loss *= 1 - LEARNING_RATE
        print(f"step {step + 1}: loss {loss:.3f}")


if __name__ == "__main__":
    main()
