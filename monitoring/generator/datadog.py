"""The Datadog agent: custom queries of its PostgreSQL check."""

from . import text

TYPES = {"label": "tag", "gauge": "gauge", "counter": "monotonic_count", "part": "monotonic_count"}


def _query(view):
    # number and order of the columns are those of the statement
    columns = [*view.labels, *view.numbers, *view.totals()]
    return {
        "metric_prefix": view.space.replace("pool_monitor_", "pool_monitor."),
        "query": view.select(columns),
        "columns": [{"name": c.tail, "type": TYPES[c.kind]} for c in columns],
        "collection_interval": 15,
    }


def files(views):
    instance = {
        "host": "localhost",
        "port": 5432,
        "dbname": "postgres",
        "username": "datadog",
        "custom_queries": [_query(views["metrics_pool"]), _query(views["metrics_server"])],
    }
    return {
        "datadog.yml": text.document(
            [
                "The Datadog agent: conf.d/postgres.d/conf.yaml, or its custom_queries into the one that is there. It has no",
                "histograms of this kind: of each there are the sum and the number. NOT RUN by this project's tests, only",
                "compared with what is known of the form; the statements are.",
            ],
            {"init_config": {}, "instances": [instance]},
        ),
    }
