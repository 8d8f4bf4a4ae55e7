"""Which columns belong into one chart: for those who draw what they collect by themselves.

Each number of a view is in one chart: see check().
"""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Chart:
    """columns: without _total, of one unit, and all counters or none."""

    id: str
    title: str
    unit: str
    columns: tuple


POOL = (
    Chart("status", "Status: 0 ok, 1 overflow, 2 exhausted, 3 over, 4 starved", "status", ("status",)),
    Chart(
        "connections",
        "Connections",
        "connections",
        ("connections", "busy", "base", "ceiling", "budget", "over_budget", "peak_connections"),
    ),
    Chart("states", "Sessions by state", "connections", ("active", "idle", "idle_in_transaction")),
    Chart("kept", "Sessions that are kept for too long", "sessions", ("stale", "idle_over_limit", "leak_suspects")),
    Chart("waiting", "Checkouts that wait", "checkouts", ("waiting",)),
    Chart("longest_idle", "Longest idle", "seconds", ("longest_idle_seconds",)),
    Chart("churn", "Sessions begun, and moved", "sessions/s", ("connects", "taken_over", "given_over")),
    Chart(
        "ends",
        "How sessions end",
        "sessions/s",
        ("ended_client", "ended_abandoned", "ended_fatal", "ended_timeout", "ended_killed", "ended_lost"),
    ),
    Chart("retirement", "Retirement", "sessions/s", ("retired", "retired_late", "declined")),
    Chart("retirement_paused", "Is it retired, and does that pause", "yes or no", ("retires", "retirement_paused")),
    Chart("paused_share", "Share of the time that retirement pauses", "seconds/s", ("retirement_paused_seconds",)),
    Chart("storms", "Connect storms", "storms/s", ("storms",)),
    Chart("failed", "Logins that fail", "logins/s", ("rejected", "refused", "auth_failures")),
    Chart("guarded", "Logins that the guard refuses, or would refuse", "logins/s", ("guarded", "would_be_guarded")),
    Chart(
        "guarded_why",
        "Of both, those for others' reserves or the rate, not the limit",
        "logins/s",
        ("guarded_by_reserves", "guarded_by_rate"),
    ),
    Chart("transactions", "Transactions", "transactions/s", ("transactions", "long_holds")),
    Chart(
        "checkouts",
        "Checkouts, as clients report",
        "checkouts/s",
        ("checkouts", "checkout_waits", "checkout_timeouts", "timed_checkouts"),
    ),
    Chart("waited", "Waited for a connection, as clients report", "seconds/s", ("waited_seconds",)),
    Chart(
        "checked_out",
        "Connections that clients have open, and checked out, as they report",
        "connections",
        ("reported_open_seconds", "checked_out_seconds"),
    ),
    Chart(
        "at_limits",
        "Share of the time in each condition",
        "seconds/s",
        ("overflow_seconds", "exhausted_seconds", "over_seconds", "starved_seconds"),
    ),
    Chart("used", "Busy connections on average", "connections", ("busy_seconds",)),
)

SERVER = (
    Chart("status", "Status: 0 ok, 1 overcommitted, 2 over, 3 full", "status", ("status",)),
    Chart(
        "connections",
        "Connections of the server",
        "connections",
        (
            "max_connections",
            "reserved_connections",
            "usable_connections",
            "connection_budget",
            "declared_base",
            "declared_budget",
            "connections",
            "undeclared_connections",
            "authenticating_connections",
            "available_connections",
            "peak_connections",
        ),
    ),
    Chart("refused", "Logins refused for want of a slot", "logins/s", ("refused",)),
    Chart("guarded", "Logins that the guard refuses, or would refuse", "logins/s", ("guarded", "would_be_guarded")),
    Chart("unarmed", "Guards that are not armed", "guards", ("unarmed_guards",)),
    Chart("well", "Is it well", "yes or no", ("overcommitted", "monitor_ok", "load_failed")),
    Chart(
        "last",
        "When it was started, and last did its work",
        "seconds",
        ("start_timestamp_seconds", "last_sample_timestamp_seconds", "last_load_timestamp_seconds", "last_save_timestamp_seconds"),
    ),
    Chart("places", "Places", "places", ("pools", "max_pools", "applications", "max_applications")),
)

OF = {"metrics_pool": POOL, "metrics_server": SERVER}


def of(view):
    """(chart, its columns), as the view has them."""
    by_tail = {c.tail: c for c in view.numbers}
    for chart in OF[view.name]:
        yield chart, [by_tail[name] for name in chart.columns]


def check(view):
    """What is in no chart, or in several, or in one of another kind."""
    drawn = [name for chart in OF[view.name] for name in chart.columns]
    there = [c.tail for c in view.numbers]
    if sorted(drawn) != sorted(there):
        odd = sorted(set(drawn) ^ set(there)) or "one of them twice"
        raise SystemExit(f"charts.py and {view.name} differ: {odd}")
    for chart, columns in of(view):
        if len({c.kind for c in columns}) > 1:
            raise SystemExit(f"charts.py: {chart.id} has counters and gauges")
