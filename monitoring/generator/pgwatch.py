"""pgwatch 3 and later: metrics, and a preset."""

from . import text

# s between two readings
SECONDS = 30

# names with their schema: who owns the database can set its search_path
NOW = "(pg_catalog.\"extract\"('epoch', pg_catalog.clock_timestamp()) OPERATOR(pg_catalog.*) 1e9)::pg_catalog.int8 AS epoch_ns"


def _sql(view, columns, relation=None):
    named = [NOW]
    named += [f"{c.name} AS tag_{c.name}" for c in view.labels]
    named += [c.name for c in columns]
    return f"SELECT /* pgwatch_generated */ {', '.join(named)} FROM {relation or view.relation}"


def _metric(explanation, sql, gauges):
    metric = {"description": explanation, "sqls": {15: text.block(sql + "\n")}}
    if gauges:
        metric["gauges"] = gauges
    return {**metric, "is_instance_level": True}


def _metrics(view):
    gauges = [c.name for c in view.of("gauge")]
    yield view.space, _metric(view.help, _sql(view, [*view.numbers, *view.totals()]), gauges)
    for h in view.histograms:
        labels = "".join(f", b.{c.name} AS tag_{c.name}" for c in view.labels)
        sql = (
            f"SELECT /* pgwatch_generated */ {NOW}{labels}, b.le AS tag_le, b.{h.name}_bucket AS bucket FROM ({view.buckets(h)}) AS b"
        )
        yield h.metric, _metric(h.help, sql, [])


def files(views):
    metrics = dict(m for name in ("metrics_pool", "metrics_server") for m in _metrics(views[name]))
    preset = {
        "description": "Connection pools against their budgets: pool_monitor",
        "metrics": {name: SECONDS for name in metrics},
    }
    return {
        "pgwatch.yaml": text.document(
            [
                "pgwatch 3 and later: in a folder, beside pgwatch's own metrics, since with --metrics these are not loaded:",
                "  pgwatch metric list > FOLDER/00-builtin.yaml; cp pgwatch.yaml FOLDER/; pgwatch --metrics=FOLDER ...",
                "Its metrics begin with pgwatch_. NOT RUN by this project's tests, only compared with what is known of the",
                "form; the statements are.",
            ],
            {"metrics": metrics, "presets": {"pool_monitor": preset}},
        ),
    }
