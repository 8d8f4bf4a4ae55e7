"""Grafana's dashboard as a resource of the second schema, dashboard.grafana.app/v2, which is
that of 13.0 and later.
"""

from . import grafana_common as common


def _kind(name, spec, **more):
    return {"kind": name, **more, "spec": spec}


def _data_query(spec):
    return _kind("DataQuery", spec, group="prometheus", version="v0", datasource={"name": "${datasource}"})


def _element(number, panel):
    queries = [
        _kind("PanelQuery", {"query": _data_query(common.query(panel, query)), "refId": ref, "hidden": False})
        for ref, query in common.queries(panel)
    ]
    return _kind(
        "Panel",
        {
            "id": number,
            "title": panel.title,
            "description": panel.description,
            "links": [],
            "data": _kind("QueryGroup", {"queries": queries, "transformations": [], "queryOptions": {}}),
            "vizConfig": _kind(
                "VizConfig",
                {"options": common.options(panel), "fieldConfig": common.field_config(panel)},
                group=panel.kind,
                version=common.VERSION,
            ),
        },
    )


def _grid_item(number, panel, x, y):
    item = {
        "x": x,
        "y": y,
        "width": panel.width,
        "height": panel.height,
        "element": {"kind": "ElementReference", "name": f"panel-{number}"},
    }
    if panel.repeat:
        item["repeat"] = {
            "mode": "variable",
            "value": panel.repeat,
            "direction": "h",
            "maxPerRow": common.COLUMNS // panel.width,
        }
    return _kind("GridLayoutItem", item)


def _layout_row(section, items):
    grid = _kind("GridLayout", {"items": [_grid_item(*item) for item in items]})
    return _kind("RowsLayoutRow", {"title": section.title, "collapse": False, "layout": grid})


def _variable(name, label, of, series):
    definition = f"label_values({series}, {of})"
    spec = {
        "name": name,
        "label": label,
        "query": _data_query({"qryType": 1, "query": definition, "refId": "PrometheusVariableQueryEditor-VariableQuery"}),
        "definition": definition,
        "current": {"text": ["All"], "value": ["$__all"]},
        "options": [],
        "refresh": "onTimeRangeChanged",
        "regex": "",
        "sort": "alphabeticalAsc",
        "hide": "dontHide",
        "skipUrlSync": False,
        "multi": True,
        "includeAll": True,
        "allowCustomValue": True,
    }
    if name != "pool":
        spec["allValue"] = ".+"
    return _kind("QueryVariable", spec)


def _variables():
    datasource = {
        "name": "datasource",
        "label": "Data source",
        "pluginId": "prometheus",
        "current": {"text": "", "value": ""},
        "options": [],
        "refresh": "onDashboardLoad",
        "regex": "",
        "hide": "dontHide",
        "skipUrlSync": False,
        "multi": False,
        "includeAll": False,
        "allowCustomValue": True,
    }
    return [_kind("DatasourceVariable", datasource), *[_variable(*given) for given in common.VARIABLES]]


def resource():
    placed = list(common.placed())
    spec = {
        "title": common.TITLE,
        "description": common.DESCRIPTION,
        "tags": common.TAGS,
        "editable": False,
        "liveNow": False,
        "preload": False,
        "cursorSync": "Crosshair",
        "timeSettings": {
            "timezone": "browser",
            "from": common.FROM,
            "to": "now",
            "autoRefresh": common.REFRESH,
            "autoRefreshIntervals": ["10s", "30s", "1m", "5m", "15m", "1h"],
            "hideTimepicker": False,
            "fiscalYearStartMonth": 0,
        },
        "annotations": [],
        "links": [],
        "variables": _variables(),
        "elements": {
            f"panel-{number}": _element(number, panel) for _, _, items, _ in placed for number, panel, _, _ in items
        },
        "layout": _kind("RowsLayout", {"rows": [_layout_row(section, items) for section, _, items, _ in placed]}),
    }
    return {
        "apiVersion": "dashboard.grafana.app/v2",
        "kind": "Dashboard",
        "metadata": {"name": common.UID},
        "spec": spec,
    }
