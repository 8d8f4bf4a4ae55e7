"""The sqlquery receiver of the OpenTelemetry collector: metrics, and events as logs."""

from . import text

EVENTS = (
    "SELECT seq, at::pg_catalog.text AS at, event, coalesce(pool, '') AS pool, times,"
    " pg_catalog.concat_ws(' ', event, pool, detail) AS body FROM pool_monitor.events"
    " WHERE seq OPERATOR(pg_catalog.>) $$1 ORDER BY seq"
)


def _name(view, column):
    """pool_monitor.pool.connections; the unit is told besides. Time that adds up ends in .time: busy is a gauge."""
    tail = column.tail
    if tail.endswith("_seconds"):
        tail = tail[: -len("_seconds")] + (".time" if column.kind == "counter" else "")
    return f"{view.space.replace('pool_monitor_', 'pool_monitor.')}.{tail}"


def _metric(view, column, monotonic):
    metric = {
        "metric_name": _name(view, column),
        "description": column.help,
        "value_column": column.name,
        "value_type": "int" if column.is_whole else "double",
        "data_type": "sum" if monotonic else "gauge",
    }
    if monotonic:
        metric.update(monotonic=True, aggregation="cumulative")
    if "_seconds" in column.name:
        metric["unit"] = "s"
    if view.labels:
        metric["attribute_columns"] = [c.name for c in view.labels]
    return metric


def _totals(view):
    """Of a histogram, which this receiver cannot have."""
    for c in view.totals():
        metric = _metric(view, c, True)
        metric["metric_name"] = f"{view.space.replace('pool_monitor_', 'pool_monitor.')}.{c.name.replace('_seconds_', '.')}"
        if c.name.endswith("_count"):
            del metric["unit"]
        yield metric


def _query(view):
    return {
        "sql": view.select([*view.labels, *view.numbers, *view.totals()]),
        "metrics": [*[_metric(view, c, c.kind == "counter") for c in view.numbers], *_totals(view)],
    }


def files(views):
    logs = {
        "sql": EVENTS,
        "tracking_column": "seq",
        "tracking_start_value": "0",
        "logs": [{"body_column": "body", "attribute_columns": ["at", "event", "pool", "times"]}],
    }
    receiver = {
        "driver": "postgres",
        "datasource": "host=localhost dbname=postgres user=${env:PGUSER} password=${env:PGPASSWORD}",
        "collection_interval": "10s",
        "queries": [_query(views["metrics_pool"]), _query(views["metrics_server"]), logs],
    }
    return {
        "opentelemetry.yml": text.document(
            [
                "The sqlquery receiver of the OpenTelemetry collector; name sqlquery/pool_monitor among the receivers of a",
                "pipeline for metrics and one for logs. After the event statistics_lost without a saved file the numbers of events",
                "begin anew: set the collector's stored value back. It has no histograms: of each there are the sum and the number.",
                "NOT RUN by this project's tests, only compared with what is known of the form; the statements are.",
            ],
            {"receivers": {"sqlquery/pool_monitor": receiver}},
        ),
    }
