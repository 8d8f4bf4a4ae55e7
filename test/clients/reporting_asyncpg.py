"""A real pool of asyncpg that reports: some checkouts, of which one waits and two give up,
each in its way. Says "unavailable WHY" when it cannot, else "gave up" and how long the one
waited. Answers each line of stdin with one, until stdin ends:

  return    gives all connections back: "idle"
  hurry     checkouts side by side: how many connections are out afterwards
  places    takes as many as the pool may have at a time: how many it got
  keep      has one connection out until they are given back: "kept"
  strange   as if asyncpg had nothing that tells when a connection is free again: "strange"
  close     closes one that is out, which nobody gives back then: "closed"
  wait      has one checkout wait: "waited"
  full      the same, in a pool that has none idle when a report is due: "full"
  stop      no more reports: "stopped"
  once      only one more: "once"

usage: reporting_asyncpg.py DSN NAME INTERVAL
"""

import asyncio
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "clients" / "asyncpg"))
try:
    from pool_monitor_asyncpg import create_pool
except ImportError as error:
    print(f"unavailable {error}", flush=True)
    sys.exit()

MOST = 3  # connections
HELD = 0.3  # s, for which the one that waits has to
ROOM = 10  # s, for what has to come


class Application:
    def __init__(self, pool):
        self.pool = pool
        self.held = []

    async def begin(self):
        self.held = [await self.pool.acquire(timeout=ROOM) for _ in range(MOST)]
        began = time.monotonic()
        await self.wait_for_one()
        waited = time.monotonic() - began
        for giving_up in self.pool.acquire(timeout=0.5), asyncio.wait_for(self.pool.acquire(), 0.5):
            try:
                await giving_up
                return "was not full"
            except asyncio.TimeoutError:
                pass
        return f"gave up {waited}"

    async def wait_for_one(self):
        first = self.held.pop(0)

        async def give_back():
            while not self.pool._books.now_waiting:
                await asyncio.sleep(0.01)
            await asyncio.sleep(HELD)
            await self.pool.release(first)

        giving = asyncio.ensure_future(give_back())
        self.held.append(await self.pool.acquire(timeout=ROOM))
        await giving

    async def give_back(self):
        while self.held:
            await self.pool.release(self.held.pop())
        return "idle"

    async def hurry(self):
        async def work():
            for _ in range(100):
                async with self.pool.acquire() as connection:
                    await connection.fetchval("SELECT 1")

        await asyncio.gather(*(work() for _ in range(4)))
        return self.pool.get_size() - self.pool.get_idle_size()

    async def places(self):
        self.held = [await self.pool.acquire(timeout=ROOM) for _ in range(MOST)]
        await self.give_back()
        return MOST

    async def keep(self):
        self.held = [await self.pool.acquire()]
        return "kept"

    async def strange(self):
        self.pool._books.got(None)
        self.pool._books.due = time.monotonic()
        return "strange"

    async def close(self):
        connection = await self.pool.acquire()
        await connection.close()
        return "closed"

    async def wait(self):
        self.held = [await self.pool.acquire(timeout=ROOM) for _ in range(MOST)]
        await self.wait_for_one()
        await self.give_back()
        return "waited"

    async def full(self):
        self.held = [await self.pool.acquire(timeout=ROOM) for _ in range(MOST)]
        self.pool._books.due = time.monotonic()
        await self.wait_for_one()
        await self.give_back()
        return "full"

    async def stop(self):
        self.pool._books.due = time.monotonic() + 3600
        return "stopped"

    async def once(self):
        self.pool._books.interval = 3600
        self.pool._books.due = time.monotonic()
        return "once"


async def answer(application):
    print(await application.begin(), flush=True)
    while line := await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline):
        command = line.strip().replace("return", "give_back")
        print(await getattr(application, command)(), flush=True)


async def main():
    words = dict(word.split("=", 1) for word in sys.argv[1].replace("dbname=", "database=").split())
    name, interval = sys.argv[2], float(sys.argv[3])
    async with create_pool(name=name, min_size=2, max_size=MOST, report_interval=interval, **words) as pool:
        try:
            await answer(Application(pool))
        except BaseException:
            pool.terminate()  # close() would wait for what is out
            raise


asyncio.run(main())
