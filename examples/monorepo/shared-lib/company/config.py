"""Configuration: the defaults, and over them what the service says."""

import json
import pathlib


def load(service, directory=pathlib.Path("config")):
    values = {}
    for name in ("defaults", service):
        values.update(json.loads((directory / f"{name}.json").read_text(encoding="utf-8")))
    return values
