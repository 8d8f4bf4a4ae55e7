"""The figures of docs/bench.json, which bench/run has written; for the table and the picture."""

import json


class Case:
    """What was measured of one thing: of["view"], and so on; values and units by figure."""

    def __init__(self, of):
        self.of = of
        self.values = {}
        self.units = {}

    def __getitem__(self, figure):
        return self.values[figure]

    def has(self, **wanted):
        return all(self.of.get(name) == value for name, value in wanted.items())


def read(path):
    """The runs by benchmark, and its cases, in the order in which they were measured."""
    with open(path, encoding="utf-8") as file:
        everything = json.load(file)
    runs = {run["bench"]: run for run in everything["runs"]}
    cases = {bench: [] for bench in runs}
    for record in everything["figures"]:
        found = cases[record["bench"]]
        if not found or found[-1].of != record["of"]:
            found.append(Case(record["of"]))
        found[-1].values[record["figure"]] = record["value"]
        found[-1].units[record["figure"]] = record["unit"]
    return runs, cases


def only(cases, **wanted):
    """The one case that is so; None: there is none."""
    return next((case for case in cases if case.has(**wanted)), None)


def number(value):
    """Three digits that count, thousands set apart."""
    if abs(value) >= 100 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.3g}"


def amount(value, unit):
    if unit == "bytes" and value >= 2**19:
        return f"{number(value / 2**20)} MB"
    if unit == "bytes" and value >= 2**10:
        return f"{number(value / 2**10)} kB"
    return f"{number(value)} {unit}"


def shown(case, figure):
    return amount(case[figure], case.units[figure])


def with_commas(text):
    return " ".join(f"{int(word):,}" if word.isdigit() else word for word in text.split())


def faster(case):
    """How many times as fast a live view was, at best, as the SQL, at best."""
    return case["sql_best"] / case["view_best"]
