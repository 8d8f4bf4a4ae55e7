"""Netdata's generic SQL collector: charts, and tables to look at."""

from . import charts, text

# id, what it shows, by what it is sorted at first: the largest on top, of text the last of the alphabet
TABLES = (
    ("overview", "pool, status, since::pg_catalog.text, conns, budget, used, busy, idle, peak, refused FROM pool_monitor.overview", "conns"),
    (
        "sessions",
        "pid, pool, application_name, usename, datname, state, pg_catalog.\"extract\"('epoch', age)::pg_catalog.int8 AS age_seconds,"
        " pg_catalog.\"extract\"('epoch', idle_for)::pg_catalog.int8 AS idle_seconds, stale FROM pool_monitor.sessions"
        " ORDER BY age DESC NULLS LAST LIMIT 500",
        "age_seconds",
    ),
    (
        "advice",
        "pg_catalog.array_position(ARRAY['info', 'warning', 'critical'], severity) AS weight, severity, pool, topic, finding"
        " FROM pool_monitor.advice",
        "weight",
    ),
    (
        "events",
        "seq, at::pg_catalog.text, pool, event, times, detail::pg_catalog.text FROM pool_monitor.events ORDER BY seq DESC LIMIT 500",
        "seq",
    ),
)


def _chart(view, chart, columns):
    return {
        "title": chart.title,
        "context": f"{view.space.replace('pool_monitor_', 'pool_monitor.')}.{chart.id}",
        "family": view.space.replace("pool_monitor_", ""),
        "units": chart.unit,
        "type": "line",
        "algorithm": "incremental" if columns[0].kind == "counter" else "absolute",
        "dims": [{"name": c.tail, "source": c.name} for c in columns],
    }


def _metric(view):
    metric = {"id": view.space, "query_ref": view.space, "mode": "columns"}
    if view.labels:
        metric["labels_from_row"] = [{"source": c.name, "name": c.name} for c in view.labels]
    metric["charts"] = [_chart(view, chart, columns) for chart, columns in charts.of(view)]
    return metric


def files(views):
    usual = [views["metrics_pool"], views["metrics_server"]]
    job = {
        "name": "pool_monitor",
        "update_every": 10,  # its own default is each second
        "driver": "pgx",
        "dsn": "postgres://netdata@localhost:5432/postgres",
        "timeout": 5,
        "queries": [{"id": v.space, "query": v.select([*v.labels, *v.numbers])} for v in usual],
        "metrics": [_metric(v) for v in usual],
        "functions": [
            {"id": name, "query": f"SELECT {query}", "limit": 500, "default_sort": order}
            for name, query, order in TABLES
        ],
    }
    return {
        "netdata.conf": text.document(
            [
                "Netdata: go.d/sql.conf. NOT RUN by this project's tests, only compared with what is known of the form; the",
                "statements are.",
            ],
            {"jobs": [job]},
        ),
    }
