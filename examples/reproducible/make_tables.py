"""Writes tables of numbers, and when they were made."""

import argparse
import datetime
import os
import pathlib


def write_table(path, name, function):
    # Not the clock: the time that the build is told.
    made = datetime.datetime.fromtimestamp(int(os.environ["SOURCE_DATE_EPOCH"]), datetime.timezone.utc)
    lines = [f"# {name}, made {made:%Y-%m-%d}"]
    lines += [f"{number},{function(number)}" for number in range(1, 1001)]
    path.write_text("\n".join(lines) + "\n", encoding="ascii")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=pathlib.Path, required=True)
    output = parser.parse_args().output
    output.mkdir(parents=True, exist_ok=True)
    write_table(output / "squares.csv", "squares", lambda number: number**2)
    write_table(output / "cubes.csv", "cubes", lambda number: number**3)


if __name__ == "__main__":
    main()
