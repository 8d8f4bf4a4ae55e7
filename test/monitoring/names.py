"""names.py FOLDER: prints each name of a metric that a file for collectors has twice, which
one of them then loses, or both. Then how many files there were."""

import pathlib
import sys

import yaml

from statements import load


def exporter(form):
    """Of one namespace or branch each, in pg_exporter with a name of its own; labels are no metrics."""
    for key, query in form.items():
        for metric in query["metrics"]:
            for name, how in metric.items():
                if how["usage"] != "LABEL":
                    yield f"{query.get('name', key)}_{name}"


def pgwatch(form):
    for key, metric in form["metrics"].items():
        given = metric["sqls"][15].rsplit(" FROM pool_monitor", 1)[0]
        for column in given.split("AS epoch_ns, ")[1].split(" FROM ")[0].split(", "):
            if " AS tag_" not in column:
                yield f"{key}_{column.rsplit(' ', 1)[-1]}"


def netdata(form):
    """Charts by their context, and dimensions in one of them."""
    for metric in form["jobs"][0]["metrics"]:
        for chart in metric["charts"]:
            yield chart["context"]
            for dim in chart["dims"]:
                yield f"{chart['context']}.{dim['name'].lower()}"


def zabbix(form):
    template = form["zabbix_export"]["templates"][0]
    items = [*template["items"], *template["discovery_rules"][0]["item_prototypes"], *template["discovery_rules"]]
    for item in items:
        yield item["key"]
        yield item["uuid"]


def opentelemetry(form):
    for query in form["receivers"]["sqlquery/pool_monitor"]["queries"]:
        for metric in query.get("metrics", []):
            yield metric["metric_name"]


def datadog(form):
    for query in form["instances"][0]["custom_queries"]:
        for column in query["columns"]:
            yield f"{query['metric_prefix']}.{column['name']}"


def sql_exporter(form):
    return [metric["metric_name"] for metric in form["metrics"]]


def justwatch(form):
    for query in form["jobs"][0]["queries"]:
        for value in query["values"]:
            yield f"{query['name']} {value}"


FILES = {
    "postgres_exporter.yml": exporter,
    "postgres_exporter-applications.yml": exporter,
    "pg_exporter.yml": exporter,
    "cloudnative-pg.yml": lambda form: exporter(yaml.safe_load(form["data"]["queries"])),
    "sql_exporter.collector.yml": sql_exporter,
    "sql_exporter-applications.collector.yml": sql_exporter,
    "prometheus-sql-exporter.yml": justwatch,
    "pgwatch.yaml": pgwatch,
    "opentelemetry.yml": opentelemetry,
    "datadog.yml": datadog,
    "netdata.conf": netdata,
    "zabbix/template.yaml": zabbix,
}


def main(folder):
    for file, names in FILES.items():
        seen = {}
        for name in names(load(pathlib.Path(folder), file)):
            seen[name] = seen.get(name, 0) + 1
        if len(seen) < 10:
            print(f"{file}: only {len(seen)} names")
        for name, times in seen.items():
            if times > 1:
                print(f"{file}: {name} is there {times} times")
    print(len(FILES))


main(sys.argv[1])
