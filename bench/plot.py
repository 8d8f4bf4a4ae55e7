"""The picture of docs/performance.md: a panel of bars for each subject; light or dark as its reader is."""

import html
import math

import goals
from figures import faster, number, shown, with_commas
from table import where

WIDTH = 800
LEFT = 290  # where bars begin
RIGHT = 690  # where the longest ends
STEP = 17
BAR = 11

STYLE = """
svg { background: #fff }
text { font: 11px sans-serif; fill: #24292f }
.title { font: bold 13px sans-serif }
.name { text-anchor: end }
.ours { fill: #2a6f97 }
.pale { fill: #9fc3d6 }
.other { fill: #b8b8b8 }
.goal { stroke: #c0392b; stroke-width: 2 }
@media (prefers-color-scheme: dark) {
svg { background: #0d1117 }
text { fill: #e6edf3 }
.ours { fill: #58a6d6 }
.pale { fill: #2f5d78 }
.other { fill: #6e7681 }
.goal { stroke: #ff7b72 }
}
"""


class Bar:
    """goal: a value too, where there is one."""

    def __init__(self, name, value, says, kind="ours", goal=None):
        self.name, self.value, self.says, self.kind, self.goal = name, value, says, kind, goal


def live(cases):
    for case in cases:
        if not case.has(clock="server") or case.has(when="again"):
            continue
        view, sessions, most = (case.of[name] for name in ("view", "sessions", "max_connections"))
        warm = case.has(when="warm")
        ratio = faster(case)
        yield Bar(f"{view}, {sessions:,} of {most:,}, {case.of['when']}", ratio, f"{number(ratio)} times",
                  "ours" if warm else "pale", goals.LIVE.get((view, sessions, most)) if warm else None)  # fmt: skip


def past(cases):
    for case in cases:
        question, of = case.of["question"], case.of["past"]
        yield Bar(f"{question}, {with_commas(of)}", case["best"], shown(case, "best"), "ours", goals.past(question, of))
        if "sql" in case.values:
            yield Bar("SQL", case["sql_best"], shown(case, "sql_best"), "other")


def more_than_plain(cases, figure, goal):
    plain = cases[0][figure]
    for case in cases[1:]:
        ours = case.of["what"].startswith("pool_monitor")
        more = 100 * (case[figure] / plain - 1)
        yield Bar(case.of["what"].replace(",pg_stat_kcache", " and pg_stat_kcache"), max(more, 0), f"{more:+.2f} %",
                  "ours" if ours else "other", goal(plain) if ours else None)  # fmt: skip


def transaction(cases):
    return more_than_plain(cases, "transaction", lambda plain: 100 * goals.TRANSACTION / plain)


def connect(cases):
    return more_than_plain(cases, "connect", lambda plain: goals.CONNECT)


def worker(cases):
    for case in cases:
        ours = case.of["what"] == "pool_monitor"
        yield Bar(f"{case.of['what']}, {case.of['looks']} a second", case["core"], f"{number(case['core'])} %",
                  "ours" if ours else "other", goals.WORKER if ours and case.of["looks"] == 1 else None)  # fmt: skip


def memory(cases):
    for case in cases:
        if case.has(what="sizes"):
            continue
        pools = case.of["pools"]
        for figure, when, kind in (("asked_for", "asked for", "other"), ("used", "used", "ours"), ("at_start", "at start", "pale")):
            goal = goals.AT_START if pools == 5 and figure == "at_start" else None
            yield Bar(f"{pools:,} pools, {when}", case[figure], shown(case, figure), kind, goal)


# benchmark, bars, title, whether the axis is logarithmic
PANELS = (
    ("live", live, "Live views: times as fast as SQL with the same answer", True),
    ("past", past, "Questions to the past: ms", True),
    ("instructions", transaction, "A transaction: instructions more than with nothing loaded", False),
    ("instructions", connect, "A connect and exit: the same", False),
    ("worker", worker, "The worker, 5,000 sessions: share of a core", True),
    ("memory", memory, "Shared memory, resident and asked for", True),
)


def scale(bars, logarithmic):
    """From a value to its place."""
    values = [each for bar in bars for each in (bar.value, bar.goal) if each]
    most, least = max(values), min(values) / 2
    if logarithmic:
        return lambda value: LEFT + (RIGHT - LEFT) * math.log(value / least) / math.log(most / least)
    return lambda value: LEFT + (RIGHT - LEFT) * value / most


def text(x, y, says, kind=""):
    kind = f' class="{kind}"' if kind else ""
    return f'<text x="{x:.0f}" y="{y:.0f}"{kind}>{html.escape(says)}</text>\n'


def draw(bar, at, y):
    end = at(bar.value)
    marks = text(LEFT - 6, y + 9, bar.name, "name")
    marks += f'<rect class="{bar.kind}" x="{LEFT}" y="{y}" width="{end - LEFT:.1f}" height="{BAR}"/>\n'
    if bar.goal:
        x = at(bar.goal)
        marks += f'<path class="goal" d="M{x:.1f} {y - 2}v{BAR + 4}"/>\n'
        if 0 <= x - end < 60:  # the number would be under it
            end = x
    return marks + text(end + 5, y + 9, bar.says)


def panel(bars, title, logarithmic, y):
    """What is drawn, and where the next one begins."""
    at = scale(bars, logarithmic)
    marks = text(10, y + 12, title + (" (logarithmic)" if logarithmic else ""), "title")
    y += 22
    for bar in bars:
        marks += draw(bar, at, y)
        y += STEP
    return marks, y + 16


def picture(runs, cases):
    y, marks = 10, ""
    for bench, bars, title, logarithmic in PANELS:
        if bench in runs:
            more, y = panel(list(bars(cases[bench])), title, logarithmic, y)
            marks += more
    marks += text(10, y, "A red line is the goal. Pale: a session's first query; memory at start. Grey: SQL, others, what is asked for.")
    marks += text(10, y + 16, where(runs))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{y + 28}" viewBox="0 0 {WIDTH} {y + 28}">\n'
        f"<title>What pool_monitor costs, and what it is faster than</title>\n<style>{STYLE}</style>\n{marks}</svg>\n"
    )
