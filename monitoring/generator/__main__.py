"""python3 -m generator CATALOG FOLDER: writes the files that collectors read into FOLDER.

CATALOG is what monitoring/catalog.sql answers.
"""

import pathlib
import sys

from . import (
    catalog,
    charts,
    datadog,
    grafana,
    netdata,
    opentelemetry,
    pg_exporter,
    pgwatch,
    postgres_exporter,
    sql_exporter,
    zabbix,
)

COLLECTORS = (postgres_exporter, sql_exporter, pg_exporter, pgwatch, opentelemetry, datadog, netdata, zabbix)


def main(given, folder):
    with open(given, encoding="utf-8") as file:
        views = catalog.read(file)
    for name in charts.OF:
        charts.check(views[name])
    for writer in (*COLLECTORS, grafana):
        for name, content in writer.files(views).items():
            path = pathlib.Path(folder) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content, encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
