"""The table of docs/performance.md: what was measured, beside what, and what the goal was."""

import goals
from figures import amount, faster, number, only, shown, with_commas

HEAD = ["what", "measured", "beside it", "result", "goal"]


def at_most(goal, unit):
    return f"<= {amount(goal, unit)}" if goal else ""


def live(cases):
    """
    By the server's clock, and the best of the turns: a busy machine interrupts a long query
    more often than a short one, so it would flatter us in the medians, which the file has.
    """
    for warm in cases:
        if not warm.has(clock="server", when="warm"):
            continue
        turns = [only(cases, **{**warm.of, "when": when}) for when in ("warm", "first", "again")]
        view, sessions, most = (warm.of[name] for name in ("view", "sessions", "max_connections"))
        goal = goals.LIVE.get((view, sessions, most))
        ours, theirs, times = (
            "{}, first {}, again {}".format(*values)
            for values in (
                [shown(turn, "view_best") for turn in turns],
                [shown(turn, "sql_best") for turn in turns],
                [number(faster(turn)) for turn in turns],
            )
        )
        yield [f"`{view}`, {sessions:,} sessions of {most:,}", ours, f"SQL: {theirs}", f"times as fast: {times}",
               f">= {goal} times" if goal else ""]  # fmt: skip


def instructions(cases):
    plain = cases[0]
    for figure, what in (("transaction", "a transaction"), ("connect", "a connect and exit")):
        for case in cases[1:]:
            ours = case.of["what"].startswith("pool_monitor")
            goal = {"transaction": f"<= +{goals.TRANSACTION}", "connect": f"<= +{goals.CONNECT} %"}
            more = case[figure] - plain[figure]
            yield [
                f"{what}: {case.of['what']}",
                number(case[figure]),
                f"{plain.of['what']}: {number(plain[figure])}",
                f"{more:+,.0f}, {100 * more / plain[figure]:+.2f} %",
                goal[figure] if ours else "",
            ]


def cost(cases):
    """Of as many transactions a second as without; medians, and quartiles."""
    for case in cases:
        if not case.has(what="with the library"):
            continue
        mode, pairs = case.of["mode"].split(" (")[0], case.of["pairs"]
        noise = only(cases, mode=case.of["mode"], what="the same without, again")
        spread = [f"{each['median']:.3f} ({each['low']:.3f} to {each['high']:.3f})" for each in (case, noise)]
        yield [f"`{mode}`, of the transactions a second, {pairs} pairs", spread[0], f"again without it: {spread[1]}",
               f"{100 * (case['median'] - 1):+.1f} %", ""]  # fmt: skip


def reports(cases):
    ours, other = (only(cases, what=what) for what in ("client_report()", "make_interval()"))
    best = [f"{shown(case, 'best')} at best, median {shown(case, 'median')}" for case in (ours, other)]
    yield ["`client_report()`, a round trip", best[0], f"`make_interval()`: {best[1]}",
           f"{ours['best'] - other['best']:+.1f} us", at_most(goals.REPORTED, "us")]  # fmt: skip


def memory(cases):
    sizes = only(cases, what="sizes")
    for figure, what, goal in (("slot", "a slot", at_most(goals.A_SLOT, "bytes")), ("pool", "a pool, asked for", ""), ("bucket", "a bucket of a series", "")):
        yield [what, shown(sizes, figure), "", "", goal]
    for case in cases:
        if case is sizes:
            continue
        pools = case.of["pools"]
        for figure, when in (("at_start", "at start"), ("used", "used")):
            a_pool = (case[figure] - case["without_pools"]) / pools
            goal = ""
            if figure == "at_start":
                goal = at_most(goals.AT_START, "bytes") if pools == 5 else f"{at_most(goals.A_POOL, 'bytes')} a pool"
            yield [f"{pools:,} pools, resident, {when}", shown(case, figure), f"asked for: {shown(case, 'asked_for')}",
                   f"{amount(a_pool, 'bytes')} a pool", goal]  # fmt: skip


def past(cases):
    """At best, as the live views."""
    for case in cases:
        question, of = case.of["question"], case.of["past"]
        name = question if " " in question else f"`{question}`"
        has_sql = "sql" in case.values
        yield [
            f"{name}, {with_commas(of)}",
            f"{shown(case, 'best')}, first {shown(case, 'first_best')}",
            f"SQL: {shown(case, 'sql_best')}" if has_sql else "",
            f"times as fast: {number(case['sql_best'] / case['best'])}" if has_sql else "",
            at_most(goals.past(question, of), "ms"),
        ]


def report(cases):
    for case in cases:
        of = [case.of[name] for name in ("pools", "span", "format")]
        yield [f"`report()`, {of[0]} pools, a {of[1]}, {of[2]}", f"{shown(case, 'best')}, first {shown(case, 'first')}",
               "", shown(case, "size"), at_most(goals.REPORTS.get(tuple(of)), "ms")]  # fmt: skip


def storm(cases):
    waits, spent = (only(cases, what=what) for what in ("waits", "instructions"))
    yield ["waits for a lock of ours", number(waits["waits"]), f"of {number(waits['seen'])} looks at a backend", "", "none"]
    yield ["instructions in the library", f"{spent['share']:.2f} %", "of all of the backends",
           f"our first function is number {number(spent['rank_of_our_first'])}", "none of ten"]  # fmt: skip


def worker(cases):
    peer = only(cases, what="pg_wait_sampling")
    for case in cases:
        looks = case.of["looks"]
        beside = case is not peer and peer is not None and looks == peer.of["looks"]
        goal = {1: at_most(goals.WORKER, "%"), 100: "below the other"}[looks] if case is not peer else ""
        yield [
            f"{case.of['what']}, {case.of['sessions']:,} sessions, {looks} a second",
            f"{number(case['core'])} % of a core, {shown(case, 'look')} a look",
            f"pg_wait_sampling: {number(peer['core'])} %" if beside else "",
            f"{number(case['core'] / peer['core'])} times as much" if beside else "",
            goal,
        ]


def locks(cases):
    held = {}
    for case in cases:
        held.setdefault((case.of["lock"], case.of["when"]), {})[case.of["mode"]] = shown(case, "longest")
    for (lock, when), modes in held.items():
        yield [f"`{lock}`, longest hold, {with_commas(when)}", ", ".join(f"{mode} {us}" for mode, us in sorted(modes.items())), "", "", ""]


SUBJECTS = {
    live: "Live views, against SQL that gives the same answer",
    past: "The past",
    report: "A report",
    instructions: "A client, in instructions",
    cost: "A client, by the clock",
    storm: "A storm of connects",
    reports: "What clients report",
    worker: "The worker",
    memory: "Shared memory",
    locks: "Locks",
}


def when(run):
    return (
        f"- `{run['command']}`: {run['begun'].replace('T', ' ').replace('Z', ' UTC')}, {run['seconds']} s,"
        f" load {run['load_before']} and {run['load_after']}, nice {run['nice']}, of {run['state']},"
        f" {run['processors'].split(' ')[2].removesuffix('(R)')}\n"
    )


def where(runs):
    """What the runs have in common, or each of what they have not."""
    said = (("PostgreSQL {}", "server"), ("{}", "processors"), ("{} GB", "memory_gb"), ("{}", "system"))
    return "; ".join(" or ".join(sorted({form.format(run[key]) for run in runs.values()})) for form, key in said)


def line(cells):
    return f"| {' | '.join(cells)} |\n"


def table(runs, cases):
    text = f"On {where(runs)}.\n\n" + line(HEAD) + line(["---"] * len(HEAD)).replace(" ", "")
    for rows, subject in SUBJECTS.items():
        bench = rows.__name__
        if bench in runs:
            text += line([f"**{subject}** (`bench/run {bench}`)", "", "", "", ""])
            text += "".join(map(line, rows(cases[bench])))
    return text + "\nRuns, with the machine's load when they began and ended:\n\n" + "".join(map(when, runs.values()))
