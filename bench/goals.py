"""What was to be reached."""

TRANSACTION = 150  # instructions more than with nothing loaded
CONNECT = 0.15  # % of instructions more
REPORTED = 20  # us, of a client_report()
WORKER = 0.06  # % of a core, at one look a second
AT_START = 3 * 2**20  # bytes resident at start, 5 pools
A_POOL = 60 * 2**10  # bytes of it, each pool
A_SLOT = 2**10  # bytes
REPORTS = {(10, "day", "html"): 200, (64, "month", "html"): 5000}  # ms

# times as fast as SQL: view, sessions, max_connections
LIVE = {
    ("applications", 1000, 1100): 30,
    ("applications", 1000, 5100): 25,
    ("applications", 5000, 5100): 200,
    ("sessions", 5000, 5100): 15,
}


def past(question, of):
    """ms, or None"""
    if question in ("workload", "advice", "checklist"):
        return {"64 pools": 20, "1000 pools": 300}.get(of)
    return {"three hours of one pool": 3, "pool_stats": 50}.get(question)
