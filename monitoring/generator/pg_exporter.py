"""pg_exporter (Pigsty): one file to drop into its folder."""

from . import text

USAGE = {"label": "LABEL", "gauge": "GAUGE", "counter": "COUNTER", "part": "COUNTER"}

COMMON = {
    "ttl": 5,
    "timeout": 1,
    "min_version": 150000,
    "tags": ["cluster", "extension:pool_monitor"],
}


def _collector(name, desc, query, columns):
    return {"name": name, "desc": desc, "query": query, **COMMON, "metrics": columns}


def _column(c):
    return {c.name: {"usage": USAGE[c.kind], "description": c.help}}


def _collectors(view):
    shown = [*view.labels, *view.numbers, *view.totals()]
    yield _collector(view.space, view.help, view.select(shown), [_column(c) for c in shown])
    # its own kind of histogram is made anew from each scrape: not for what goes on
    for h in view.histograms:
        columns = [_column(c) for c in view.labels]
        columns.append({"le": {"usage": "LABEL", "description": "Upper bound"}})
        columns.append({h.name + "_bucket": {"usage": "COUNTER", "description": h.help}})
        branch = _collector(f"{view.space}_{h.name}", h.help, view.buckets(h), columns)
        # the name in the metric is this, not that of the branch
        branch["name"] = view.space
        yield branch


def _file(views):
    content = {}
    for view in views:
        for number, branch in enumerate(_collectors(view)):
            content[f"{view.space}_{number}" if number else view.space] = branch
    return content


def files(views):
    return {
        "pg_exporter.yml": text.document(
            [
                "pg_exporter (Pigsty): as /etc/pg_exporter/2100-pool_monitor.yml, or wherever its folder is. NOT RUN by this",
                "project's tests, only compared with what is known of the form.",
            ],
            _file([views["metrics_pool"], views["metrics_server"]]),
        ),
    }
