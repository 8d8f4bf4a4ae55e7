"""What a benchmark found: a line to read, and its figures as lines of JSON in the file that
BENCH_JSON names, if it does."""

import json
import os
import pathlib
import sys


def found(line, of, **figures):
    """of: what it was measured of. Each figure is a value with its unit."""
    print(line, flush=True)
    path = os.environ.get("BENCH_JSON")
    if not path:
        return
    bench = pathlib.Path(sys.argv[0]).stem
    with open(path, "a", encoding="utf-8") as records:
        for figure, (value, unit) in figures.items():
            record = {"bench": bench, "of": of, "figure": figure, "value": float(f"{value:.9g}"), "unit": unit}
            records.write(json.dumps(record) + "\n")
