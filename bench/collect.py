"""Puts what a benchmark found, lines of JSON from stdin, into the file of all of them.

usage: collect.py BENCH.JSON SERVER_VERSION STATE COMMAND BEGUN LOAD <FIGURES

Figures of a benchmark take the place of earlier ones of the same, so what is in the file is
always of one run of each. STATE: of the source; BEGUN: when, in seconds since 1970; LOAD: of
the machine at that moment. What else is said of a run is asked of the machine.
"""

import datetime
import json
import os
import pathlib
import platform
import sys
import time


def processor():
    lines = pathlib.Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return f"{os.cpu_count()} of {names[0] if names else platform.machine()}"


def run_of(bench, server, state, command, begun, load):
    return {
        "bench": bench,
        "command": command,
        "begun": datetime.datetime.fromtimestamp(int(begun), datetime.timezone.utc).strftime("%Y-%m-%dT%H:%MZ"),
        "seconds": int(time.time()) - int(begun),
        "server": server,
        "state": state,
        "processors": processor(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30),
        "system": f"{platform.system()} {platform.release().split('-')[0]}",
        "load_before": float(load),
        "load_after": round(os.getloadavg()[0], 2),
        "nice": os.nice(0),
    }


def main():
    path = pathlib.Path(sys.argv[1])
    figures = [json.loads(line) for line in sys.stdin]
    if not figures:
        return
    bench = figures[0]["bench"]
    before = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {"runs": [], "figures": []}
    new = {"runs": [run_of(bench, *sys.argv[2:])], "figures": figures}
    parts = []
    for part in ("runs", "figures"):
        records = sorted(
            [record for record in before[part] if record["bench"] != bench] + new[part], key=lambda record: record["bench"]
        )
        parts.append(f'\t"{part}": [\n\t\t' + ",\n\t\t".join(map(json.dumps, records)) + "\n\t]")
    path.write_text("{\n" + ",\n".join(parts) + "\n}\n", encoding="utf-8")


main()
