"""Predicts the output of a noisy quadratic for --input."""

import argparse

import numpy
from tinyml import Model

GREETING = "prediction"


def train():
    random = numpy.random.default_rng(seed=42)
    inputs = numpy.linspace(-10, 10, 200)
    outputs = 3 * inputs**2 - 2 * inputs + 1 + random.normal(scale=0.5, size=inputs.size)
    return Model.fit(inputs, outputs, degree=2)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--input", type=float, required=True)
    value = parser.parse_args().input
    print(f"{GREETING} for {value:g}: {train().predict(value):.0f}")
