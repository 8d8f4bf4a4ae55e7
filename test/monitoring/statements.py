"""statements.py FOLDER CONNECTION: runs each statement that the files for collectors have,
as they would, and prints what is wrong: an error, a column that the file names and the
answer lacks, a NULL. Then how many statements there were."""

import json
import pathlib
import sys

import psycopg2
import yaml


def load(folder, name):
    return yaml.safe_load((folder / name).read_text(encoding="utf-8"))


def queries_of(form):
    """postgres_exporter, and others of its form."""
    for query in form.values():
        yield query["query"], [name for metric in query["metrics"] for name in metric]
        if "predicate_query" in query:
            yield query["predicate_query"], []


def sql_exporter(form):
    for query in form["queries"]:
        wanted = []
        for metric in form["metrics"]:
            if metric["query_ref"] == query["query_name"]:
                wanted += [*metric.get("key_labels", []), *metric["values"]]
        yield query["query"], wanted


def justwatch(form):
    for query in form["jobs"][0]["queries"]:
        yield query["query"], [*query["labels"], *query["values"]]


def pgwatch(form):
    for metric in form["metrics"].values():
        yield metric["sqls"][15], ["epoch_ns", *metric.get("gauges", [])]


def opentelemetry(form):
    for query in form["receivers"]["sqlquery/pool_monitor"]["queries"]:
        wanted = []
        for metric in query.get("metrics", []):
            wanted += [metric["value_column"], *metric.get("attribute_columns", [])]
        for log in query.get("logs", []):
            wanted += [log["body_column"], *log["attribute_columns"], query["tracking_column"]]
        yield query["sql"].replace("$$1", "0"), wanted


def netdata(form):
    job = form["jobs"][0]
    for query in job["queries"]:
        wanted = []
        for metric in job["metrics"]:
            if metric["query_ref"] == query["id"]:
                wanted += [label["source"] for label in metric.get("labels_from_row", [])]
                wanted += [dim["source"] for chart in metric["charts"] for dim in chart["dims"]]
        yield query["query"], wanted
    for table in job["functions"]:
        yield table["query"], [table["default_sort"]]


def zabbix(folder):
    template = load(folder, "zabbix/template.yaml")["zabbix_export"]["templates"][0]
    items = [*template["items"], *template["discovery_rules"][0]["item_prototypes"]]
    for path in sorted(folder.glob("zabbix/*.sql")):
        wanted = []
        for item in items:
            if item.get("master_item", {}).get("key", "").endswith(f",{path.stem}]"):
                step = item["preprocessing"][0]["parameters"][0]
                wanted.append(step.replace(".first()", "").rsplit(".", 1)[1])
        yield path.read_text(encoding="utf-8"), wanted


def statements(folder):
    for name in ("postgres_exporter.yml", "postgres_exporter-applications.yml", "pg_exporter.yml"):
        yield from ((name, *q) for q in queries_of(load(folder, name)))
    manifest = load(folder, "cloudnative-pg.yml")
    yield from (("cloudnative-pg.yml", *q) for q in queries_of(yaml.safe_load(manifest["data"]["queries"])))
    for name in ("sql_exporter.collector.yml", "sql_exporter-applications.collector.yml"):
        yield from ((name, *q) for q in sql_exporter(load(folder, name)))
    for name, extract in (
        ("prometheus-sql-exporter.yml", justwatch),
        ("pgwatch.yaml", pgwatch),
        ("opentelemetry.yml", opentelemetry),
        ("netdata.conf", netdata),
    ):
        yield from ((name, *q) for q in extract(load(folder, name)))
    for query in load(folder, "datadog.yml")["instances"][0]["custom_queries"]:
        # the names are its own, the order is the statement's
        yield "datadog.yml", query["query"], len(query["columns"])
    yield from (("zabbix", *q) for q in zabbix(folder))


def problems(cursor, sql, wanted):
    cursor.execute(sql)
    names = [column.name for column in cursor.description]
    if isinstance(wanted, int):
        return [] if wanted == len(names) else [f"{wanted} columns for {len(names)}"]
    bad = [f"no column {name}" for name in sorted(set(wanted) - set(names))]
    for row in cursor.fetchall():
        bad += [f"{name} is NULL" for name, value in zip(names, row) if value is None and name in wanted]
    return bad


def main(folder, dsn):
    connection = psycopg2.connect(dsn)
    connection.autocommit = True
    count = {}
    with connection.cursor() as cursor:
        for name, sql, wanted in statements(pathlib.Path(folder)):
            count[name] = count.get(name, 0) + 1
            try:
                bad = problems(cursor, sql, wanted)
            except psycopg2.Error as error:
                bad = [str(error)]
            for problem in bad:
                print(f"{name}: {problem}: {sql}")
    print(json.dumps(count, sort_keys=True))


if __name__ == "__main__":
    main(*sys.argv[1:])
