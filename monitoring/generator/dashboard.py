"""What the dashboard shows: its panels, in the order in which they are read.

grafana.py writes it in Grafana's two forms. In an expression, SERVER stands for the chosen
servers, POOL for the chosen pools of them, DECLARED for all of them, UNDECLARED for what is
in none. The pools come first in each panel, in the same order: so each has its colour.
"""

import dataclasses
import re

# The colours of Okabe and Ito, which people see apart who are blind to a pair of colours.
BLUE, SKY, GREEN = "#0072B2", "#56B4E9", "#009E73"
YELLOW, ORANGE, VERMILION, PURPLE = "#F0E442", "#E69F00", "#D55E00", "#CC79A7"
DULL, GREY, PALE, TEXT = "#3D5A80", "#8E8E8E", "#CFCFCF", "text"

SELECTORS = {
    "SERVER": 'job=~"$job",instance=~"$instance"',
    "POOL": 'job=~"$job",instance=~"$instance",pool=~"$pool"',
    "DECLARED": 'job=~"$job",instance=~"$instance",pool!="(undeclared)"',
    "UNDECLARED": 'job=~"$job",instance=~"$instance",pool="(undeclared)"',
}


@dataclasses.dataclass(frozen=True)
class Query:
    """style: of its line: "" as the panel's, "line" beside what is stacked, "area", "dash" or
    "dot" for a limit; colour: "" one for each series."""

    text: str
    legend: str
    style: str = ""
    colour: str = ""

    @property
    def expression(self):
        """As Prometheus reads it, but for Grafana's variables."""
        return re.sub(r"\{(\w+)\}", lambda found: "{" + SELECTORS[found[1]] + "}", self.text)


@dataclasses.dataclass(frozen=True)
class Panel:
    """kind: Grafana's plug-in. width and height are in its grid of 24 columns. repeat: the
    variable of which each value has a panel of its own. most: what the axis shows at least. values: (number, name, colour)."""

    title: str
    description: str
    kind: str
    unit: str = "none"
    queries: tuple = ()
    width: int = 8
    height: int = 8
    repeat: str = ""
    stacked: bool = False
    most: float = None
    values: tuple = ()
    content: str = ""


@dataclasses.dataclass(frozen=True)
class Section:
    title: str
    panels: tuple


EACH = "{{pool}} {{instance}}"

# Further apart than those above for who is blind to a pair of colours, as the test computes.
STATUS = (
    (0, "ok", DULL),
    (1, "overflow", "#FBF090"),
    (2, "exhausted", "#F09000"),
    (3, "over", "#A81F1C"),
    (4, "starved", "#C944EE"),
)

ADVICE = """\
What to do is not a number. Ask the server:

```sql
SELECT * FROM pool_monitor.advice;
SELECT * FROM pool_monitor.overview;
SELECT * FROM pool_monitor.sessions WHERE pool = 'NAME';
SELECT * FROM pool_monitor.events ORDER BY seq DESC LIMIT 50;
```

Is it full? A role with `pg_use_reserved_connections` (16 and later), or a superuser, still gets in.
"""


SETUP = "What a new connection costs, from fork to ready, with authentication."
HOLD = "For how long a transaction holds its connection: what callers who wait, wait for."
LIFETIME = "How long sessions lived that have ended."


def _line(title, description, unit, *queries, **more):
    return Panel(title, description, "timeseries", unit, queries, **more)


def _rate(counter, chosen="POOL"):
    """After a crash counters go back to what was last saved, and rate() takes all of that for new: a gap instead."""
    series = f"pool_monitor_pool_{counter}{{{chosen}}}[$__rate_interval]"
    return f"(rate({series}) unless resets({series}) > 0)"


def _per_minute(counter, chosen):
    return f"60 * {_rate(counter, chosen)}"


def _share(title, description, counter):
    query = Query(_rate(counter), EACH)
    return _line(title, description, "percentunit", query, width=6, most=1)


def _gauge(title, description, unit, gauge):
    return _line(title, description, unit, Query(f"pool_monitor_pool_{gauge}{{POOL}}", EACH))


def _counter(title, description, counter, undeclared=False, **more):
    """A minute's number, also of what is in no pool."""
    queries = [Query(_per_minute(counter, "POOL"), EACH)]
    if undeclared:
        queries.append(Query(_per_minute(counter, "UNDECLARED"), EACH, colour=GREY))
    return _line(title, description, "cpm", *queries, **more)


def _histogram(title, description, metric, quantile):
    summed = f"sum by (le, pool, job, instance) ({_rate(metric + '_bucket')})"
    query = Query(f"histogram_quantile({quantile}, {summed})", EACH)
    return _line(title, description, "s", query)


def _ends(counter, legend, colour):
    return Query(f"sum({_per_minute(counter, 'POOL')})", legend, colour=colour)


FIRST = Section(
    "Whose fault is it, and how near is the end",
    (
        Panel(
            "Status of each pool",
            "The worst status within each step. overflow: above base. exhausted: busy at its ceiling, so its own callers wait. "
            "over: it holds more than its budget, at the expense of others. starved: its logins are refused though it is below "
            "its budget, because others fill the server.",
            "state-timeline",
            queries=(Query("max_over_time(pool_monitor_pool_status{POOL}[$__rate_interval])", EACH),),
            width=24,
            height=7,
            values=STATUS,
        ),
        _line(
            "Who holds the connections of $instance",
            "All sessions, by pool, in a heap: what is in no declared pool is (undeclared). The server is full at usable; what "
            "is above that, up to max_connections, is reserved. Where the sum of the ceilings is above usable, the pools "
            "together can fill the server, even if they do not do so now.",
            "short",
            Query("pool_monitor_pool_connections{DECLARED}", "{{pool}}"),
            Query("pool_monitor_pool_connections{UNDECLARED}", "{{pool}}", colour=GREY),
            Query("pool_monitor_server_authenticating_connections{SERVER}", "(logging in)", colour=PALE),
            Query("pool_monitor_server_connections{SERVER}", "= all connections", "line", TEXT),
            Query("pool_monitor_server_usable_connections{SERVER}", "usable: full here", "line", VERMILION),
            Query(
                "pool_monitor_server_usable_connections{SERVER} + pool_monitor_server_reserved_connections{SERVER}",
                "max_connections, with reserved",
                "dot",
                VERMILION,
            ),
            Query("pool_monitor_server_connection_budget{SERVER}", "connection budget", "dash", GREEN),
            Query("sum by (instance) (pool_monitor_pool_ceiling{DECLARED})", "sum of ceilings", "dash", PURPLE),
            Query("pool_monitor_server_declared_budget{SERVER}", "sum of ceilings, with surge", "dot", PURPLE),
            width=24,
            height=9,
            repeat="instance",
            stacked=True,
        ),
        _line(
            "Busy, as a share of the ceiling",
            "At 100 % whoever wants one more connection of this pool waits in its client; above, more processes are busy than were "
            "declared. Shows which pool is nearest.",
            "percentunit",
            Query("pool_monitor_pool_busy{POOL} / (pool_monitor_pool_ceiling{POOL} > 0)", EACH),
            width=12,
            most=1,
        ),
        Panel(
            "Is the monitor well",
            "Where it is not, nothing here is to be believed: SELECT * FROM pool_monitor.health says what is wrong.",
            "stat",
            queries=(Query("pool_monitor_server_monitor_ok{SERVER}", "{{instance}}"),),
            width=4,
            values=((0, "NOT WELL", VERMILION), (1, "well", DULL)),
        ),
        Panel("What to ask next", "Queries for the server.", "text", content=ADVICE),
    ),
)

POOLS = Section(
    "Each pool",
    (
        _line(
            "$pool",
            "Most connections and most busy ones within each step. A pool at rest is at its base; it may go up to its ceiling. "
            "busy at the ceiling: callers wait. connections up, busy low: it holds what it does not use.",
            "short",
            Query("max_over_time(pool_monitor_pool_connections{POOL}[$__rate_interval])", "connections {{instance}}", "line", TEXT),
            Query("max_over_time(pool_monitor_pool_busy{POOL}[$__rate_interval])", "busy {{instance}}", "area", SKY),
            Query("pool_monitor_pool_base{POOL}", "base {{instance}}", "dash", GREEN),
            Query("pool_monitor_pool_ceiling{POOL}", "ceiling {{instance}}", "dash", VERMILION),
            Query(
                "pool_monitor_pool_budget{POOL} > pool_monitor_pool_ceiling{POOL}", "with surge {{instance}}", "dot", VERMILION
            ),
            repeat="pool",
        ),
    ),
)

TIME = Section(
    "Share of the time at its limits",
    (
        _share("Above its base", "Normal at peaks; all day long means that the base is too small.", "overflow_seconds_total"),
        _share(
            "Busy at its ceiling",
            "In this share of the time callers had to wait for a connection.",
            "exhausted_seconds_total",
        ),
        _share(
            "Over its budget",
            "In this share of the time it held what others may need: more processes than were declared, as a rule.",
            "over_seconds_total",
        ),
        _share(
            "Starved",
            "In this share of the time its logins were refused below its budget: others had filled the server.",
            "starved_seconds_total",
        ),
    ),
)

CHURN = Section(
    "Churn, and how long things take",
    (
        _counter(
            "Sessions begun",
            "A pool that keeps its connections begins few. Many mean a pool that is too small, or none at all.",
            "connects_total",
            undeclared=True,
            width=12,
        ),
        _line(
            "How sessions end",
            "Of all chosen pools, in a heap. Goodbyes are normal. Vanished clients are processes that were killed, or a network "
            "that forgets connections.",
            "cpm",
            _ends("ended_client_total", "client's goodbye", BLUE),
            _ends("retired_total", "retired by pool_monitor", SKY),
            _ends("ended_timeout_total", "time-out of the server", YELLOW),
            _ends("ended_killed_total", "ended by an administrator", ORANGE),
            _ends("ended_abandoned_total", "client vanished", VERMILION),
            _ends("ended_fatal_total", "fatal error", PURPLE),
            _ends("ended_lost_total", "crash of the server", GREY),
            width=12,
            stacked=True,
        ),
        _histogram("Set-up time, p95", f"{SETUP} One in twenty takes longer.", "setup_seconds", 0.95),
        _histogram("Holds, p95", f"{HOLD} One in twenty takes longer.", "hold_seconds", 0.95),
        _histogram("Lifetimes, p95", f"{LIFETIME} One in twenty lived longer.", "lifetime_seconds", 0.95),
        _histogram("Set-up time, p50", f"{SETUP} Half take longer.", "setup_seconds", 0.5),
        _histogram("Holds, p50", f"{HOLD} Half take longer.", "hold_seconds", 0.5),
        _histogram("Lifetimes, p50", f"{LIFETIME} Half lived longer.", "lifetime_seconds", 0.5),
    ),
)

FAILED = Section(
    "Logins that fail",
    (
        _counter(
            "Refused: no slot was free",
            "The server was full. Who holds the most, and more than its budget, is above.",
            "refused_total",
            undeclared=True,
        ),
        _counter(
            "Refused by the guard",
            "The pool was at its own limit, not the server, or others' reserves, or its connect_rate, left no room.",
            "guarded_total",
            undeclared=True,
        ),
        _counter(
            "Would be refused by the guard",
            "They were admitted, as the guard only reports: what it would do if it were enforced.",
            "would_be_guarded_total",
            undeclared=True,
        ),
        _counter(
            "Rejected after authentication",
            "By a limit of the role or the database, or because the server shuts down.",
            "rejected_total",
            undeclared=True,
        ),
        _counter(
            "Not authenticated",
            "A wrong password, no line in pg_hba.conf, or a client that gave up.",
            "auth_failures_total",
            undeclared=True,
        ),
    ),
)

WAITS = Section(
    "What clients wait for, where they report it",
    (
        _line(
            "Wait for each checkout",
            "On average, over all checkouts. Empty where no client reports, or none checks out.",
            "s",
            Query(f"{_rate('waited_seconds_total')} / {_rate('checkouts_total')}", EACH),
        ),
        _gauge(
            "Checkouts that wait now", "Callers in the queue of their client's pool, as it last reported.", "short", "waiting"
        ),
        _counter(
            "Checkouts that gave up",
            "Callers that got an error instead of a connection.",
            "checkout_timeouts_total",
        ),
        _line(
            "Checked out, of what clients have open",
            "At 100 % none of their connections is free. Far more than is busy in transactions: they are given back late.",
            "percentunit",
            Query(f"{_rate('checked_out_seconds_total')} / {_rate('reported_open_seconds_total')}", EACH),
        ),
    ),
)

RETIREMENT = Section(
    "Sessions that are kept for too long, and that go",
    (
        _gauge("Stale", "Older than pool_recycle, and idle for recycle_grace.", "short", "stale"),
        _gauge("Idle for too long", "Idle for longer than idle_limit.", "short", "idle_over_limit"),
        _gauge(
            "Leak suspects",
            "In one transaction for longer than leak_threshold: SELECT * FROM pool_monitor.leak_suspects says which.",
            "short",
            "leak_suspects",
        ),
        _counter("Retired", "Sessions that pool_monitor ended, between two transactions.", "retired_total"),
        _counter(
            "Declined",
            "Sessions that were asked to go and stayed: in use by then, or holding something. pool_monitor.sessions says what.",
            "declined_total",
        ),
        Panel(
            "Is retirement paused",
            "The server was full, or the pool reconnected faster than its sessions were retired: pool_monitor.events says which.",
            "state-timeline",
            queries=(Query("max_over_time(pool_monitor_pool_retirement_paused{POOL}[$__rate_interval])", EACH),),
            values=((0, "no", DULL), (1, "paused", "#F09000")),
        ),
    ),
)

REST = Section(
    "Undeclared connections, and the monitor itself",
    (
        _line(
            "In no declared pool",
            "SELECT * FROM pool_monitor.applications WHERE pool IS NULL says whose they are.",
            "short",
            Query("pool_monitor_server_undeclared_connections{SERVER}", "{{instance}}"),
        ),
        _line(
            "Age of the last sample",
            "Grows while the worker does not look. Also where the clock of Prometheus is another than the server's.",
            "s",
            Query("time() - pool_monitor_server_last_sample_timestamp_seconds{SERVER}", "{{instance}}"),
        ),
        Panel(
            "Did the declarations load",
            "Where they did not, those before are still in force, and nothing is retired.",
            "stat",
            queries=(Query("pool_monitor_server_load_failed{SERVER}", "{{instance}}"),),
            values=((0, "loaded", DULL), (1, "FAILED", VERMILION)),
        ),
    ),
)

SECTIONS = (FIRST, POOLS, TIME, CHURN, FAILED, WAITS, RETIREMENT, REST)


def check(views):
    """What an expression names, and no view has."""
    there = {c.metric for view in views.values() for c in view.columns}
    named = {
        metric
        for section in SECTIONS
        for panel in section.panels
        for query in panel.queries
        for metric in re.findall(r"pool_monitor_\w+", query.text)
    }
    if named - there:
        raise SystemExit(f"dashboard.py: no such metrics: {sorted(named - there)}")
