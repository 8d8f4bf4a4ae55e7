"""What the library costs a client: pgbench with it and without.

usage: cost.py BINDIR SCRATCH [PAIRS [SECONDS]]

Two servers, alike but for shared_preload_libraries, both up all the time. Each
round runs pgbench on the one with the library and twice on the one without, in
an order that changes from round to round; so whatever the machine does meanwhile
hits all three alike. Prints the median of the rounds' ratios with their
quartiles, and the same for the server without the library against itself, which
is the noise.
"""

import itertools
import re
import statistics
import sys

from found import found
from servers import Server

MODES = [
    ("pgbench -S -C (connect each time)", ["-S", "-C", "-c", "2", "-j", "1"]),
    ("pgbench -S -M prepared", ["-S", "-M", "prepared", "-c", "2", "-j", "1"]),
]


def tps(server, options, seconds):
    out = server.run("pgbench", *server.address(), "-n", *options, "-T", seconds, "postgres")
    return float(re.search(r"^tps = ([0-9.]+)", out, re.M).group(1))


def describe(mode, what, ratios):
    low, middle, high = statistics.quantiles(ratios, n=4)
    found(
        f"  {what:22s}: {middle:.4f} of the transactions a second (quartiles {low:.4f} to {high:.4f})",
        {"mode": mode, "what": what, "pairs": len(ratios)},
        low=(low, "of 1"), median=(middle, "of 1"), high=(high, "of 1"),
    )  # fmt: skip


def compare(mode, options, plain, loaded, pairs, seconds):
    orders = itertools.cycle(itertools.permutations(("loaded", "plain", "again")))
    ratios, noise = [], []
    for _ in range(pairs):
        got = {}
        for who in next(orders):
            got[who] = tps(loaded if who == "loaded" else plain, options, seconds)
        ratios.append(got["loaded"] / got["plain"])
        noise.append(got["again"] / got["plain"])
    print(f"{mode}: {pairs} pairs of {seconds} s, last {got['plain']:.0f} a second without")
    describe(mode, "with the library", ratios)
    describe(mode, "the same without, again", noise)


def main():
    bindir, scratch = sys.argv[1:3]
    pairs = int(sys.argv[3]) if len(sys.argv) > 3 else 21
    seconds = int(sys.argv[4]) if len(sys.argv) > 4 else 3
    plain = Server(bindir, scratch, "plain")
    loaded = Server(bindir, scratch, "loaded", "pool_monitor")
    started = []
    try:
        for server in (plain, loaded):
            server.start()
            started.append(server)
            server.fill()
        for mode, options in MODES:
            compare(mode, options, plain, loaded, pairs, seconds)
    finally:
        for server in started:
            server.stop()


main()
