"""Zabbix agent 2: statements for its folder of custom queries, and a template."""

import hashlib

from . import text

GROUP = "Templates/Databases"
# as Zabbix itself has it: with another one it would be another group of that name
GROUP_UUID = "748ad4d098d447d492bb935c907f652f"
TEMPLATE = "PostgreSQL connection pools by pool_monitor"


def _uuid(name):
    """Always the same for a name, and marked as random, as Zabbix wants it."""
    digits = list(hashlib.sha256(f"pool_monitor {name}".encode()).hexdigest()[:32])
    digits[12] = "4"
    digits[16] = "89ab"[int(digits[16], 16) % 4]
    return "".join(digits)


def _units(column):
    if column.name.endswith("_timestamp_seconds"):
        return {"units": "unixtime"}
    # of a counter the change in a second is kept: a share, or a number
    if "_seconds" in column.name and column.kind != "counter":
        return {"units": "s"}
    return {}


def _master(view):
    return {
        "uuid": _uuid(view.space),
        "name": f"pool_monitor: {view.name}",
        "key": f'pgsql.custom.query["{{$PG.URI}}","{{$PG.USER}}","{{$PG.PASSWORD}}","{{$PG.DATABASE}}",{view.space}]',
        "delay": "30s",
        "history": "0",
        "trends": "0",
        "value_type": "TEXT",
        "description": view.help,
    }


def _item(view, column, key, name, path):
    steps = [{"type": "JSONPATH", "parameters": [path]}]
    if column.kind == "counter":
        steps.append({"type": "CHANGE_PER_SECOND", "parameters": [""]})
    return {
        "uuid": _uuid(column.metric),
        "name": name,
        "type": "DEPENDENT",
        "key": key,
        "delay": "0",
        "value_type": "FLOAT",
        **_units(column),
        "description": column.help,
        "preprocessing": steps,
        "master_item": {"key": _master(view)["key"]},
    }


def _server_items(view):
    for c in view.numbers:
        yield _item(view, c, c.metric, f"Server: {c.name}", f"$[0].{c.name}")


def _pool_prototypes(view):
    for c in view.numbers:
        # Zabbix escapes " and \ of a name in a path, not '
        path = f'$[?(@.pool=="{{#POOL}}")].{c.name}.first()'
        yield _item(view, c, f'{c.metric}["{{#POOL}}"]', f"Pool {{#POOL}}: {c.name}", path)


def _template(pool, server):
    return {
        "uuid": _uuid("template"),
        "template": TEMPLATE,
        "name": TEMPLATE,
        "groups": [{"name": GROUP}],
        "macros": [
            {"macro": "{$PG.URI}", "value": "tcp://localhost:5432"},
            {"macro": "{$PG.USER}", "value": "zbx_monitor"},
            {"macro": "{$PG.PASSWORD}", "value": ""},
            {"macro": "{$PG.DATABASE}", "value": "postgres"},
        ],
        "items": [_master(pool), _master(server), *_server_items(server)],
        "discovery_rules": [
            {
                "uuid": _uuid("pools"),
                "name": "Declared pools",
                "type": "DEPENDENT",
                "key": "pool_monitor_pool.discovery",
                "delay": "0",
                "lifetime": "7d",
                "item_prototypes": list(_pool_prototypes(pool)),
                "master_item": {"key": _master(pool)["key"]},
                "lld_macro_paths": [{"lld_macro": "{#POOL}", "path": "$.pool"}],
            }
        ],
    }


def files(views):
    pool, server = views["metrics_pool"], views["metrics_server"]
    template = {
        "zabbix_export": {
            "version": "6.0",
            "groups": [{"uuid": GROUP_UUID, "name": GROUP}],
            "templates": [_template(pool, server)],
        }
    }
    statements = {f"zabbix/{v.space}.sql": v.select([*v.labels, *v.numbers]) + ";\n" for v in (pool, server)}
    return {
        **statements,
        "zabbix/template.yaml": text.document(
            [
                "Zabbix 6.0 and later, agent 2: the .sql files into the folder of Plugins.PostgreSQL.CustomQueriesPath, this to",
                "be imported. NOT RUN by this project's tests, only compared with what is known of the form; the statements",
                "are.",
            ],
            template,
        ),
    }
