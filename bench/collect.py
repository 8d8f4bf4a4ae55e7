"""Puts what benchmarks found, lines of JSON from stdin, into the file of all of them.

usage: collect.py BENCH.JSON SERVER_VERSION <RECORDS

Results of a benchmark take the place of earlier ones of the same.
"""

import datetime
import json
import pathlib
import sys


def main():
    path = pathlib.Path(sys.argv[1])
    new = [json.loads(line) for line in sys.stdin]
    before = json.loads(path.read_text(encoding="utf-8"))["found"] if path.exists() else []
    again = {record["bench"] for record in new}
    results = {
        "server": sys.argv[2],
        "date": datetime.date.today().isoformat(),
        "found": [record for record in before if record["bench"] not in again] + new,
    }
    lines = ",\n    ".join(json.dumps(record) for record in results["found"])
    path.write_text(
        f'{{\n  "server": "{results["server"]}",\n  "date": "{results["date"]}",\n  "found": [\n    {lines}\n  ]\n}}\n',
        encoding="utf-8",
    )


main()
