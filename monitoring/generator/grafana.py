"""Grafana's dashboard, as dashboard.py has it. Here in the classic form, which 10.3 and later
import and grafana.com takes; grafana_v2.py has the other.
"""

import json

from . import dashboard, grafana_common as common, grafana_v2

DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}


def _panel(number, panel, x, y):
    made = {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.description,
        "datasource": DATASOURCE,
        "pluginVersion": common.VERSION,
        "gridPos": {"x": x, "y": y, "w": panel.width, "h": panel.height},
        "targets": [
            {"refId": ref, "datasource": DATASOURCE, **common.query(panel, query)} for ref, query in common.queries(panel)
        ],
        "fieldConfig": common.field_config(panel),
        "options": common.options(panel),
    }
    if panel.repeat:
        made.update(repeat=panel.repeat, repeatDirection="h", maxPerRow=common.COLUMNS // panel.width)
    return made


def _panels():
    top = 0
    for section, row, placed, height in common.placed():
        yield {
            "id": row,
            "type": "row",
            "title": section.title,
            "collapsed": False,
            "gridPos": {"x": 0, "y": top, "w": common.COLUMNS, "h": 1},
            "panels": [],
        }
        for number, panel, x, y in placed:
            yield _panel(number, panel, x, top + 1 + y)
        top += 1 + height


def _variables():
    yield {
        "name": "datasource",
        "label": "Data source",
        "type": "datasource",
        "query": "prometheus",
        "current": {},
        "options": [],
        "refresh": 1,
        "regex": "",
        "hide": 0,
        "multi": False,
        "includeAll": False,
    }
    for name, label, of, series in common.VARIABLES:
        yield {
            "name": name,
            "label": label,
            "type": "query",
            "datasource": DATASOURCE,
            "query": f"label_values({series}, {of})",
            "definition": f"label_values({series}, {of})",
            "current": {"text": ["All"], "value": ["$__all"]},
            "options": [],
            "refresh": 2,
            "regex": "",
            "sort": 1,
            "hide": 0,
            "multi": True,
            "includeAll": True,
            # a panel for each pool takes them from the list, and (undeclared) is not in it
            "allValue": None if name == "pool" else ".+",
        }


def _model():
    return {
        "id": None,
        "uid": common.UID,
        "title": common.TITLE,
        "description": common.DESCRIPTION,
        "tags": common.TAGS,
        "editable": False,
        "schemaVersion": 39,
        "version": 1,
        "graphTooltip": 1,
        "timezone": "browser",
        "refresh": common.REFRESH,
        "time": {"from": common.FROM, "to": "now"},
        "timepicker": {},
        "annotations": {"list": []},
        "links": [],
        "templating": {"list": list(_variables())},
        "panels": list(_panels()),
    }


def files(views):
    dashboard.check(views)
    return {
        name: json.dumps(content, indent=2, ensure_ascii=False) + "\n"
        for name, content in (("grafana.json", _model()), ("grafana-v2.json", grafana_v2.resource()))
    }
