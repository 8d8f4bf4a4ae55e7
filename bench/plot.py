"""One picture of what the benchmarks found.

usage: plot.py BENCH.JSON PICTURE.SVG

A panel for each benchmark whose results are in the file, which bench/run writes.
"""

import json
import sys

import matplotlib

matplotlib.use("svg")
matplotlib.rcParams["svg.hashsalt"] = "pool_monitor"  # the same file from the same figures
import matplotlib.pyplot as plt  # noqa: E402, after the choice of the back end

COLOURS = {"warm": "#2a6f97", "first": "#a9c8d9"}


def bars(axes, names, values, colours, form):
    places = range(len(names))
    drawn = axes.barh(places, values, color=colours)
    axes.bar_label(drawn, labels=[form.format(value) for value in values], padding=3, fontsize=8)
    axes.set_yticks(places, names, fontsize=8)
    axes.invert_yaxis()
    axes.margins(x=0.2)


def live(axes, found):
    shown = [row for row in found if row["clock"] == "server"]
    bars(
        axes,
        [f"{row['view']}, {row['sessions']} sessions of {row['max_connections']}, {row['when']}" for row in shown],
        [row["sql_us"] / row["view_us"] for row in shown],
        [COLOURS[row["when"]] for row in shown],
        "{:.0f} times",
    )
    axes.set_xscale("log")
    axes.set_title("as fast as SQL over pg_stat_activity (log. scale)")


def instructions(axes, found):
    plain, others = found[0], found[1:]
    names, values, colours = [], [], []
    for row in others:
        for what, colour in (("transaction", "#2a6f97"), ("connect", "#a9c8d9")):
            names.append(f"{row['what']}: {what}")
            values.append(100 * (row[what] / plain[what] - 1))
            colours.append(colour)
    bars(axes, names, values, colours, "{:+.2f} %")
    axes.set_title("instructions more than with nothing loaded")


def memory(axes, found):
    shown = [row for row in found if "pools" in row]
    bars(
        axes,
        [f"{row['pools']} pools, {when}" for row in shown for when in ("asked for", "at start", "used")],
        [row[key] / 2**20 for row in shown for key in ("asked", "begun", "used")],
        ["#cccccc", "#a9c8d9", "#2a6f97"] * len(shown),
        "{:.2f} MB",
    )
    axes.set_xscale("log")
    axes.set_title("shared memory, asked for and resident (log. scale)")


def worker(axes, found):
    bars(
        axes,
        [f"{row['what']}, {row['looks']} looks a second" for row in found],
        [row["us_a_look"] for row in found],
        "#2a6f97",
        "{:.0f} us",
    )
    axes.set_title(f"processor time of one look of the worker, {found[0]['sessions']} sessions")


def past(axes, found):
    bars(
        axes,
        [f"{row['question']}, {row['of']}, {when}" for row in found for when in ("warm", "first")],
        [row[key] for row in found for key in ("ms", "first_ms")],
        [COLOURS[when] for _ in found for when in ("warm", "first")],
        "{:.1f} ms",
    )
    axes.set_xscale("log")
    axes.set_title("questions to eight days (log. scale)")


PANELS = (live, past, instructions, memory, worker)


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        results = json.load(file)
    found = {panel: [row for row in results["found"] if row["bench"] == panel.__name__] for panel in PANELS}
    panels = [panel for panel in PANELS if found[panel]]
    if not panels:
        sys.exit(f"{sys.argv[1]} has nothing that can be drawn")
    heights = [max(len(found[panel]), 4) for panel in panels]
    figure, all_axes = plt.subplots(
        len(panels), squeeze=False, figsize=(9, 0.3 * sum(heights) + len(panels)), height_ratios=heights
    )
    for panel, axes in zip(panels, all_axes[:, 0]):
        panel(axes, found[panel])
        axes.spines[["top", "right"]].set_visible(False)
    figure.suptitle(f"pool_monitor, PostgreSQL {results['server']}, {results['date']}")
    figure.tight_layout()
    figure.savefig(sys.argv[2], metadata={"Date": None})


main()
