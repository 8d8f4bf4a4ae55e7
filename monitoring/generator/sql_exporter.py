"""burningalchemist's sql_exporter, and Debian's prometheus-sql-exporter, which is another program."""

from . import text


def _queries(view):
    yield {"query_name": view.space, "query": view.select([*view.labels, *view.numbers, *view.totals()])}
    for h in view.histograms:
        yield {"query_name": h.metric, "query": view.buckets(h)}


def _metric(view, name, kind, explanation, value, query, more_labels=()):
    keys = [*[c.name for c in view.labels], *more_labels]
    metric = {"metric_name": name, "type": kind, "help": explanation}
    if keys:
        metric["key_labels"] = keys
    metric["values"] = [value]
    metric["query_ref"] = query
    return metric


def _metrics(view):
    for c in view.numbers:
        yield _metric(view, c.metric, c.kind, c.help, c.name, view.space)
    for h in view.histograms:
        yield _metric(view, h.metric + "_bucket", "counter", h.help, h.name + "_bucket", h.metric, ["le"])
    for c in view.totals():
        yield _metric(view, c.metric, "counter", c.help, c.name, view.space)


def _collector(name, views):
    return {
        "collector_name": name,
        "min_interval": "5s",
        "metrics": [m for view in views for m in _metrics(view)],
        "queries": [q for view in views for q in _queries(view)],
    }


def _jobs(views):
    return {
        "jobs": [
            {
                "name": "pool_monitor",
                "interval": "15s",
                "connections": ["postgres://MONITOR@localhost/postgres?sslmode=disable"],
                "queries": [
                    {
                        "name": view.space,
                        "help": view.help,
                        "labels": [c.name for c in view.labels],
                        "values": [c.name for c in [*view.numbers, *view.totals()]],
                        "query": view.select([*view.labels, *view.numbers, *view.totals()]),
                    }
                    for view in views
                ],
            }
        ]
    }


def files(views):
    usual = [views["metrics_pool"], views["metrics_server"]]
    return {
        "sql_exporter.collector.yml": text.document(
            [
                "burningalchemist/sql_exporter: beside its configuration, whose target has collectors: [pool_monitor]. NOT",
                "RUN by this project's tests, only compared with what is known of the form.",
            ],
            _collector("pool_monitor", usual),
        ),
        "sql_exporter-applications.collector.yml": text.document(
            ["Each undeclared application: clients choose these names, and with them how many series there are."],
            _collector("pool_monitor_applications", [views["metrics_application"]]),
        ),
        "prometheus-sql-exporter.yml": text.document(
            [
                "Debian's prometheus-sql-exporter (justwatchcom): -config.file=prometheus-sql-exporter.yml, after MONITOR",
                "was replaced. It knows gauges only, and has other names: sql_pool_monitor_pool{col=\"connections\"}. So",
                "neither alerts.yml nor grafana.json go with it.",
            ],
            _jobs(usual),
        ),
    }
