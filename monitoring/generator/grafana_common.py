"""What is the same of the dashboard in both of Grafana's forms."""

from . import dashboard, text

UID = "pool-monitor"
TITLE = "PostgreSQL connection pools (pool_monitor)"
DESCRIPTION = f"{text.NOTICE} Connections of PostgreSQL by the pools of its clients."
TAGS = ["postgresql", "pool_monitor"]
FROM, REFRESH = "now-3h", "30s"

# name, label, of what its values are the label, of which series
VARIABLES = (
    ("job", "Job", "job", "pool_monitor_server_connections"),
    ("instance", "Instance", "instance", 'pool_monitor_server_connections{job=~"$job"}'),
    (
        "pool",
        "Pool",
        "pool",
        'pool_monitor_pool_connections{job=~"$job",instance=~"$instance",pool!="(undeclared)"}',
    ),
)

# what the options of the plug-ins are those of
VERSION = "10.4.0"
COLUMNS = 24

LINES = {
    "": {},
    "line": {"custom.lineWidth": 2},
    "dash": {"custom.lineWidth": 2, "custom.lineStyle": {"fill": "dash", "dash": [10, 10]}},
    "dot": {"custom.lineWidth": 2, "custom.lineStyle": {"fill": "dash", "dash": [2, 6]}},
    "area": {"custom.lineWidth": 1, "custom.fillOpacity": 40},
}


def _override(ref, query):
    """What is another for the series of this query than for the panel; None: nothing."""
    properties = dict(LINES[query.style])
    if query.style in ("line", "dash", "dot"):
        properties["custom.fillOpacity"] = 0
        properties["custom.stacking"] = {"mode": "none", "group": "A"}
    if query.colour:
        properties["color"] = {"mode": "fixed", "fixedColor": query.colour}
    if not properties:
        return None
    return {
        "matcher": {"id": "byFrameRefID", "options": ref},
        "properties": [{"id": name, "value": value} for name, value in properties.items()],
    }


def _mappings(panel):
    names = {
        str(number): {"text": name, "color": colour, "index": index}
        for index, (number, name, colour) in enumerate(panel.values)
    }
    return [{"type": "value", "options": names}] if names else []


def _custom(panel):
    hidden = {"legend": False, "tooltip": False, "viz": False}
    if panel.kind == "state-timeline":
        return {"fillOpacity": 85, "lineWidth": 0, "spanNulls": False, "insertNulls": False, "hideFrom": hidden}
    if panel.kind != "timeseries":
        return {}
    # soft: what is above is drawn, too
    most = {} if panel.most is None else {"axisSoftMax": panel.most}
    return {
        **most,
        "axisSoftMin": 0,
        "drawStyle": "line",
        "lineInterpolation": "stepAfter" if panel.unit == "short" else "linear",
        "lineWidth": 0 if panel.stacked else 2,
        "fillOpacity": 70 if panel.stacked else 0,
        "stacking": {"mode": "normal" if panel.stacked else "none", "group": "A"},
        "showPoints": "never",
        "spanNulls": False,
        "hideFrom": hidden,
    }


def field_config(panel):
    """How the series are drawn."""
    defaults = {
        "unit": panel.unit,
        "color": {"mode": "thresholds" if panel.values else "palette-classic"},
        "mappings": _mappings(panel),
        "thresholds": {"mode": "absolute", "steps": [{"value": None, "color": dashboard.GREY}]},
        "custom": _custom(panel),
    }
    if panel.kind == "timeseries":
        defaults["min"] = 0
    found = [_override(ref, given) for ref, given in queries(panel)]
    return {"defaults": defaults, "overrides": [override for override in found if override]}


def options(panel):
    """The options of the plug-in."""
    tooltip = {"mode": "multi", "sort": "desc", "hideZeros": panel.unit == "cpm"}
    if panel.kind == "text":
        return {"mode": "markdown", "content": panel.content}
    if panel.kind == "stat":
        return {
            "colorMode": "background",
            "graphMode": "none",
            "textMode": "value_and_name",
            "justifyMode": "center",
            "orientation": "auto",
            "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        }
    if panel.kind == "state-timeline":
        return {
            "mergeValues": True,
            "showValue": "auto",
            "alignValue": "left",
            "rowHeight": 0.9,
            "perPage": 20,
            "legend": {"showLegend": True, "displayMode": "list", "placement": "bottom"},
            "tooltip": {"mode": "single", "sort": "none"},
        }
    legend = {"showLegend": True, "displayMode": "table", "calcs": ["lastNotNull", "max"]}
    legend["placement"] = "right" if panel.width == COLUMNS else "bottom"
    if not panel.repeat:
        # a pool that is at its limits is not to be looked for
        legend.update(sortBy="Max", sortDesc=True)
    return {"legend": legend, "tooltip": tooltip}


def queries(panel):
    """(refId, query)"""
    return [(chr(ord("A") + n), given) for n, given in enumerate(panel.queries)]


def query(panel, given):
    """What is asked of Prometheus."""
    instant = panel.kind == "stat"
    return {
        "editorMode": "code",
        "expr": given.expression,
        "legendFormat": given.legend,
        "range": not instant,
        "instant": instant,
    }


def placed():
    """(section, its number, [(number, panel, x, y in the section)], its height)"""
    number = 0
    for section in dashboard.SECTIONS:
        number += 1
        row, panels = number, []
        x = y = below = 0
        for panel in section.panels:
            number += 1
            if x + panel.width > COLUMNS:
                x, y = 0, below
            panels.append((number, panel, x, y))
            x, below = x + panel.width, max(below, y + panel.height)
        yield section, row, panels, below
