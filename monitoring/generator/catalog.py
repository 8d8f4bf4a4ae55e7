"""The views for those who collect metrics, as the server describes them."""

import dataclasses
import json


@dataclasses.dataclass(frozen=True)
class Column:
    """kind: as in pool_monitor.metrics_catalog; parts of a histogram go with it."""

    name: str
    metric: str
    kind: str
    help: str
    type: str

    @property
    def is_whole(self):
        return self.type in ("integer", "bigint")

    @property
    def tail(self):
        """The name without what says that it is a counter."""
        return self.name[: -len("_total")] if self.kind == "counter" else self.name


@dataclasses.dataclass(frozen=True)
class View:
    name: str  # metrics_pool
    help: str
    columns: tuple

    @property
    def space(self):
        """What the names of its metrics begin with: pool_monitor_pool."""
        return "pool_monitor_" + self.name[len("metrics_") :]

    @property
    def relation(self):
        return "pool_monitor." + self.name

    def of(self, *kinds):
        return [c for c in self.columns if c.kind in kinds]

    @property
    def labels(self):
        return self.of("label")

    @property
    def numbers(self):
        return self.of("gauge", "counter")

    @property
    def histograms(self):
        return self.of("histogram")

    def select(self, columns, extra=""):
        """A statement for these columns, by name, so that a newer view does no harm."""
        return f"SELECT {', '.join([c.name for c in columns])}{extra} FROM {self.relation}"

    def totals(self):
        """Of each histogram its sum and its number, for those who cannot have all of it."""
        by_name = {c.name: c for c in self.columns}
        return [by_name[h.name + part] for h in self.histograms for part in ("_sum", "_count")]

    def buckets(self, histogram):
        """A statement with one row for each bucket: labels, le, and how many are up to it."""
        labels = "".join(f"m.{c.name}, " for c in self.labels)
        name = histogram.name
        return (
            f"SELECT {labels}b.le, b.{name}_bucket FROM {self.relation} AS m,"
            f" LATERAL (SELECT u.le::pg_catalog.text, u.up_to AS {name}_bucket"
            f" FROM ROWS FROM (pg_catalog.unnest(m.{name}), pg_catalog.unnest(m.{name}_bucket)) AS u(le, up_to)"
            f" UNION ALL SELECT '+Inf', m.{name}_count) AS b"
        )


def read(file):
    given = json.load(file)
    views = {}
    for name, comment in given["views"].items():
        columns = tuple(
            Column(c["name"], c["metric"], c["kind"], c["help"], c["type"])
            for c in given["columns"]
            if c["view"] == name
        )
        views[name] = View(name, comment, columns)
    return views
