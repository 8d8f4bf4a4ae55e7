"""Draws the panels of monitoring/grafana.json from what a Prometheus has, to be looked at
where there is no Grafana: places, lines, colours, units and legends are as the file says.

usage: panels.py PROMETHEUS DASHBOARD PICTURE [SECONDS [RATE_INTERVAL]]

PROMETHEUS: http://HOST:PORT. SECONDS: how much of the time until now is drawn (900).
RATE_INTERVAL: what Grafana would make of the scrapes' distance, in seconds (60). Needs
matplotlib.
"""

import datetime
import json
import math
import re
import sys
import textwrap
import time
import urllib.parse
import urllib.request

import matplotlib

matplotlib.use("agg")
import matplotlib.dates  # noqa: E402, after the choice of the back end
import matplotlib.pyplot as plt  # noqa: E402

# inches that a column and a row of the grid take
COLUMNS, WIDTH, HEIGHT = 24, 0.62, 0.42
# as a series that has no colour of its own is coloured, by its number
PALETTE = ("#7EB26D", "#EAB839", "#6ED0E0", "#EF843C", "#E24D42", "#1F78C1", "#BA43A9", "#705DA0", "#508642")
LEGEND_ROWS = 5


class Source:
    """Prometheus, asked for a stretch of time with the variables as Grafana puts them in."""

    def __init__(self, url, seconds, rate):
        self.url, self.rate, self.to = url, rate, time.time()
        self.since = self.to - seconds
        self.step = max(1, seconds // 300)

    def ask(self, path, **query):
        with urllib.request.urlopen(f"{self.url}/api/v1/{path}?{urllib.parse.urlencode(query)}") as answer:
            return json.load(answer)["data"]

    def values(self, label, chosen=""):
        series = self.ask("series", **{"match[]": f"pool_monitor_pool_connections{chosen}", "start": self.since})
        return sorted({one[label] for one in series})

    def run(self, expression, variables):
        text = expression.replace("$__rate_interval", f"{self.rate}s")
        for name, value in variables.items():
            text = text.replace(f"${name}", quoted(value))
        return self.ask("query_range", query=text, start=self.since, end=self.to, step=self.step)["result"]


def quoted(value):
    """One value, or an alternative of several, in a regular expression in PromQL."""
    if isinstance(value, list):
        return "(" + "|".join(map(quoted, value)) + ")"
    return value if value == ".+" else re.sub(r"([\\.*+?^$|(){}\[\]])", r"\\\\\1", value)


def filled_in(text, variables):
    for name, value in variables.items():
        text = text.replace(f"${name}", str(value))
    return text


def shown(value, unit):
    if value is None or math.isnan(value):
        return "-"
    if unit == "percentunit":
        return f"{100 * value:.0f} %"
    if unit == "s":
        for size, name in ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"), (1e-3, "ms")):
            if value >= size:
                return f"{value / size:.3g} {name}"
        return f"{value * 1e6:.3g} us"
    return f"{value:.3g}" + (" c/m" if unit == "cpm" else "")


def day(seconds):
    return matplotlib.dates.date2num(datetime.datetime.fromtimestamp(seconds))


class Series:
    """One line: name, times as matplotlib has them, values, and how it differs from its panel."""

    def __init__(self, panel, query, number, found, variables):
        own = [o["properties"] for o in panel["fieldConfig"]["overrides"] if o["matcher"]["options"] == query["refId"]]
        self.style = {p["id"]: p["value"] for properties in own for p in properties}
        name = re.sub(r"\{\{(\w+)\}\}", lambda label: found["metric"].get(label[1], ""), query["legendFormat"])
        self.name = filled_in(name, variables)
        self.seconds = [float(at) for at, _ in found["values"]]
        self.times = [day(at) for at in self.seconds]
        self.values = [float(value) for _, value in found["values"]]
        fixed = self.style.get("color", {}).get("fixedColor")
        self.colour = "#DDDDDD" if fixed == "text" else fixed or PALETTE[number % len(PALETTE)]
        self.custom = {**panel["fieldConfig"]["defaults"]["custom"], **self.custom_style()}

    def custom_style(self):
        return {name[len("custom.") :]: value for name, value in self.style.items() if name.startswith("custom.")}

    @property
    def numbers(self):
        return [value for value in self.values if not math.isnan(value)]

    def label(self, unit):
        last, most = (self.numbers[-1], max(self.numbers)) if self.numbers else (None, None)
        return f"{self.name}  {shown(last, unit)}  max {shown(most, unit)}"


def draw_heap(axes, series, heap):
    """On top of what the heap has at each time."""
    low = [heap.get(at, 0) for at in series.times]
    high = [a + (0 if math.isnan(b) else b) for a, b in zip(low, series.values)]
    heap.update(zip(series.times, high))
    alpha = series.custom["fillOpacity"] / 100
    return axes.fill_between(series.times, low, high, color=series.colour, alpha=alpha, linewidth=0, step="post")


def draw_line(axes, series):
    dash = series.custom.get("lineStyle", {}).get("dash")
    steps = series.custom["lineInterpolation"] == "stepAfter"
    if series.custom["fillOpacity"]:
        alpha = series.custom["fillOpacity"] / 100
        axes.fill_between(series.times, 0, series.values, color=series.colour, alpha=alpha, linewidth=0, step="post")
    return axes.plot(
        series.times,
        series.values,
        color=series.colour,
        linewidth=0.7 * series.custom["lineWidth"],
        linestyle=(0, tuple(length / 2 for length in dash)) if dash else "-",
        drawstyle="steps-post" if steps else "default",
    )[0]


class Drawer:
    def __init__(self, source, figure, height):
        self.source, self.figure, self.height = source, figure, height

    def axes(self, place):
        x, y, w, h = place["x"], place["y"], place["w"], place["h"]
        axes = self.figure.add_axes(
            [x / COLUMNS + 0.03, 1 - (y + h - 0.6) / self.height, w / COLUMNS - 0.04, (h - 1.5) / self.height]
        )
        axes.tick_params(labelsize=6)
        return axes

    def series(self, panel, variables):
        number = 0
        for query in panel["targets"]:
            for found in self.source.run(query["expr"], variables):
                yield Series(panel, query, number, found, variables)
                number += 1

    def shrink(self, axes, left=0.0, below=0.0, right=0.0):
        """Leaves these parts of it for something beside it."""
        box = axes.get_position()
        axes.set_position(
            [
                box.x0 + left * box.width,
                box.y0 + below * box.height,
                box.width * (1 - left - right),
                box.height * (1 - below),
            ]
        )

    def time_axis(self, axes):
        axes.set_xlim(day(self.source.since), day(self.source.to))
        axes.xaxis.set_major_formatter(matplotlib.dates.DateFormatter("%H:%M:%S"))
        axes.xaxis.set_major_locator(plt.MaxNLocator(5))
        axes.grid(color="#444444", linewidth=0.4)

    def timeseries(self, axes, panel, variables):
        unit, heap, drawn = panel["fieldConfig"]["defaults"]["unit"], {}, []
        for series in self.series(panel, variables):
            in_heap = series.custom["stacking"]["mode"] == "normal"
            line = draw_heap(axes, series, heap) if in_heap else draw_line(axes, series)
            drawn.append((line, series.label(unit), max(series.numbers, default=0)))
        self.value_axis(axes, panel)
        self.time_axis(axes)
        self.legend(axes, panel, drawn)

    def value_axis(self, axes, panel):
        defaults = panel["fieldConfig"]["defaults"]
        axes.set_ylim(bottom=0)
        axes.set_ylim(top=max(axes.get_ylim()[1], 1.03 * defaults["custom"].get("axisSoftMax", 0)))
        axes.yaxis.set_major_formatter(lambda value, _: shown(value, defaults["unit"]))

    def legend(self, axes, panel, drawn):
        legend = panel["options"]["legend"]
        if legend.get("sortBy"):
            drawn.sort(key=lambda row: -row[2])
        if not drawn:
            axes.text(0.5, 0.5, "No data", transform=axes.transAxes, ha="center", color="#FFAA00")
            return
        if legend["placement"] == "right":
            self.shrink(axes, right=0.28)
            where = (1.0, 1.02)
        else:
            drawn = drawn[:LEGEND_ROWS]
            self.shrink(axes, below=0.055 * len(drawn) + 0.08)
            where = (-0.03, -0.14)
        lines, labels, _ = zip(*drawn)
        axes.legend(lines, labels, loc="upper left", bbox_to_anchor=where, fontsize=6.5, frameon=False)

    def timeline(self, axes, panel, variables):
        names = panel["fieldConfig"]["defaults"]["mappings"][0]["options"]
        rows = list(self.series(panel, variables))
        for row, series in enumerate(rows):
            self.states(axes, row, series, names)
        axes.set_yticks(range(len(rows)), [series.name for series in rows], fontsize=7)
        axes.invert_yaxis()
        self.shrink(axes, left=0.1, below=0.1)
        keys = [plt.Rectangle((0, 0), 1, 1, color=name["color"]) for name in names.values()]
        labels = [name["text"] for name in names.values()]
        axes.legend(keys, labels, ncol=9, loc="upper left", bbox_to_anchor=(0, -0.1), fontsize=7, frameon=False)
        self.time_axis(axes)

    def states(self, axes, row, series, names):
        """A bar for each stretch without a gap in which the value is the same."""
        begin = 0
        for i in range(1, len(series.values) + 1):
            ends = i == len(series.values)
            gap = not ends and series.seconds[i] - series.seconds[i - 1] > 1.5 * self.source.step
            if ends or gap or series.values[i] != series.values[begin]:
                end = series.times[i - 1] if ends or gap else series.times[i]
                self.state(axes, row, series.times[begin], end, names[f"{series.values[begin]:.0f}"])
                begin = i

    def state(self, axes, row, begin, end, name):
        axes.barh(row, end - begin, left=begin, height=0.85, color=name["color"], alpha=0.85)
        if end - begin > (day(self.source.to) - day(self.source.since)) / 20:
            light = sum(matplotlib.colors.to_rgb(name["color"])) > 1.5
            colour = "black" if light else "white"
            axes.text((begin + end) / 2, row, name["text"], ha="center", va="center", fontsize=7, color=colour)

    def stat(self, axes, panel, variables):
        axes.axis("off")
        names = panel["fieldConfig"]["defaults"]["mappings"][0]["options"]
        found = list(self.series(panel, variables))
        for n, series in enumerate(found):
            name = names[f"{series.values[-1]:.0f}"]
            place = {"transform": axes.transAxes}
            axes.add_patch(plt.Rectangle((0, n / len(found)), 1, 1 / len(found), color=name["color"], **place))
            text = f"{series.name}\n{name['text']}"
            axes.text(0.5, (n + 0.5) / len(found), text, ha="center", va="center", fontsize=11, **place)

    def text(self, axes, panel, _):
        axes.axis("off")
        lines = [part for line in panel["options"]["content"].splitlines() for part in textwrap.wrap(line, 62) or [""]]
        axes.text(0, 1, "\n".join(lines), transform=axes.transAxes, va="top", fontsize=6.5, family="monospace")

    def panel(self, panel, variables):
        place = panel["gridPos"]
        if panel["type"] == "row":
            self.figure.text(0.01, 1 - (place["y"] + 0.7) / self.height, panel["title"], fontsize=9, color="#BBBBBB")
            return
        axes = self.axes(place)
        axes.set_title(filled_in(panel["title"], variables), loc="left", fontsize=8, fontweight="bold", pad=3)
        draw = {"timeseries": self.timeseries, "state-timeline": self.timeline, "stat": self.stat, "text": self.text}
        draw[panel["type"]](axes, panel, variables)


def repeated(panels, source):
    """Each panel with its variables, and those that repeat as often as they do: what is below
    them goes down."""
    values = {"pool": source.values("pool", '{pool!="(undeclared)"}'), "instance": source.values("instance")}
    chosen = {"job": ".+", "instance": ".+", "pool": values["pool"]}
    down = 0
    for panel in panels:
        place = {**panel["gridPos"], "y": panel["gridPos"]["y"] + down}
        if "repeat" not in panel:
            yield {**panel, "gridPos": place}, chosen
            continue
        of = values[panel["repeat"]]
        for n, value in enumerate(of):
            line, column = divmod(n, panel["maxPerRow"])
            here = {**place, "x": column * place["w"], "y": place["y"] + line * place["h"]}
            yield {**panel, "gridPos": here}, {**chosen, panel["repeat"]: value}
        down += max(0, len(of) - 1) // panel["maxPerRow"] * place["h"]


def main(prometheus, dashboard, picture, seconds=900, rate=60):
    source = Source(prometheus, int(seconds), int(rate))
    with open(dashboard, encoding="utf-8") as file:
        panels = list(repeated(json.load(file)["panels"], source))
    height = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel, _ in panels)
    plt.style.use("dark_background")
    figure = plt.figure(figsize=(COLUMNS * WIDTH, height * HEIGHT))
    drawer = Drawer(source, figure, height)
    for panel, variables in panels:
        drawer.panel(panel, variables)
    figure.savefig(picture, dpi=110)


if __name__ == "__main__":
    main(*sys.argv[1:])
