"""prometheus-community's postgres_exporter, and CloudNativePG, whose queries have the same form."""

from . import text

# a second scrape within this time, in seconds, is answered from the first
CACHE = 5

INSTALLED = (
    "SELECT EXISTS (SELECT FROM pg_catalog.pg_extension WHERE extname OPERATOR(pg_catalog.=) 'pool_monitor')"
)

USAGE = {"label": "LABEL", "gauge": "GAUGE", "counter": "COUNTER", "histogram": "HISTOGRAM"}


def _metrics(view):
    return [
        {c.name: {"usage": USAGE[c.kind], "description": c.help}} for c in view.columns if c.kind in USAGE
    ]


def _queries(views):
    return {
        view.space: {
            "query": view.select(view.columns),
            "master": True,
            "cache_seconds": CACHE,
            "metrics": _metrics(view),
        }
        for view in views
    }


def _cloudnative(views):
    return {
        view.space: {
            "query": view.select(view.columns),
            "predicate_query": INSTALLED,
            "runonserver": ">=15.0.0",
            "metrics": _metrics(view),
        }
        for view in views
    }


def files(views):
    usual = [views["metrics_pool"], views["metrics_server"]]
    manifest = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "pool-monitor-queries", "labels": {"cnpg.io/reload": ""}},
        "data": {"queries": text.block(text.document([], _cloudnative(usual)))},
    }
    return {
        "postgres_exporter.yml": text.document(
            [
                "postgres_exporter --extend.query-path=postgres_exporter.yml, as a role in pg_monitor, in the database",
                "that has the extension.",
            ],
            _queries(usual),
        ),
        "postgres_exporter-applications.yml": text.document(
            [
                "The same with each undeclared application: clients choose these names, and with them how many series",
                "there are.",
            ],
            _queries([*usual, views["metrics_application"]]),
        ),
        "cloudnative-pg.yml": text.document(
            [
                "CloudNativePG: in the Cluster, spec.monitoring.customQueriesConfigMap:",
                "  - {name: pool-monitor-queries, key: queries}",
                "Its metrics begin with cnpg_: cnpg_pool_monitor_pool_connections. NOT RUN by this project's tests, only",
                "compared with what is known of the form.",
            ],
            manifest,
        ),
    }
